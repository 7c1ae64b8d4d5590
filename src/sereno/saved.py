"""Content of a saved model, within bounds: digests show accidents, not values without sense.

Every number that a fitted method is rebuilt from goes through here, so that a model that loads can be filled with.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

LARGEST = 1e9
"""Magnitude of any number of a model, in the field's unit or its square."""
LEAST = 1e-9
"""The least that a standard deviation, a length or a time may be."""
LONGEST_TABLE = 10_000
"""Numbers of a table, such as a spread has, at most."""
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def number(values: Mapping[str, Any], name: str, least: float = -LARGEST, most: float = LARGEST) -> float:
    """Return a finite number within bounds, both included.

    Raises
    ------
    KeyError
        If it is missing.
    ValueError
        If it is none, or out of bounds.

    Examples
    --------
    >>> from sereno.saved import number
    >>> number({"noise": float("nan")}, "noise", 0, 10)
    Traceback (most recent call last):
    ValueError: noise is nan, it must be a number from 0 to 10
    """
    return _bounded(values[name], name, least, most)


def optional(values: Mapping[str, Any], name: str, least: float, most: float) -> float | None:
    """Return a number as `number` does, or None where that was saved."""
    return None if values[name] is None else number(values, name, least, most)


def whole(values: Mapping[str, Any], name: str, least: int, most: int) -> int:
    """Return a whole number within bounds."""
    value = values[name]
    if type(value) is not int:
        raise ValueError(f"{name} is {_shown(value)}, it must be a whole number")
    return int(_bounded(value, name, least, most))


def numbers(
    values: Mapping[str, Any], name: str, least: float, most: float, *, length: int | None = None
) -> tuple[float, ...]:
    """Return a list of numbers within bounds, of one length where it is given, and of one number at least."""
    given = values[name]
    if not isinstance(given, list | tuple) or not 1 <= len(given) <= LONGEST_TABLE:
        raise ValueError(f"{name} is {_shown(given)}, it must be a list of numbers")
    if length is not None and len(given) != length:
        raise ValueError(f"{name} has {len(given)} numbers, it must have {length}")
    return tuple(_bounded(value, name, least, most) for value in given)


def iso_day(values: Mapping[str, Any], name: str) -> np.datetime64:
    """Return a day of the years 1678 to 2261, saved as ISO 8601."""
    value = values[name]
    if not isinstance(value, str) or not _DAY.fullmatch(value) or not "1678" <= value[:4] <= "2261":
        raise ValueError(f"{name} is {_shown(value)}, it must be a day such as 2019-12-31")
    return np.datetime64(value, "D")


def array(
    arrays: Mapping[str, np.ndarray], name: str, least: float, most: float, *, length: int | None = None
) -> np.ndarray:
    """Return a table of one axis and of finite numbers within bounds, as it was saved."""
    given = arrays[name]
    if given.ndim != 1 or not 1 <= given.size <= LONGEST_TABLE or given.dtype.kind != "f":
        raise ValueError(f"{name} is {given.dtype} {given.shape}, it must be a table of real numbers")
    if length is not None and given.size != length:
        raise ValueError(f"{name} has {given.size} numbers, it must have {length}")
    if not ((given >= least) & (given <= most)).all():
        raise ValueError(f"{name} has values that are not from {least:g} to {most:g}")
    return given


def _bounded(value: object, name: str, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(f"{name} is {_shown(value)}, it must be a number from {least:g} to {most:g}")
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value}, it must be finite")
    return value if isinstance(value, float) else float(value)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
