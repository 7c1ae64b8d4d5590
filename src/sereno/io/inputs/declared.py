"""What a file declares of the values of a variable: their packing, their valid range."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from sereno.errors import InputError
from sereno.io.hdf5 import INVALID
from sereno.io.inputs.value_checks import STANDINS, Kind, Standard

_NARROWEST = 5.0
"""Kelvin from the lowest to the highest temperature that a range declares valid, at least."""


def standard_of(values: xr.DataArray, kind: Kind, *, offset: float, origin: str) -> tuple[Standard, list[str]]:
    """Return what the values of a variable must meet, and what of the declarations had to be passed over.

    Parameters
    ----------
    values
        The variable, unpacked by xarray.
    offset
        What is added to its values.

    Raises
    ------
    InputError
        If its packing is none.
    """
    scale, shift = (_packing(values, name, origin) for name in ("scale_factor", "add_offset"))
    packed = "scale_factor" in values.encoding or "add_offset" in values.encoding
    stored = _stored_type(values)
    low, high, notes = _valid_range(values, stored, scale=scale, shift=shift, packed=packed)
    step = abs(scale) if packed and stored.kind in "iu" else 0.0
    if low > high or (kind == "temperature" and high - low < _NARROWEST):
        notes.append(f"{values.name}: its valid range, {low:g} to {high:g}, is impossible; it was ignored")
        low, high = -np.inf, np.inf
    slack = [step / 2 or 1e-6 * max(1.0, abs(bound + offset)) for bound in (low, high)]
    standins = {*STANDINS, *(stand * scale + shift for stand in (*STANDINS, *_extremes(stored)) if packed)}
    return (
        Standard(
            str(values.name),
            kind,
            offset=offset,
            low=low + offset - slack[0],
            high=high + offset + slack[1],
            standins=tuple(stand + offset for stand in sorted(standins)),
        ),
        notes,
    )


def _packing(values: xr.DataArray, name: str, origin: str) -> float:
    """Return ``scale_factor`` or ``add_offset``."""
    wrong = values.attrs.get(f"{INVALID}{name}")
    stated = values.encoding.get(name, 1.0 if name == "scale_factor" else 0.0) if wrong is None else wrong
    number = _number(stated)
    if number is None or not np.isfinite(number) or (name == "scale_factor" and number == 0):
        raise InputError(
            f"{origin}: {name} of {values.name} is {stated!s:.40}, so its values are not known; correct it "
            "(ncatted), or download the file again"
        )
    return number


def _stored_type(values: xr.DataArray) -> np.dtype[Any]:
    """Return the type of the values as stored."""
    stored = np.dtype(values.encoding.get("dtype", values.dtype))
    unsigned = str(values.encoding.get("_Unsigned", "")).lower()
    if unsigned == "true" and stored.kind == "i":
        return np.dtype(f"u{stored.itemsize}")
    return np.dtype(f"i{stored.itemsize}") if unsigned == "false" and stored.kind == "u" else stored


def _valid_range(
    values: xr.DataArray, stored: np.dtype[Any], *, scale: float, shift: float, packed: bool
) -> tuple[float, float, list[str]]:
    """Return the lowest and highest valid value, unpacked, and what had to be passed over."""
    both = np.atleast_1d(values.attrs.get("valid_range", []))
    notes = [f"{values.name}: valid_range has {both.size} values, not 2; it was ignored"] * (both.size not in (0, 2))
    names = ("valid_min", "valid_max")
    declared = dict(zip(names, both, strict=True)) if both.size == 2 else {}
    declared |= {name: values.attrs[name] for name in names if name in values.attrs}
    bounds = {"valid_min": -np.inf, "valid_max": np.inf}
    for name, stated in declared.items():
        bound = _bound(stated, stored, scale=scale, shift=shift, packed=packed)
        if bound is None:
            notes.append(f"{values.name}: {name} {stated!s:.40} is no value of its type; it was ignored")
        elif packed and scale < 0:  # the smallest count is the largest value
            bounds[next(other for other in names if other != name)] = bound
        else:
            bounds[name] = bound
    return bounds["valid_min"], bounds["valid_max"], notes


def _bound(value: Any, stored: np.dtype[Any], *, scale: float, shift: float, packed: bool) -> float | None:  # noqa: ANN401
    """Return a bound of the valid range, unpacked; None where it is none.

    A bound is in packed units if its type is that of the packed values, else in those of the unpacked.
    """
    number = _number(value)
    if number is None or np.isnan(number):
        return None
    kind = np.asarray(value).dtype.kind
    if stored.kind not in "iu" or not packed:
        return number * scale + shift if packed else number
    if kind == "f":
        return number
    limits = np.iinfo(stored)
    if stored.kind == "u" and number < 0:  # written in the signed type that the file holds
        number += 2 ** (8 * stored.itemsize)
    return number * scale + shift if limits.min <= number <= limits.max else None


def _extremes(stored: np.dtype[Any]) -> tuple[float, ...]:
    """Return the counts that most often represent missing values."""
    if stored.kind not in "iu":
        return ()
    limits = np.iinfo(stored)
    return (float(limits.min), float(limits.min + 1), float(limits.max), float(limits.max - 1))


def _number(value: Any) -> float | None:  # noqa: ANN401
    """Return an attribute as a number, None where it is none."""
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "iuf":
        return None
    return float(array.reshape(()))
