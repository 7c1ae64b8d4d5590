"""Gaps: how much of each pixel's record is missing, and how long it stays so.

A gap is a run of consecutive days on which a water pixel was not observed. The record is read once, a block of days
at a time; the run that a pixel is in is carried from block to block, so neither blocks nor chunks show in a result.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from sereno.cube import days_per_block, field_of
from sereno.errors import InputError
from sereno.progress import Progress, silent

HISTOGRAM_COUNTS = 2**27
"""Counts that the per-pixel histograms of gap lengths, which the median is taken from, hold together at most."""
FEWEST_LENGTHS = 32
"""Days up to which gap lengths are distinguished for the median, however large the map."""


def gap_statistics(cube: xr.Dataset, *, progress: Progress = silent) -> xr.Dataset:
    """Return cloud cover per pixel and the persistence of gaps.

    Gaps that the first or the last day of the record cuts off are counted with the length seen, which is a lower
    bound of their true length; their number is reported too.

    Parameters
    ----------
    cube
        A valid cube; of its field nothing is examined but where it is missing.
    progress
        Called with the stage ``"gaps"`` and the fraction of days done.

    Returns
    -------
    xr.Dataset
        In memory. Maps (lat, lon), float32, NaN on land: ``cloud_cover`` (% of days not observed), ``gap_count``,
        ``gap_censored`` (gaps cut off), ``gap_mean``, ``gap_median`` and ``gap_longest`` (days; mean and median are
        NaN where there is no gap, the longest is then 0). Over all water pixels, int64 (gap_length,) with
        gap_length 1 to the longest, one at least: ``gap_runs`` and ``gap_runs_censored``.

    Raises
    ------
    InputError
        If the cube has no water.

    Notes
    -----
    Memory is a block of days, and for each water pixel a histogram of gap lengths, in counts of one, two or four
    bytes as the record is long. Lengths are distinguished up to the length of the record where `HISTOGRAM_COUNTS`
    allow, else up to a limit of `FEWEST_LENGTHS` or more, kept as attribute ``exact_up_to`` of ``gap_median``; a gap
    of the limit or longer then counts with the limit. So a median is exact where it is taken from at most two gaps
    or the gaps in the middle are shorter than the limit, and a lower bound elsewhere. All else is exact.
    """
    water = cube["water"].values
    if not water.any():
        raise InputError("water: not one water pixel to describe")
    field = field_of(cube)
    if not field.chunks:
        field = field.chunk(time=days_per_block(water.size))
    runs = GapRuns(int(water.sum()), days=field.sizes["time"])
    progress("gaps", 0.0)
    start = 0
    for length in field.chunksizes["time"]:
        block = field.isel(time=slice(start, start + length))
        runs.add(block.isnull().values[:, water])
        start += length
        progress("gaps", start / field.sizes["time"])
    runs.end()
    return _dataset(runs, cube["water"])


class GapRuns:
    """Runs of missing days at many pixels, fed day by day.

    Parameters
    ----------
    pixels
        How many pixels there are.
    days
        How many days the record has, all blocks together.

    Attributes
    ----------
    missing, gaps, censored, longest
        Integers (pixel,): missing days, runs, runs cut off by an end of the record, days of the longest run.
    runs, runs_censored
        int64 (days + 1,): over all pixels, how many runs are of each length, and how many of them were cut off.
    """

    def __init__(self, pixels: int, *, days: int) -> None:
        self.missing, self.gaps, self.censored, self.longest, self._current = np.zeros((5, pixels), dtype=np.int32)
        self.runs, self.runs_censored = np.zeros((2, days + 1), dtype=np.int64)
        self.exact_up_to = min(days, max(FEWEST_LENGTHS, HISTOGRAM_COUNTS // pixels))
        # The last row counts the runs of its length and of all greater ones.
        self._lengths = np.zeros((self.exact_up_to, pixels), dtype=np.min_scalar_type(days))
        self._days_seen = 0

    def add(self, missing: np.ndarray) -> None:
        """Continue with a block of days, bool (time, pixel), true where a pixel is missing."""
        for today in missing:
            self._close(np.flatnonzero(~today & (self._current > 0)))
            self._current = np.where(today, self._current + 1, 0)
            self.missing += today
            self._days_seen += 1

    def end(self) -> None:
        """End the record: runs that are still open are cut off."""
        self._close(np.flatnonzero(self._current), cut_off=True)
        self._current = np.zeros_like(self._current)

    def mean(self) -> np.ndarray:
        """Return the mean length, float (pixel,), NaN where a pixel has no run."""
        unknown = np.full(self.gaps.shape, np.nan)
        return np.asarray(np.divide(self.missing, self.gaps, out=unknown, where=self.gaps > 0))

    def median(self) -> np.ndarray:
        """Return the median length, float (pixel,), NaN where a pixel has no run; exact as `gap_statistics` says."""
        # Of n ordered lengths, those at (n − 1) // 2 and n // 2 embrace the middle.
        lower, upper, reached = np.zeros((3, *self.gaps.shape), dtype=np.int32)
        for counted in self._lengths[: self.longest.max(initial=0)]:
            lower += reached <= (self.gaps - 1) // 2
            upper += reached <= self.gaps // 2
            reached += counted
        return np.asarray(np.where(self.gaps <= 2, self.mean(), (lower + upper) / 2))

    def _close(self, pixels: np.ndarray, *, cut_off: bool = False) -> None:
        """Count the runs that have ended at `pixels`."""
        length = self._current[pixels]
        censored = (length == self._days_seen) | cut_off  # as long as the record: it was there on the first day
        np.add.at(self.runs, length, 1)
        np.add.at(self.runs_censored, length[censored], 1)
        self.gaps[pixels] += 1
        self.censored[pixels] += censored
        self.longest[pixels] = np.maximum(self.longest[pixels], length)
        self._lengths[np.minimum(length, self.exact_up_to) - 1, pixels] += 1


def _dataset(runs: GapRuns, water: xr.DataArray) -> xr.Dataset:
    """Lay the statistics of the pixels back on the map."""
    days = runs.runs.size - 1
    cut = "gaps that an end of the record cuts off count with the length seen"
    maps: dict[str, tuple[np.ndarray, str, str, str]] = {
        "cloud_cover": (100 * runs.missing / days, "share of days without an observation", "%", ""),
        "gap_count": (runs.gaps, "number of gaps", "1", ""),
        "gap_censored": (runs.censored, "number of gaps cut off by an end of the record", "1", ""),
        "gap_mean": (runs.mean(), "mean length of gaps", "days", cut),
        "gap_median": (runs.median(), "median length of gaps", "days", cut),
        "gap_longest": (runs.longest, "length of the longest gap", "days", cut),
    }
    data: dict[str, xr.DataArray] = {}
    for name, (values, long_name, units, comment) in maps.items():
        laid = np.full(water.shape, np.nan, dtype=np.float32)
        laid[water.values] = values
        attrs = {"long_name": long_name, "units": units} | ({"comment": comment} if comment else {})
        data[name] = xr.DataArray(laid, coords=water.coords, dims=water.dims, attrs=attrs)
    data["gap_median"].attrs["exact_up_to"] = np.int32(runs.exact_up_to)
    longest = max(1, int(runs.longest.max()))
    length = xr.DataArray(np.arange(1, longest + 1, dtype=np.int32), dims="gap_length")
    length.attrs = {"long_name": "length of gap", "units": "days"}
    for name, counts, long_name in (
        ("gap_runs", runs.runs, "number of gaps by length, over all water pixels"),
        ("gap_runs_censored", runs.runs_censored, "number of them that an end of the record cuts off"),
    ):
        data[name] = xr.DataArray(counts[1 : longest + 1], coords={"gap_length": length}, dims="gap_length")
        data[name].attrs = {"long_name": long_name, "units": "1"}
    return xr.Dataset(data)


def coverage(cube: xr.Dataset) -> xr.DataArray:
    """Return the share of water observed on each day, (time,), in memory."""
    return share_of(field_of(cube).notnull() & cube["water"], cube["water"])


def share_of(observed: xr.DataArray, water: xr.DataArray) -> xr.DataArray:
    """Return the share of water that is observed on each day, (time,), in memory."""
    return (observed.sum(("lat", "lon")) / water.sum()).compute().rename("coverage")
