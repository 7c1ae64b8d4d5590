"""The days of a file's images: by its time coordinate, or by attributes where it has none.

A time is counted in UTC and belongs to the day it falls on once it is rounded to the second, or to what its type can
hold where that is coarser: 23:59:59.9999 is midnight of the next day. What cannot be read is refused by name.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import xarray as xr

from sereno.errors import InputError

ATTRIBUTES = ("time_coverage_start", "start_time", "start_date")
"""Global attributes that date an image without a time coordinate."""
FIRST_DAY, LAST_DAY = np.datetime64("1678-01-01"), np.datetime64("2261-12-31")
"""The span of dates that can be held in nanoseconds."""
LONGEST_GAP = 1096
"""Days without an image, at most: three years."""
_NAMES = ("time", "date", "time_counter", "ocean_time", "datetime", "day")
_CALENDARS = ("standard", "gregorian", "proleptic_gregorian")
_HALF_A_SECOND = np.timedelta64(500, "ms")
_DAY_NUMBER = re.compile(r"%Y%m%d|yyyymmdd", re.IGNORECASE)
_STAMP = re.compile(
    r"(?P<year>\d{4})(?P<dash>-?)(?P<month>\d{2})(?P=dash)(?P<day>\d{2})"
    r"(?:[T ]?(?P<hour>\d{2})(?::?(?P<minute>\d{2})(?::?(?P<second>\d{2})(?P<fraction>[.,]\d+)?)?)?)?"
    r"\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)?",
    re.IGNORECASE,
)
_SINCE = re.compile(r"(?P<unit>[a-z]+)\s+since\s+(?P<epoch>.+)", re.IGNORECASE)
_UNITS = {
    "days": ("d", "day"),
    "hours": ("h", "hr", "hrs", "hour"),
    "minutes": ("min", "mins", "minute"),
    "seconds": ("s", "sec", "secs", "second"),
    "milliseconds": ("ms", "msec", "msecs", "millisec", "millisecs", "millisecond"),
}
"""Spellings of UDUNITS, by the one that xarray reads whatever the numbers are."""
_IN_WORDS = ("%d-%b-%Y", "%d-%b-%Y %H:%M:%S", "%d %b %Y", "%d %B %Y", "%B %d, %Y", "%b %d, %Y")


def find_time(dataset: xr.Dataset, field: str | None = None) -> str | None:
    """Return the name of the time coordinate, or None: by standard name, axis, name or units, in this order.

    Parameters
    ----------
    field
        The variable to be dated: a time that is none of its dimensions must have one value.
    """
    dims = set(dataset.dims if field is None else dataset[field].dims)
    ranked = []
    for position, (name, variable) in enumerate(dataset.variables.items()):
        is_text = variable.dtype.kind in "SUO"
        if variable.ndim > 1 or not (set(variable.dims) <= dims or variable.size == 1):
            continue
        attrs = variable.attrs
        lowered = str(name).lower()
        signs = (
            str(attrs.get("standard_name")) == "time",
            lowered == "time",
            str(attrs.get("axis")) == "T",
            lowered in _NAMES,
            not is_text and " since " in str(attrs.get("units", "")),
        )
        if any(signs):
            ranked.append((variable.dims == (), signs.index(True), position, str(name)))
    return min(ranked)[-1] if ranked else None


def days_of(dataset: xr.Dataset, name: str | None, origin: str) -> tuple[np.ndarray, list[str]]:
    """Return the days of a file, datetime64[D], by its time coordinate `name`, and what had to be assumed.

    Raises
    ------
    InputError
        If there is no time, or one of them cannot be read as a date.
    """
    if name is None:
        return np.array([_of_attributes(dataset, origin)], "datetime64[D]"), []
    variable = dataset[name]
    values = np.atleast_1d(variable.values)
    if values.size == 0:
        raise InputError(f"{origin}: {name} has no time step, so there is no image")
    times, notes = _decoded(values, variable, origin)
    missing = np.flatnonzero(np.isnat(times))
    if missing.size:
        raise InputError(
            f"{origin}: {missing.size} of {times.size} values of {name} are missing (the first is number "
            f"{missing[0] + 1}); an image needs a date"
        )
    days = (times + _HALF_A_SECOND).astype("datetime64[D]")
    if days.min() < FIRST_DAY or days.max() > LAST_DAY:
        odd = days.min() if days.min() < FIRST_DAY else days.max()
        raise InputError(f"{origin}: {name} holds the date {odd}, outside {FIRST_DAY} to {LAST_DAY}; check its units")
    return days, notes


def parse_stamp(text: str) -> np.datetime64:
    """Read a date, with a time of the day or without, as UTC.

    Parameters
    ----------
    text
        ``2019-01-01T12:00:00Z``, ``2019-01-01 12:00:00+10:00``, ``20190101T120000Z``, ``20190101``, ``1 Jan 2019``.

    Raises
    ------
    ValueError
        If it is none of these, or no date.

    Examples
    --------
    >>> str(parse_stamp("2019-01-01T05:00:00+10:00"))
    '2018-12-31T19:00:00.000000'
    """
    text = text.strip()
    match = _STAMP.fullmatch(text)
    if match is None:
        return np.datetime64(_in_words(text), "us")
    parts = match.groupdict()
    day = datetime(int(parts["year"]), int(parts["month"]), int(parts["day"]), tzinfo=_zone(parts["zone"]))
    hours, minutes = int(parts["hour"] or 0), int(parts["minute"] or 0)
    seconds = int(parts["second"] or 0) + float((parts["fraction"] or ".0").replace(",", "."))
    passed = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if passed > timedelta(days=1) or minutes > 59 or seconds >= 61:
        raise ValueError("no time of a day")
    stamp = (day + passed).astimezone(UTC)
    return np.datetime64(stamp.replace(tzinfo=None), "us")


def gaps_of_years(days: np.ndarray) -> list[tuple[np.datetime64, np.datetime64]]:
    """Return the days, datetime64[D], on both sides of each gap that is too long to be filled with empty images."""
    ordered = np.unique(days)
    at = np.flatnonzero(np.diff(ordered).astype(int) > LONGEST_GAP)
    return list(zip(ordered[at], ordered[at + 1], strict=True))


def _zone(text: str | None) -> timezone:
    if text is None or text.upper() in ("Z", "UTC", "GMT"):
        return UTC
    digits = re.sub(r"\D", "", text).ljust(4, "0")
    ahead = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(ahead if text[0] == "+" else -ahead)


def _in_words(text: str) -> datetime:
    for form in _IN_WORDS:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    raise ValueError("not a date")


def _of_attributes(dataset: xr.Dataset, origin: str) -> np.datetime64:
    """Return the day of the global attributes."""
    given = {key: str(dataset.attrs[key]) for key in ATTRIBUTES if str(dataset.attrs.get(key, "")).strip()}
    if not given:
        raise InputError(f"{origin}: no time coordinate and no attribute {ATTRIBUTES[0]} to date it by")
    for text in given.values():
        try:
            stamp = parse_stamp(text)
        except (ValueError, OverflowError):
            continue
        day: np.datetime64 = (stamp + _HALF_A_SECOND).astype("datetime64[D]")
        if FIRST_DAY <= day <= LAST_DAY:
            return day
    listed = ", ".join(f"{key} = {text!r}" for key, text in given.items())
    raise InputError(
        f"{origin}: no time coordinate, and no date can be read in {listed}; write it as 2019-01-31T00:00:00Z"
    )


def _decoded(values: np.ndarray, variable: xr.DataArray, origin: str) -> tuple[np.ndarray, list[str]]:
    """Return times as datetime64, NaT where missing, and what had to be assumed."""
    name, units = variable.name, str(variable.attrs.get("units", "")).strip()
    if values.dtype.kind in "SUO":
        return _of_texts(values, str(name), origin), []
    if values.dtype.kind == "M":
        return values, []
    if values.dtype.kind not in "iuf":
        raise InputError(f"{origin}: {name} is of type {values.dtype}, which cannot be read as dates")
    if _DAY_NUMBER.search(units):
        return _of_day_numbers(values, str(name), units, origin), []
    if "since" in units.lower():
        return _since(values, variable, units, origin), []
    whole = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if whole.size and ((whole > 1678_01_00) & (whole < 2262_00_00)).all():  # YYYYMMDD
        note = f"{name} has no units: its numbers are read as YYYYMMDD"
        return _of_day_numbers(values, str(name), units, origin), [note]
    if units.lower() not in ("", "1", "days", "day"):
        raise InputError(
            f"{origin}: {name} cannot be read as dates (its units are {units!r}); write 'days since 1970-01-01', "
            "or another unit and epoch"
        )
    note = f"{name} has no units 'days since …': read as days since 1970-01-01, so seasons may be wrong"
    return _since(values, variable, "days since 1970-01-01", origin), [note]


def _since(values: np.ndarray, variable: xr.DataArray, units: str, origin: str) -> np.ndarray:
    """Decode times by CF units; a float is taken at the upper end of what its last digit leaves open."""
    calendar = str(variable.attrs.get("calendar", "standard")).strip().lower()
    if calendar not in _CALENDARS:
        raise InputError(
            f"{origin}: {variable.name} cannot be read as dates ({units!r}: its calendar {calendar!r} is not that of "
            "satellite images); convert it to the standard calendar"
        )
    if values.dtype.kind == "f":
        values = values.astype("float64") + np.spacing(np.abs(values)).astype("float64")
    attrs = {"units": _spelt_out(units), "calendar": calendar}
    try:
        coder = xr.coders.CFDatetimeCoder(use_cftime=False)
        decoded = xr.decode_cf(xr.Dataset({"t": ("n", values, attrs)}), decode_times=coder)["t"].values
    except (ValueError, TypeError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{origin}: {variable.name} cannot be read as dates ({units!r}: {reason})") from None
    return np.asarray(decoded)


def _spelt_out(units: str) -> str:
    """Return units ``… since …`` with the unit's full name in lower case."""
    match = _SINCE.fullmatch(units)
    if match is None:
        return units
    unit = match["unit"].lower()
    full = next((name for name, spellings in _UNITS.items() if unit in spellings), unit)
    return f"{full} since {match['epoch']}"


