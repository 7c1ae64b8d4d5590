"""Windows of the anomaly cube: cut, with pixels hidden, turned into what a network sees, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr

from sereno.config import ConvLSTM
from sereno.cube import DIMS, field_of
from sereno.errors import InputError
from sereno.tiling import window_positions

VALIDATION_SHARE = 0.15
"""Share of the training days that validates where no validation cube is given."""
_DRAWS = 20
_SMALLEST_SHARE = 0.02


@dataclass(frozen=True, eq=False)
class Record:
    """The days of an anomaly cube in memory.

    Attributes
    ----------
    values
        float32 (time, lat, lon), NaN where missing.
    days
        datetime64[D] (time,), ascending.
    """

    values: np.ndarray
    days: np.ndarray

    def between(self, start: int, stop: int) -> Record:
        """Return the days at positions `start` to `stop`, the latter not included."""
        return Record(self.values[start:stop], self.days[start:stop])


class HiddenWindow(NamedTuple):
    """A window of which pixels of the central day are hidden.

    Attributes
    ----------
    values
        float32 (window, lat, lon), NaN where missing or hidden.
    truth
        float32 (lat, lon), the central day with nothing hidden.
    hidden
        bool (lat, lon), the pixels hidden, all of them observed.
    crop
        Slices (lat, lon) of the grid that the window was cut from.
    """

    values: np.ndarray
    truth: np.ndarray
    hidden: np.ndarray
    crop: tuple[slice, slice]


def cut_window(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return the days at `positions` of a record, as `tiling.window_positions` gives them.

    Parameters
    ----------
    values
        Anomalies, (time, lat, lon), NaN where missing.
    positions
        Positions, (window,); −1 gives an empty day.

    Returns
    -------
    np.ndarray
        float32 (window, lat, lon), a copy.
    """
    window: np.ndarray = values[positions].astype(np.float32, copy=False)
    window[positions < 0] = np.nan
    return window


def encode(window: np.ndarray, *, scale: float) -> tuple[np.ndarray, float]:
    """Turn a window of anomalies into the input of a network.

    The mean over all observed pixels of the window is subtracted, the rest divided by the one global `scale`, and
    what is missing becomes 0, as in the reference method. The mask tells a zero anomaly from a missing one.

    Parameters
    ----------
    window
        Anomalies, (window, lat, lon), NaN where missing; it may be wholly empty.
    scale
        Standard deviation of the anomalies of the training period.

    Returns
    -------
    inputs : np.ndarray
        float32 (window, 2, lat, lon): the normalised anomaly, and 1 where it was observed, else 0.
    mean : float
        What was subtracted; 0 for an empty window.
    """
    observed = np.isfinite(window)
    mean = float(window[observed].mean(dtype=np.float64)) if observed.any() else 0.0
    inputs = np.empty((len(window), 2, *window.shape[1:]), dtype=np.float32)
    inputs[:, 0] = np.where(observed, normalise(window, mean=mean, scale=scale), 0)
    inputs[:, 1] = observed
    return inputs, mean


def normalise(anomaly: np.ndarray, *, mean: float, scale: float) -> np.ndarray:
    """Return anomalies, of any shape, in the units of a network: float32, missing ones remain NaN."""
    return np.asarray((anomaly - mean) / scale, dtype=np.float32)


def denormalise(output: np.ndarray, *, mean: float, scale: float) -> np.ndarray:
    """Undo `normalise`: return the anomaly, float32, in the unit of the cube."""
    return np.asarray(output * scale + mean, dtype=np.float32)


def draw_window(record: Record, config: ConvLSTM, generator: np.random.Generator) -> HiddenWindow:
    """Draw a day and a crop, and hide pixels of the day: all of them, or where another day of the record was cloudy.

    A crop that gives next to nothing to learn from is drawn again, a bounded number of times.
    """
    grid = record.values.shape[1:]
    size = np.minimum(config.tile, grid)
    for _ in range(_DRAWS):
        day, other = generator.integers(len(record.days), size=2)
        corner = generator.integers(np.array(grid) - size + 1)
        crop = (slice(corner[0], corner[0] + size[0]), slice(corner[1], corner[1] + size[1]))
        truth = record.values[day, *crop]
        hidden = np.isfinite(truth)
        if generator.random() >= config.hidden_day_fraction:
            hidden &= ~np.isfinite(record.values[other, *crop])
        if hidden.mean() >= _SMALLEST_SHARE:
            break
    positions = window_positions(record.days, day, window=config.window)
    values = cut_window(record.values[:, *crop], positions)
    values[config.window // 2, hidden] = np.nan
    return HiddenWindow(values, truth, hidden, crop)


def split(cube: xr.Dataset, config: ConvLSTM, *, valid: xr.Dataset | None = None) -> tuple[Record, Record]:
    """Return the records to train and to validate on, with a window's distance between any two of their days.

    Raises
    ------
    InputError
        If there are too few days, if the two periods come too close, or if one of them has no observation.
    """
    record, window = _record(cube), config.window
    if valid is not None:
        records = record, _record(valid)
        distance = np.abs(records[0].days[:, None] - records[1].days).min().astype(int)
        if distance < window:
            raise InputError(
                f"the training and the validation period are {distance} days apart: keep {window} (model.window)"
            )
        needed = window
    else:
        span = int((record.days[-1] - record.days[0]).astype(int)) + 1
        length = max(round(VALIDATION_SHARE * span), window)
        first = record.days[-1] - (length - 1)
        stop = np.searchsorted(record.days, first - window)
        records = record.between(0, stop), record.between(np.searchsorted(record.days, first), len(record.days))
        needed = 3 * window
    if len(records[0].days) < window:
        found = f"the training period has {len(record.days)} days"
        raise InputError(f"{found}; a network with a window of {window} days needs {needed}")
    for name, part in zip(("training", "validation"), records, strict=True):
        if not np.isfinite(part.values).any():
            raise InputError(f"the {name} days {part.days[0]} to {part.days[-1]} hold not one observation")
    return records


def _record(cube: xr.Dataset) -> Record:
    """Load an anomaly cube; land counts as missing."""
    values = field_of(cube).where(cube["water"]).transpose(*DIMS)
    return Record(np.asarray(values, dtype=np.float32), cube["time"].values.astype("datetime64[D]"))


def validation_windows(record: Record, config: ConvLSTM, *, seed: int) -> list[HiddenWindow]:
    """Return the fixed windows that the validation loss is taken on; those with nothing hidden are left out.

    Raises
    ------
    InputError
        If not one window has a hidden pixel.
    """
    generator = np.random.default_rng((seed, 0))
    windows = [draw_window(record, config, generator) for _ in range(config.validation_windows)]
    windows = [window for window in windows if window.hidden.any()]
    if not windows:
        raise InputError("the validation days have too few observations to hide some of them")
    return windows
