"""The Cube: an `xarray.Dataset` that meets a schema; names, masks and validation.

Dims ``(time, lat, lon)``; ``lat`` and ``lon`` ascending, ``lon`` from −180 on and beyond 180 where the area lies
across it; time daily and unique. The field (``sst`` in kelvin
unless it says otherwise) is float32, NaN where missing; an optional ``<field>_error`` holds its standard
deviation; ``water(lat, lon)`` is a static boolean mask. ``attrs["field"]`` names the field.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Self

import numpy as np
import pandas as pd
import xarray as xr

from sereno.errors import InputError

DIMS = ("time", "lat", "lon")
LAND, MISSING, OBSERVED = -1, 0, 1
"""Values of `state`."""
FILLED, BEYOND_SUPPORT = 2, 3
"""Further values of an analysis's `source`: filled, and filled with nothing seen there within the window."""
DESCRIPTION = ("standard_name", "long_name", "cell_methods", "units_metadata")
"""Attributes of a field, in addition to its units, that say what it is."""
BLOCK_CELLS = 2**22
"""Cells of a block of days at most, where one day alone does not exceed it: the grain of all lazy work."""
Day = str | date | np.datetime64
Period = str | slice | Day | Sequence[Day] | np.ndarray | pd.DatetimeIndex | xr.DataArray
"""Days of a cube, in the meaning of `xarray.Dataset.sel`: text ``A:B`` or one day, month or year; a slice, both ends
included; a date; or days one by one, ascending, as the times of another dataset are."""
_ISO = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?|\d{8}")


def make_cube(
    values: Any,  # noqa: ANN401  anything array-like, lazy or not
    *,
    time: Any,  # noqa: ANN401
    lat: Any,  # noqa: ANN401
    lon: Any,  # noqa: ANN401
    water: Any,  # noqa: ANN401
    field: str = "sst",
    units: str = "kelvin",
    extra: dict[str, Any] | None = None,
) -> xr.Dataset:
    """Build a cube from arrays.

    Parameters
    ----------
    values
        The field, shape (time, lat, lon), NaN where missing.
    time, lat, lon
        Coordinates: datetime64 days, degrees north, degrees east, all ascending.
    water
        Boolean mask, shape (lat, lon), true over water.
    extra
        Further variables of shape (time, lat, lon), such as ``sst_error``, ``sst_withheld`` or ``truth``.
    """
    data = {field: (DIMS, values, {"units": units}), "water": (("lat", "lon"), np.asarray(water, dtype=bool))}
    data |= {name: (DIMS, array, {"units": units}) for name, array in (extra or {}).items()}
    return xr.Dataset(
        data,
        coords={
            "time": pd.DatetimeIndex(time).as_unit("ns"),
            "lat": ("lat", np.asarray(lat), {"units": "degrees_north", "standard_name": "latitude"}),
            "lon": ("lon", np.asarray(lon), {"units": "degrees_east", "standard_name": "longitude"}),
        },
        attrs={"field": field},
    )


def field_name(cube: xr.Dataset) -> str:
    """Return the name of the cube's field, for example ``sst``."""
    return str(cube.attrs["field"])


def field_of(cube: xr.Dataset) -> xr.DataArray:
    """Return the cube's field."""
    return cube[field_name(cube)]


def description(cube: xr.Dataset) -> dict[str, str]:
    """Return the attributes of a cube's field that its analysis keeps: unit, long name and others."""
    attrs = field_of(cube).attrs
    return {"units": str(attrs.get("units", ""))} | {name: attrs[name] for name in DESCRIPTION if name in attrs}


def is_never_negative(cube: xr.Dataset) -> bool:
    """Return whether a field cannot be below zero, such as a concentration, by its standard name or unit."""
    attrs = field_of(cube).attrs
    named = re.search("concentration|coefficient|fraction|salinity", str(attrs.get("standard_name", "")))
    of_mass = re.fullmatch(r"[mu]?g ?(/|\^?)?m ?(\^|\*\*)?-?3", str(attrs.get("units", "")))
    return bool(named or of_mass) and not str(attrs.get("units", "")).startswith("log")


