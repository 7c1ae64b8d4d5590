"""Which days make one matrix, and the modes of that matrix with what its maps need of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from threading import Lock

import numpy as np
import xarray as xr

from sereno.compute.cores import require_memory
from sereno.config import DINEOF
from sereno.cube import DIMS, days_per_block, field_of
from sereno.reconstruct.dineof.eof import Eofs, over_rows
from sereno.reconstruct.dineof.error_maps import error_variance, information
from sereno.reconstruct.dineof.filter import smoothing
from sereno.reconstruct.dineof.iterations import Filling, Stopping, numbers_of_modes

REPETITION = 100.0
"""Observed cells with the information of one: neighbours repeat each other, in their noise and in what modes do not
explain.
About a square of ten by ten cells; it raises μ² to the effective one of Beckers et al. (2006, section 3.2)."""
BYTES = 5
"""Of a cell and a day: its value, and whether it is missing."""
_PRIOR_DAYS = 20
_SMALLEST = 1e-12
_KEPT = 4


def matrix_days(day: int, config: DINEOF, record: tuple[int, int]) -> tuple[int, int]:
    """Return the first day of the matrix that a day is reconstructed in, and the day after its last.

    Time is cut into segments of ``config.segment`` days from day 0, the first of the training period. The matrix is
    the day's segment with the margin on either side, moved to lie within the record where it reaches beyond it, so
    that near the ends no less is known; a record shorter than that is one matrix.

    Parameters
    ----------
    day
        Days since the first of the training period.
    record
        First day of the record and the day after its last, in the same count.
    """
    length = config.segment + 2 * config.margin
    first = day // config.segment * config.segment - config.margin
    first = max(min(first, record[1] - length), record[0])
    return first, min(first + length, record[1])


def reach(config: DINEOF) -> int:
    """Return how many days either side can influence a day."""
    return config.segment + 2 * config.margin - 1


@dataclass(frozen=True)
class Solution:
    """The modes of one matrix.

    Attributes
    ----------
    first
        Its first day.
    eofs
        The modes; maps (pixels, modes), of the pixels of the water.
    truncation
        Mean square of what the modes leave of the observations, K², (pixels,).
    noise_variance
        The effective μ² of the error maps, K².
    """

    first: int
    eofs: Eofs
    truncation: np.ndarray
    noise_variance: float

    def mean(self, day: int) -> np.ndarray:
        """Return the truncated series on one day, (pixels,)."""
        amplitudes = self.eofs.amplitudes[day - self.first]
        return np.asarray(self.eofs.maps @ amplitudes.astype(self.eofs.maps.dtype))

    def error(self, day: int, observed: np.ndarray) -> np.ndarray:
        """Return the standard deviation of the error of one day that was observed at some pixels, (pixels,).

        The error map of the retained modes, and what the modes leave out.
        """
        maps = self.eofs.maps / np.float32(np.sqrt(len(self.eofs.amplitudes)))
        of_modes = error_variance(maps, information(maps, observed), self.noise_variance)
        return np.asarray(np.sqrt(of_modes + self.truncation))


def solve(observations: np.ndarray, modes: int, config: DINEOF, *, first: int = 0, share: float = 1.0) -> Solution:
    """Fill a matrix with a given number of modes.

    Parameters
    ----------
    observations
        Anomalies, (pixels, days), NaN where missing.
    share
        Share of the sea's pixels that the matrix holds: fewer of them repeat each other less.
    """
    days = observations.shape[1]
    filtering = smoothing(np.arange(days), alpha=config.alpha, iterations=config.filter_iterations)
    filling = Filling(observations.copy(), filtering)
    for stage in numbers_of_modes(1, min(modes, *observations.shape)):
        eofs, _ = filling.settle(stage, stopping(config))
    squares, counts = np.zeros(len(observations)), np.zeros(len(observations))

    def measure(rows: slice) -> None:
        misfit = observations[rows] - eofs.series(rows)
        squares[rows] = np.nansum(misfit**2, axis=1, dtype=np.float64)
        counts[rows] = np.isfinite(misfit).sum(axis=1)

    over_rows(observations.shape, measure)
    typical = squares.sum() / max(counts.sum(), 1)
    truncation = (squares + _PRIOR_DAYS * typical) / (counts + _PRIOR_DAYS)
    truncation = np.maximum(truncation, _SMALLEST).astype(observations.dtype)
    return Solution(first, eofs, truncation, max(REPETITION * share * typical, _SMALLEST))


def stopping(config: DINEOF) -> Stopping:
    """Return when filled values count as settled."""
    return Stopping(config.tolerance, config.most_iterations)


def observations(cube: xr.Dataset, pixels: np.ndarray) -> np.ndarray:
    """Return the anomalies of a cube at some pixels, float32 (pixels, days), read a block of days at a time.

    Parameters
    ----------
    pixels
        Mask of the cells wanted, (lat, lon).

    Raises
    ------
    InputError
        If the machine has not the memory for this many cells and days.
    """
    field = field_of(cube).transpose(*DIMS)
    shape = int(pixels.sum()), field.sizes["time"]
    require_memory(BYTES * shape[0] * shape[1], method="dineof")
    matrix = np.empty(shape, np.float32)
    step = days_per_block(pixels.size)
    for start in range(0, matrix.shape[1], step):
        part = field.isel(time=slice(start, start + step)).compute(scheduler="synchronous")
        matrix[:, start : start + step] = part.values[:, pixels].T
    return matrix


class Solver:
    """The matrices of a cube, solved when a day of theirs is first asked for; the last few are kept.

    Parameters
    ----------
    cube
        The anomaly cube; nothing outside it influences the modes.
    origin
        First day of the training period, from which days are counted.
    """

    def __init__(self, cube: xr.Dataset, modes: int, config: DINEOF, origin: np.datetime64) -> None:
        self._cube, self._modes, self._config, self._origin = cube, modes, config, origin
        self._record = self._count(cube["time"].values[0]), self._count(cube["time"].values[-1]) + 1
        self._lock = Lock()  # two blocks of days may want the same matrix at once
        self._solved = lru_cache(maxsize=_KEPT)(self._solve)

    def of_day(self, day: np.datetime64) -> tuple[Solution, int]:
        """Return the solution of the matrix that a day is reconstructed in, and the day's number."""
        number = self._count(day)
        with self._lock:
            return self._solved(matrix_days(number, self._config, self._record)), number

    def _count(self, day: np.datetime64) -> int:
        return int((day.astype("datetime64[D]") - self._origin).astype(int))

    def _solve(self, days: tuple[int, int]) -> Solution:
        first, last = (day - self._record[0] for day in days)
        part = self._cube.isel(time=slice(first, last))
        matrix = observations(part, self._cube["water"].values)
        return solve(matrix, self._modes, self._config, first=days[0])