def _of_day_numbers(values: np.ndarray, name: str, units: str, origin: str) -> np.ndarray:
    """Decode ``20190131.5``: a day, and the fraction of it that has passed."""
    whole = np.floor(values)
    days = [_day_of_number(number) for number in whole.tolist()]
    if any(day is None for day in days):
        odd = values[[day is None for day in days]][0]
        raise InputError(f"{origin}: {name} cannot be read as dates ({units or 'YYYYMMDD'!r}: {odd} is no day)")
    passed = (np.nan_to_num(values - whole) * 86_400_000).round().astype("timedelta64[ms]")
    times: np.ndarray = np.array(days, "datetime64[ms]") + passed
    return times


def _day_of_number(number: float) -> np.datetime64 | None:
    if not np.isfinite(number):
        return np.datetime64("NaT")
    try:
        return parse_stamp(f"{int(number):08d}")
    except ValueError:
        return None


def _of_texts(values: np.ndarray, name: str, origin: str) -> np.ndarray:
    """Decode times that are written out."""
    texts = [_text(value) for value in values.ravel().tolist()]
    try:
        return np.array([parse_stamp(text) if text else np.datetime64("NaT") for text in texts], "datetime64[us]")
    except (ValueError, OverflowError):
        raise InputError(f"{origin}: {name} cannot be read as dates ({texts[0]!r})") from None


def _text(value: Any) -> str:  # noqa: ANN401
    return (value.decode(errors="replace") if isinstance(value, bytes) else str(value)).strip(" \0")
