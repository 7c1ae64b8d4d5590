"""Every image is judged where it is read: what is no observation is missing, counted, and said.

Values that the file declares to be invalid, that are not finite, that no sea can have, or that represent "missing"
without saying so become NaN. An image whose values are mostly such that no sea has them, and that do not repeat one
number as a fill value does, is of a wrong unit or scale: an error that names it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sereno.errors import InputError

Kind = Literal["temperature", "deviation", "other"]

PIXEL = (269.15, 318.15)
"""Bounds, in kelvin, of the temperature of a pixel: −4 to 45 °C."""
PLAUSIBLE = (270.0, 309.5)
"""Bounds, in kelvin, within which the median of an image of sea surface temperature must lie."""
FREEZING = (271.0, 272.2)
"""Kelvin: the sea under ice is often given as one number."""
ZERO_CELSIUS = 273.15
LARGEST = 1e20
"""No field has values as large; fill values have."""
_LARGEST_DEVIATION = 100.0
STANDINS = (
    *(-99.0, -127.0, -128.0, -999.0, -9999.0, -32767.0, -32768.0, -99999.0),
    *(255.0, 999.0, 9999.0, 32767.0, 65535.0, 99999.0),
)
"""Numbers that represent missing values in files that do not say so."""
_STANDINS_AT_ONCE = 6
"""Such numbers that one image may have, at most."""
_FEW, _MANY = 10, 20
"""Repetitions of a number that represents missing values; pixels of an image that may be called wrong as a whole."""
_OFTEN = 4
"""Times as often as the numbers next to it a number that represents missing values is found, at least."""
_APART = 2.0
"""Kelvin between a number that represents missing values and all others."""
_FAR = 5.0
"""The same for fields of any unit, in ranges of all others."""
_VARIETY = 16
"""Values of a field that differ, at least."""


@dataclass(frozen=True)
class Standard:
    """What the values of a variable must meet.

    Attributes
    ----------
    name
        The variable in the file.
    kind
        ``temperature`` in kelvin, ``deviation`` (a standard deviation), or ``other``.
    offset
        What was added to the values of the file, in degree Celsius for example.
    low, high
        Bounds that the file declares, in the cube's unit.
    standins
        Numbers that may represent missing values, in the cube's unit.
    """

    name: str
    kind: Kind = "other"
    offset: float = 0.0
    low: float = -np.inf
    high: float = np.inf
    standins: tuple[float, ...] = STANDINS

    def judge(self, image: np.ndarray) -> Counter[str]:
        """Make missing, in place, what is no observation.

        Parameters
        ----------
        image
            float32 (lat, lon), in the cube's unit.

        Returns
        -------
        Counter
            How many values were made missing, by reason.

        Raises
        ------
        WrongImageError
            If most values are such as no sea has.
        """
        dropped: Counter[str] = Counter()
        if self._is_plainly_good(image):
            return dropped
        _drop(image, np.isinf(image), "that are not finite", dropped)
        for value in np.unique(image[np.abs(image) >= LARGEST]).tolist():
            _drop(image, image == value, f"of {value:.6g}", dropped)
        self._drop_declared(image, dropped)
        self._drop_undeclared(image, dropped)
        if self.kind == "temperature":
            self._drop_impossible(image, dropped)
        elif self.kind == "deviation":
            _drop(image, image < 0, "below 0", dropped)
            _drop(image, image > _LARGEST_DEVIATION, f"above {_LARGEST_DEVIATION:g}", dropped)
        return dropped

    def _is_plainly_good(self, image: np.ndarray) -> bool:
        """Return, at little cost, whether nothing needs a closer check."""
        low, high = _range(image)
        if np.isnan(low):
            return True
        if low < self.low or high > self.high or max(-low, high) >= LARGEST:
            return False
        if self.kind == "deviation":
            return low >= 0 and high <= _LARGEST_DEVIATION
        if self.kind == "other":
            return not (self._is_standin(low) or self._is_standin(high))
        if low < PLAUSIBLE[0] or high > PLAUSIBLE[1]:
            return False
        repeated = (np.count_nonzero(image == extreme) >= _FEW for extreme in (low, high))
        zeros = low <= ZERO_CELSIUS <= high and np.count_nonzero(_is_zero(image)) > _FEW
        return not (zeros or any(repeated))

    def _drop_declared(self, image: np.ndarray, dropped: Counter[str]) -> None:
        """Drop what lies outside the range that the file declares, unless that leaves nothing of a varied field."""
        outside = (image < self.low) | (image > self.high)
        if outside.any():
            blank = not np.isfinite(image[~outside]).any()
            if not (blank and np.unique(image[outside]).size > _VARIETY):
                _drop(image, outside, "outside the valid range that the file declares", dropped)

    def _drop_undeclared(self, image: np.ndarray, dropped: Counter[str]) -> None:
        """Drop numbers that represent missing values though the file does not say so."""
        for _ in range(_STANDINS_AT_ONCE):
            value = next((extreme for extreme in _range(image) if self._stands_for_missing(extreme, image)), None)
            if value is None:
                break
            stored = float(np.float32(value)) - self.offset
            digits = 3 if abs(stored) < 1000 else 0  # of a float32 in kelvin
            _drop(image, image == value, f"of {round(stored, digits) + 0.0:.6g}", dropped)
        if self.kind == "temperature" and self._is_filled_with_zero(image):
            _drop(image, _is_zero(image), "of exactly 0 °C", dropped)

    def _is_standin(self, value: float) -> bool:
        return bool(np.isclose(value, self.standins, rtol=1e-6, atol=1e-3).any())

    def _stands_for_missing(self, value: float, image: np.ndarray) -> bool:
        """Return whether an extreme of an image represents missing values."""
        if np.isnan(value):
            return False
        number = int(np.count_nonzero(image == value))
        rest = image[np.isfinite(image) & (image != value)]
        if self.kind != "temperature":
            return self._is_standin(value) and _is_far(value, number, rest)
        if not PIXEL[0] <= value <= PIXEL[1]:
            impossible = int(np.count_nonzero((rest < PIXEL[0]) | (rest > PIXEL[1]))) + number
            return self._is_standin(value) or number >= max(_FEW, impossible / 5)
        if FREEZING[0] <= value <= FREEZING[1] or number < max(_MANY, rest.size / 10):
            return False
        return bool(np.abs(rest - value).min(initial=np.inf) > _APART and np.unique(rest).size > _VARIETY)

    def _is_filled_with_zero(self, image: np.ndarray) -> bool:
        """Return whether there are far more values of exactly 0 °C than of the temperatures next to it."""
        zero = _is_zero(image)
        near = image[(np.abs(image - ZERO_CELSIUS) < 1) & ~zero]
        usual = near.size / max(1, np.unique(near).size)  # how often one number is found there, by the packing
        return bool(np.count_nonzero(zero) > _FEW + _OFTEN * usual)

    def _drop_impossible(self, image: np.ndarray, dropped: Counter[str]) -> None:
        """Drop temperatures that no sea has; refuse an image where most are such."""
        low, high = (bound - self.offset for bound in PIXEL)
        below, above = image < PIXEL[0], image > PIXEL[1]
        stray = below | above
        number = int(np.count_nonzero(stray))
        rest = np.count_nonzero(np.isfinite(image)) - number
        if number >= _MANY and number >= rest:
            raise WrongImageError(float(np.median(image[stray])))
        _drop(image, below, f"below {low:g}", dropped)
        _drop(image, above, f"above {high:g}", dropped)
        for beyond in (image < PLAUSIBLE[0], image > PLAUSIBLE[1]):  # is the median? Without sorting
            if np.count_nonzero(beyond) > max(_MANY, rest / 2):
                raise WrongImageError(float(np.nanmedian(image)))


class WrongImageError(InputError):
    """An image as a whole is none of the sea; `median` is that of what is wrong."""

    def __init__(self, median: float) -> None:
        super().__init__(f"a median of {median:g}")
        self.median = median


def _drop(image: np.ndarray, where: np.ndarray, reason: str, dropped: Counter[str]) -> None:
    """Make values missing, and count them."""
    number = int(np.count_nonzero(where))
    if number:
        image[where] = np.nan
        dropped[reason] += number


def _is_far(value: float, number: int, rest: np.ndarray) -> bool:
    """Return whether a value, found so often, lies apart from all others of a field of any unit."""
    if not rest.size:
        return True
    low, high = np.percentile(rest, (1, 99))
    if max(low - value, value - high) > _FAR * max(high - low, abs(low), abs(high)):
        return True
    return bool(value < 0 <= rest.min() and number >= _FEW)


def _range(values: np.ndarray) -> tuple[float, float]:
    """Return the smallest and largest value; NaN where there is none."""
    if not values.size:
        return np.nan, np.nan
    return float(np.fmin.reduce(values, axis=None)), float(np.fmax.reduce(values, axis=None))


def _is_zero(values: np.ndarray) -> np.ndarray:
    """Return where a temperature in kelvin is exactly 0 °C, to a float32."""
    return np.abs(values - np.float32(ZERO_CELSIUS)) < 4e-5