def days_per_block(cells: int) -> int:
    """Return how many days of a map of `cells` cells are worked on at once."""
    return max(1, BLOCK_CELLS // cells)


def consecutive(days: np.ndarray) -> list[np.ndarray]:
    """Split ascending days into runs of consecutive days."""
    return np.split(days, np.flatnonzero(np.diff(days.astype("datetime64[D]")).astype(int) != 1) + 1)


def list_of_days(days: np.ndarray) -> str:
    """Return ascending days as text: periods, the first few."""
    runs = consecutive(np.asarray(days).astype("datetime64[D]"))
    spans = [str(run[0]) if run.size == 1 else f"{run[0]}:{run[-1]}" for run in runs[:5]]
    return ", ".join(spans) + (", …" if len(runs) > 5 else "")


def state(cube: xr.Dataset) -> xr.DataArray:
    """Return the derived state, int8 (time, lat, lon): −1 land, 0 missing, 1 observed."""
    observed = field_of(cube).notnull() & cube["water"]
    values = observed.astype("int8").where(cube["water"], LAND)
    return values.astype("int8").transpose(*DIMS).rename("state")


def violations(cube: xr.Dataset) -> list[str]:
    """List everything in which a dataset violates the schema; an empty list means a valid cube."""
    if not isinstance(cube, xr.Dataset):
        return [f"it is a {type(cube).__name__}, it must be an xarray.Dataset; make one with sereno.cube_from"]
    name = cube.attrs.get("field")
    if name is None or name not in cube:
        return [f"attribute 'field' must name the variable to fill (it says {name!r}); use sereno.cube_from"]
    faults = [f"no coordinate {dim!r}" for dim in DIMS if dim not in cube.coords]
    if cube[name].dims != DIMS:
        faults.append(f"{name}: dimensions are {cube[name].dims}, they must be {DIMS}")
    if not np.issubdtype(cube[name].dtype, np.floating):
        faults.append(f"{name}: type is {cube[name].dtype}, it must be a float with NaN where missing")
    faults += _water_violations(cube) + _grid_violations(cube)
    if "time" in cube.coords:
        faults += _time_violations(cube["time"].values)
    return faults


def _water_violations(cube: xr.Dataset) -> list[str]:
    if "water" not in cube:
        return ["no mask 'water' of dims (lat, lon)"]
    if cube["water"].dims != ("lat", "lon") or cube["water"].dtype != bool:
        return [f"water: must be bool of dims (lat, lon), not {cube['water'].dtype} {cube['water'].dims}"]
    return [] if bool(cube["water"].any()) else ["water: not one water pixel"]


def _grid_violations(cube: xr.Dataset) -> list[str]:
    faults = [
        f"{dim}: must ascend"
        for dim in ("lat", "lon")
        if dim in cube.coords and cube[dim].size > 1 and not bool((cube[dim].diff(dim) > 0).all())
    ]
    if "lat" in cube.coords and bool((abs(cube["lat"]) > 90).any()):
        faults.append("lat: outside -90 to 90 degrees")
    if "lon" in cube.coords and bool(((cube["lon"] < -180) | (cube["lon"] >= 540)).any()):
        faults.append("lon: outside -180 to 540 degrees")
    if "lon" in cube.coords and cube["lon"].size and float(np.ptp(cube["lon"].values)) > 360:
        faults.append("lon: spans more than the whole circle")
    return faults


def validate(cube: xr.Dataset) -> xr.Dataset:
    """Return the cube if it meets the schema.

    Raises
    ------
    InputError
        With the list of all violations at once.
    """
    faults = violations(cube)
    if faults:
        raise InputError("not a valid cube:\n" + "\n".join(f"  {line}" for line in faults))
    return cube


def parse_period(text: str) -> slice:
    """Read ``A:B`` (ISO days, months or years, either end may be left out) as a slice of time, both ends included.

    Raises
    ------
    InputError
        If an end is not a date or the period ends before it begins.
    """
    first, colon, last = text.partition(":")
    try:
        if not all(_ISO.fullmatch(end) for end in (first, last) if end):
            raise ValueError("pandas would read 01/02/2021 as the second of January")
        start = pd.Period(first).start_time if first else None
        ending = last if colon else first
        end = pd.Period(ending).end_time if ending else None
    except (ValueError, AttributeError):  # the latter from "nan", which pandas reads as a date that is missing
        raise InputError(f"period {text!r}: write it as 2013-01-01:2016-12-31, 2013:2016 or one day") from None
    if start is not None and end is not None and start > end:
        raise InputError(f"period {text!r}: its end comes before its start")
    return slice(None if start is None else str(start.date()), None if end is None else str(end.date()))


def select_period(cube: xr.Dataset, period: Period | None) -> xr.Dataset:
    """Return the days of a cube within a period, or those listed; the whole cube for None.

    Raises
    ------
    InputError
        If the cube has no day in the period, lacks a day of the list, or the period is none.
    """
    if period is None:
        return cube
    if isinstance(period, str | slice):
        text = period if isinstance(period, str) else _text_of(period)
        chosen = cube.sel(time=parse_period(text))
        if chosen.sizes["time"] == 0:
            raise InputError(f"period {text!r} holds no day of the input, which spans {span(cube)}")
        return chosen
    days = _listed(period)
    lacking = days[~np.isin(days, cube["time"].values.astype("datetime64[D]"))]
    if lacking.size:
        raise InputError(f"the input has no {list_of_days(lacking)}; it spans {span(cube)}")
    return cube.isel(time=np.isin(cube["time"].values.astype("datetime64[D]"), days))


def period_text(cube: xr.Dataset, period: Period | None) -> str | None:
    """Return a period as text, as a configuration holds it; days one by one must follow each other.

    Raises
    ------
    InputError
        As `select_period`; or if days are left out between the first and the last.
    """
    if period is None or isinstance(period, str):
        return period
    if isinstance(period, slice):
        return _text_of(period)
    chosen = select_period(cube, period)
    if len(runs := consecutive(chosen["time"].values)) > 1:
        raise InputError(
            f"the days must follow each other here, without one left out; these are {len(runs)} periods: "
            f"{list_of_days(chosen['time'].values)}"
        )
    return span(chosen)


def _text_of(period: slice) -> str:
    """Return a slice of days as ``A:B``."""
    if period.step is not None:
        raise InputError(f"period {period}: a step is of no use here; give the days one by one")
    ends = (
        end if end is None or isinstance(end, str) else str(_listed(end)[0]) for end in (period.start, period.stop)
    )
    first, last = (end or "" for end in ends)
    return f"{first}:{last}"


def _listed(period: object) -> np.ndarray:
    """Return days that are given one by one, datetime64[D]."""
    given = np.atleast_1d(np.asarray(period))
    if not given.size:
        raise InputError("the period names no day: the list of days is empty")
    shown = ", ".join(f"{one!s:.20}" for one in given.ravel()[:3]) + (", …" if given.size > 3 else "")
    refused = InputError(
        f"period {shown!r}: give text such as '2013:2016' or '2019-06', a slice, a date, or dates in ascending order"
    )
    if given.ndim > 1 or given.dtype.kind not in "MUO":
        raise refused
    if not all(_ISO.fullmatch(one) if isinstance(one, str) else isinstance(one, Day) for one in given.ravel()):
        raise refused
    try:
        times = pd.DatetimeIndex(pd.to_datetime(given))
    except (ValueError, TypeError):  # a date that is none; some with a time zone and some without
        raise refused from None
    times = times if times.tz is None else times.tz_convert("UTC").tz_localize(None)
    days = times.values.astype("datetime64[D]")
    if np.isnat(days).any() or (np.diff(days).astype(int) <= 0).any():
        raise refused
    return days


def span(cube: xr.Dataset | xr.DataArray) -> str:
    """Return the first and last day of a cube as ``A:B``."""
    first, last = (str(value)[:10] for value in cube["time"].values[[0, -1]])
    return f"{first}:{last}"


@dataclass(frozen=True)
class DayRange:
    """Days from a first to a last, both included, datetime64[D]; as text ``A:B``, as `span` writes it."""

    first: np.datetime64
    last: np.datetime64

    @classmethod
    def of(cls, days: np.ndarray) -> Self:
        """Return the range of ascending days."""
        first, last = days[[0, -1]].astype("datetime64[D]")
        return cls(first, last)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `span` or `str` wrote."""
        first, last = text.split(":")
        return cls(np.datetime64(first, "D"), np.datetime64(last, "D"))

    def __str__(self) -> str:
        return f"{self.first}:{self.last}"

    def holds(self, days: np.ndarray) -> np.ndarray:
        """Return for each day whether it lies within."""
        return np.asarray((days >= self.first) & (days <= self.last))


def _time_violations(time: np.ndarray) -> list[str]:
    if not np.issubdtype(time.dtype, np.datetime64):
        return [f"time: type is {time.dtype}, it must be datetime64"]
    if time.size == 0:
        return ["time: not one day"]
    step = np.diff(time.astype("datetime64[D]")).astype(int)
    faults = []
    if (step == 0).any():
        days = np.unique(time.astype("datetime64[D]")[1:][step == 0])
        faults.append(f"time: two images of the same day: {', '.join(map(str, days[:5]))}")
    if (step < 0).any():
        faults.append("time: must ascend")
    if (step > 1).any():
        faults.append("time: days are missing between the first and the last; insert them as empty images")
    return faults
