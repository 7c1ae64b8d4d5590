"""Windows of the anomaly cube as a network sees them, and back; archives of days, and their parting in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import xarray as xr

from sereno.config import ConvLSTM, UNet
from sereno.cube import DIMS, field_of
from sereno.errors import InputError

VALIDATION_SHARE = 0.15
"""Share of the training days that validates where no validation cube is given."""
BLOCK_BYTES = 2**30
"""Bytes of the days that training holds in memory at once."""


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
    water
        bool (lat, lon), true over water.
    crop
        Slices (lat, lon) of the grid that the window was cut from.
    day
        The central day.
    """

    values: np.ndarray
    truth: np.ndarray
    hidden: np.ndarray
    water: np.ndarray
    crop: tuple[slice, slice]
    day: np.datetime64


@dataclass(frozen=True, eq=False)
class Record:
    """Consecutive days of an anomaly cube in memory.

    Attributes
    ----------
    values
        float32 (time, lat, lon), NaN where missing.
    days
        datetime64[D] (time,), ascending.
    water
        bool (lat, lon).
    targets
        Positions of the days that may be the centre of a window; the others are their context.
    first
        Position in the archive of the record's first day.
    """

    values: np.ndarray
    days: np.ndarray
    water: np.ndarray
    targets: range
    first: int = 0


@dataclass(frozen=True, eq=False)
class Archive:
    """The days of an anomaly cube, read a block of consecutive days at a time.

    Attributes
    ----------
    anomaly
        float32 (time, lat, lon), lazy or not, NaN where missing and on land.
    water
        bool (lat, lon).
    """

    anomaly: xr.DataArray
    water: np.ndarray

    @classmethod
    def of(cls, cube: xr.Dataset) -> Self:
        """Return the archive of an anomaly cube; land counts as missing."""
        anomaly = field_of(cube).where(cube["water"]).transpose(*DIMS).astype(np.float32)
        return cls(anomaly, cube["water"].values)

    @property
    def days(self) -> np.ndarray:
        """The days, datetime64[D] (time,)."""
        return self.anomaly["time"].values.astype("datetime64[D]")

    def between(self, start: int, stop: int) -> Archive:
        """Return the days at positions `start` to `stop`, the latter not included."""
        return Archive(self.anomaly.isel(time=slice(start, stop)), self.water)

    def blocks(self, *, block_bytes: int = BLOCK_BYTES) -> list[range]:
        """Divide the positions of the days into blocks of nearly equal length, none above `block_bytes`."""
        longest = max(1, block_bytes // (4 * self.water.size))
        parts = np.array_split(np.arange(len(self.days)), -(-len(self.days) // longest))
        return [range(int(part[0]), int(part[-1]) + 1) for part in parts]

    def load(self, block: range, *, window: int) -> Record:
        """Read a block of days with the context that its windows need."""
        half = window // 2
        first, last = max(block.start - half, 0), min(block.stop + half, len(self.days))
        values = np.asarray(self.anomaly.isel(time=slice(first, last)).values)
        targets = range(block.start - first, block.stop - first)
        return Record(values, self.days[first:last], self.water, targets, first)

    def spread(self) -> tuple[float, int]:
        """Return the standard deviation of all observations and their number, a block of days in memory at a time."""
        total = np.zeros(3)
        for block in self.blocks():
            values = self.anomaly.isel(time=slice(block.start, block.stop)).values
            known = values[np.isfinite(values)].astype(np.float64)
            total += known.size, known.sum(), np.square(known).sum()
        count = max(total[0], 1.0)
        variance = total[2] / count - (total[1] / count) ** 2
        return float(np.sqrt(max(variance, 0.0))), int(total[0])


def first_validation_day(first: np.datetime64, last: np.datetime64, *, window: int) -> np.datetime64:
    """Return where the last 15 % of a period begin, a window's length at least; training ends a window earlier."""
    days = int((last - first).astype(int)) + 1
    return last - (max(round(VALIDATION_SHARE * days), window) - 1)


def split(cube: xr.Dataset, config: ConvLSTM | UNet, *, valid: xr.Dataset | None = None) -> tuple[Archive, Archive]:
    """Return the archives to train and to validate on, with a window's distance between any two of their days.

    Under ``split = "random"`` both are the whole cube: who draws from it must part the windows, and leaks.

    Raises
    ------
    InputError
        If there are too few days, if the two periods come too close, or if one of them has no observation.
    """
    archive, window = Archive.of(cube), config.window
    days = archive.days
    if isinstance(config, ConvLSTM) and config.split == "random":
        if config.windows != "tiles":
            raise InputError('model.split = "random" divides fixed tiles: set model.windows = "tiles" too')
        if valid is not None:
            raise InputError(
                'model.split = "random" draws its validation windows from the training period: give no validation '
                "period, or leave the split to time"
            )
        parts, needed = (archive, archive), window
    elif valid is not None:
        parts, needed = (archive, Archive.of(valid)), window
        distance = np.abs(days[:, None] - parts[1].days).min().astype(int)
        if distance < window:
            raise InputError(
                f"the training and the validation period are {distance} days apart: keep {window} (model.window)"
            )
    else:
        first = first_validation_day(days[0], days[-1], window=window)
        stop = int(np.searchsorted(days, first - window))
        parts = archive.between(0, stop), archive.between(int(np.searchsorted(days, first)), len(days))
        needed = 3 * window
    if len(parts[0].days) < window:
        stated = f"the training period has {len(days)} days"
        raise InputError(f"{stated}; a network with a window of {window} days needs {needed}")
    return parts
