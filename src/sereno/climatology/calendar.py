"""The circle of the year: days of a leap year, sums by day of year, the window round each day, smoothing.

The axis has 366 days, 1 March always being day 61. 29 February has no window of its own: it is given the mean of
28 February and 1 March, as Hobday et al. (2016, Progress in Oceanography 141, 227-238) have it in the code that
goes with their definition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from scipy.ndimage import convolve1d, uniform_filter1d

DAYS_PER_YEAR = 365.2425
LEAP_YEAR_DAYS = 366
_LEAP_DAY = 59
"""Position of 29 February."""


def leap_day_of_year(time: np.ndarray) -> np.ndarray:
    """Return the day of a leap year, 1 to 366, of each date: 1 March is always day 61."""
    index = pd.DatetimeIndex(time)
    return np.asarray(index.day_of_year + (~index.is_leap_year & (index.month > 2)))


def whole_years(time: np.ndarray) -> np.ndarray:
    """Return every day, datetime64[ns], of the calendar years that `time` touches."""
    index = pd.DatetimeIndex(time)
    return pd.date_range(f"{index.min().year}-01-01", f"{index.max().year}-12-31").as_unit("ns").values


@dataclass(frozen=True)
class DayOfYearSums:
    """Sums by day of the year, added up an image at a time, from which the sums in windows follow.

    A window holds the days up to `half` before and after a date *in the calendar*, so in a leap year 29 February
    pushes out the day at the window's far end. What happened near it in leap years is therefore kept apart too.

    Attributes
    ----------
    total
        By day of the year over all years, (366, …).
    leap
        The same for leap years alone and the days up to `half` before and after 29 February, (2 half + 1, …).
    """

    total: np.ndarray
    leap: np.ndarray

    @classmethod
    def zeros(cls, shape: tuple[int, ...], *, half: int, dtype: type) -> Self:
        """Return empty sums of maps of `shape`."""
        return cls(np.zeros((LEAP_YEAR_DAYS, *shape), dtype), np.zeros((2 * half + 1, *shape), dtype))

    def add(self, time: np.ndarray, values: np.ndarray) -> None:
        """Add `values` (time, …), where missing zero."""
        half = len(self.leap) // 2
        near = leap_day_of_year(time) - 1
        for day, is_leap, value in zip(near, pd.DatetimeIndex(time).is_leap_year, values, strict=True):
            self.total[day] += value
            if is_leap and abs(day - _LEAP_DAY) <= half:
                self.leap[day - _LEAP_DAY + half] += value

    def window(self, part: slice | None = None) -> np.ndarray:
        """Return the sum in the window of each day, float64 (366, …), that of 29 February being left at zero.

        `part` takes a part of the first axis of the maps alone.
        """
        rows = (slice(None),) if part is None else (slice(None), part)
        total, leap = self.total[rows].astype(float), self.leap[rows].astype(float)
        half = len(leap) // 2
        ordinary = np.delete(total, _LEAP_DAY, axis=0)
        windows = convolve1d(ordinary, np.ones(2 * half + 1), axis=0, mode="wrap")
        windows[_LEAP_DAY - half : _LEAP_DAY] += leap[half] - leap[half + 1 :]
        windows[_LEAP_DAY : _LEAP_DAY + half] += leap[half] - leap[:half]
        return np.insert(windows, _LEAP_DAY, 0.0, axis=0)


def smooth(means: np.ndarray, days: int) -> np.ndarray:
    """Give 29 February the mean of its neighbours, then take the circular moving average over `days` days.

    Parameters
    ----------
    means
        Mean of each day of the year, (366, …).
    days
        Odd number of days; 1 leaves the means as they are.
    """
    means = means.copy()
    means[_LEAP_DAY] = (means[_LEAP_DAY - 1] + means[_LEAP_DAY + 1]) / 2
    return np.asarray(uniform_filter1d(means, days, axis=0, mode="wrap"))
