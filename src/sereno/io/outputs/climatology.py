"""The file of a daily climatology: what it says about itself after CF-1.11."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from sereno.config import ClimatologyConfig
from sereno.cube import field_name, field_of
from sereno.io.outputs.level4 import ISO
from sereno.io.outputs.provenance import SST_TYPES

CUSTOMARY_YEARS = 30
"""Length of a base period that Hobday et al. (2016) ask for, and of the normals of the WMO."""
_SCALES = {"value": "on_scale", "spread": "difference"}
"""CF ``units_metadata`` of a temperature and of a difference of temperatures."""
_METHODS = {
    "harmonics": "regression of each pixel on a mean, harmonics of the year and a linear trend, which stands at its "
    "mean over the base period",
    "window": "mean over a window of days of the year, then a moving average, after Hobday et al. (2016, Progress in "
    "Oceanography 141, 227-238), on departures from a regression on harmonics and trend",
}


def describe_climatology(made: xr.Dataset, cube: xr.Dataset, config: ClimatologyConfig) -> xr.Dataset:
    """Return a climatology with the attributes of its file.

    Parameters
    ----------
    made
        As `sereno.climatology.daily_climatology` returns it.
    cube
        The cube it was made from.
    config
        The settings it was made with.
    """
    made = made.copy()
    field = field_of(cube)
    units = str(field.attrs.get("units", "1"))
    scales: dict[str, dict[str, str]] = {"value": {}, "spread": {}}
    standard_name, what = field.attrs.get("standard_name"), field_name(cube)
    if what == "sst" and units == "kelvin":
        standard_name, what = SST_TYPES[cube.attrs.get("sst_type") or "unknown"][0], "sea surface temperature"
        scales = {key: {"units_metadata": f"temperature: {kind}"} for key, kind in _SCALES.items()}
    named = {} if standard_name is None else {"standard_name": str(standard_name)}
    attributes: dict[str, dict[str, Any]] = {
        "climatology": {
            "long_name": f"climatology of {what} on each day of the year",
            "ancillary_variables": " ".join(str(name) for name in made.data_vars if name != "climatology"),
            "units": units,
        }
        | named
        | scales["value"],
        "climatology_std": {
            "long_name": "standard deviation of the anomalies from the climatology in the base period",
            "units": units,
        }
        | scales["spread"],
        "count": {"long_name": "observations in the base period", "units": "1"},
        "window_count": {"long_name": "observations in the window of each day of the year", "units": "1"},
        "dayofyear": {"long_name": "day of a leap year: 1 March is always day 61", "units": "1"},
        "lat": {"standard_name": "latitude", "long_name": "latitude", "units": "degrees_north", "axis": "Y"},
        "lon": {"standard_name": "longitude", "long_name": "longitude", "units": "degrees_east", "axis": "X"},
    }
    for name in made.variables:
        made[name].attrs = attributes[str(name)]
    made.attrs = _global_attributes(made, what, config)
    return made


def _global_attributes(made: xr.Dataset, what: str, config: ClimatologyConfig) -> dict[str, Any]:
    first, last = made.attrs["base_period_start"], made.attrs["base_period_end"]
    now, sereno = pd.Timestamp.now("UTC").strftime(ISO), version("sereno")
    settings = ["neighbours", "strength", *(["window", "smoothing"] if config.kind == "window" else [])]
    return {
        "Conventions": "CF-1.11",
        "title": f"Daily climatology of {what}, {first} to {last}",
        "summary": f"Climatology of {what} on each day of the year, from gappy images: {_METHODS[config.kind]}.",
        "source": "Level-3 satellite observations",
        "history": f"{now} sereno {sereno}: climatology by {config.kind}",
        "date_created": now,
        "sereno_version": sereno,
        "climatology_method": config.kind,
        **made.attrs,
        **{name: getattr(config, name) for name in settings},
        **_lacking(first, last, int(made.attrs["harmonics"])),
    }


def _lacking(first: str, last: str, harmonics: int) -> dict[str, str]:
    """Return a comment on a base period that is too short, or nothing."""
    days = int((np.datetime64(last) - np.datetime64(first)) / np.timedelta64(1, "D")) + 1
    if days >= 0.99 * CUSTOMARY_YEARS * 365:
        return {}
    length = f"{days} days" if days < 730 else f"{days / 365.25:.0f} years"
    comment = f"The base period is {length} long; {CUSTOMARY_YEARS} years are customary."
    if not harmonics:
        comment += " It has no annual cycle: every day has the same map."
    return {"comment": comment}
