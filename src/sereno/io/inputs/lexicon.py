"""Names that products use for variables, coordinates, masks, quality, units; recognised by content, not by file name.

Layouts known: Copernicus L3S and L4, GHRSST L2P to L4 alike, OISST, OSTIA, MUR, MODIS and VIIRS L3m, files in the
manner of DINEOF (a variable, ``mask``, ``time``), cubes that sereno wrote, and plain CF.
"""

from __future__ import annotations

import re

import xarray as xr

from sereno.cube import DESCRIPTION
from sereno.errors import InputError
from sereno.io.inputs.flags import words

FIELD_NAMES = (
    "adjusted_sea_surface_temperature",
    "sea_surface_temperature",
    "analysed_sst",
    "sst",
    "sst_skin",
    "sst4",
    "tos",
    "surface_temperature",
)
"""Names of SST variables, the one to be preferred first: the adjusted one is free of the bias between sensors."""
TEMPERATURE_STANDARD_NAMES = {
    "sea_surface_temperature": "unknown",
    "sea_surface_skin_temperature": "skin",
    "sea_surface_subskin_temperature": "subskin",
    "sea_surface_foundation_temperature": "foundation",
    "sea_water_temperature": "depth",
    "surface_temperature": "unknown",
}
"""CF standard names of SST and the kind of SST each means."""
ERROR_NAMES = ("sses_standard_deviation", "sst_error")
_LISTED = 20
_DEGREE = r"(?:°|º|˚|deg(?:ree)?s?)?"
_SCALES = {
    "kelvin": re.compile(rf"{_DEGREE}(?:k|kelvins?)"),
    "Celsius": re.compile(rf"{_DEGREE}(?:c|celsius|celcius|centigrade)|℃"),
    "Fahrenheit": re.compile(rf"{_DEGREE}(?:f|fahrenheit)|℉"),
}
_DIFFERENCES = re.compile(
    r"anom(?:aly|alies|s)?|ssta|differences?|diff|departures?|deviations?|tendency|increments?|delta"
)
"""Words that always mean a difference of temperatures."""
_SPREADS = re.compile(
    r"errors?|err|std|stdev|stddev|sd|bias|sses|uncertainty|rmsd?|rmse|variance|spread|gradients?|grad|trends?"
)
"""Words that mean one where they name a variable, and in a longer text unless it says that they were taken off."""
_TAKEN_OFF = re.compile(r"correct(?:ed|ion)|adjust(?:ed|ment)|remov(?:ed|al)|free|without|minus|less|debiased")


def find_field(dataset: xr.Dataset, wanted: str | None, *, origin: str) -> str:
    """Return the name of the variable to reconstruct.

    Raises
    ------
    InputError
        If `wanted` is not there, or nothing (or too much) looks like a sea surface temperature.
    """
    maps = [str(name) for name in dataset.data_vars if dataset.variables[name].ndim >= 2]
    if wanted is not None:
        if wanted not in dataset.data_vars:
            raise InputError(f"{origin}: no variable {wanted!r}; it has {_listed(maps)}")
        return wanted
    if str(dataset.attrs.get("field")) in maps:  # a cube that sereno wrote
        return str(dataset.attrs["field"])
    lowered = {name.lower(): name for name in maps}
    for name in FIELD_NAMES:
        if name in lowered:
            return lowered[name]
    named = [
        name
        for name in maps
        if str(dataset.variables[name].attrs.get("standard_name")) in TEMPERATURE_STANDARD_NAMES
        and not is_difference(dataset[name])
    ]
    if len(named) == 1:
        return named[0]
    remark = f"several may be meant: {', '.join(named)}" if named else f"it has {_listed(maps)}"
    raise InputError(f"{origin}: no variable recognised as sea surface temperature; {remark}. Name one by `variable`")


def _listed(names: list[str]) -> str:
    """Write names, the first twenty of many."""
    more = [f"and {len(names) - _LISTED} more"] * (len(names) > _LISTED)
    return ", ".join([*names[:_LISTED], *more]) or "no map at all"


def kind_of_sst(dataset: xr.Dataset, name: str) -> str:
    """Return which temperature a variable is: skin, subskin, foundation, depth, or unknown where it does not say."""
    field = dataset[name]
    if str(dataset.attrs.get("field")) == name and "sst_type" in dataset.attrs:  # a cube that sereno wrote
        return str(dataset.attrs["sst_type"])
    kind = TEMPERATURE_STANDARD_NAMES.get(str(field.attrs.get("standard_name", "")), "unknown")
    if kind == "unknown":
        text = f"{field.name} {field.attrs.get('long_name', '')}".lower()
        kind = next((word for word in ("subskin", "skin", "foundation") if word in text), "unknown")
    return kind


def description(field: xr.DataArray) -> dict[str, str]:
    """Return what a field says about itself in words of CF, which an analysis of it keeps."""
    return {name: str(field.attrs[name]) for name in DESCRIPTION if isinstance(field.attrs.get(name), str)}


def is_temperature(field: xr.DataArray) -> bool:
    """Return whether a field is a temperature, or a difference of temperatures, by standard name, units or name."""
    known = str(field.attrs.get("standard_name", "")) in TEMPERATURE_STANDARD_NAMES
    named = str(field.name).lower() in FIELD_NAMES
    return (known or named or scale_of(field) is not None) and not is_difference(field)


def is_difference(field: xr.DataArray) -> bool:
    """Return whether a variable is an anomaly, error, bias, spread or gradient, by all its attributes.

    Examples
    --------
    >>> is_difference(xr.DataArray(0.5, name="sst", attrs={"long_name": "SST anomaly", "units": "degree_C"}))
    True
    >>> is_difference(xr.DataArray(20.5, name="sst", attrs={"long_name": "SST, bias corrected", "units": "degree_C"}))
    False
    """
    attrs = {
        key: str(field.attrs.get(key, "")).lower() for key in ("units_metadata", "cell_methods", "standard_name")
    }
    if "difference" in attrs["units_metadata"] or re.search(
        r":\s*(standard_deviation|variance|range)", attrs["cell_methods"]
    ):
        return True
    if "on_scale" in attrs["units_metadata"]:
        return False
    short, long = (words(str(text)) for text in (field.name, field.attrs.get("long_name", "")))
    every = [*short, *long, *words(attrs["standard_name"])]
    if any(_DIFFERENCES.fullmatch(word) or "anom" in word for word in every):
        return True
    if any(_SPREADS.fullmatch(word) for word in (*short, *words(attrs["standard_name"]))):
        return not any(_TAKEN_OFF.fullmatch(word) for word in short)
    known = attrs["standard_name"] in TEMPERATURE_STANDARD_NAMES or str(field.name).lower() in FIELD_NAMES
    return not known and any(map(_SPREADS.fullmatch, long)) and not any(map(_TAKEN_OFF.fullmatch, long))


def scale_of(field: xr.DataArray) -> str | None:
    """Return kelvin, Celsius or Fahrenheit by `units`, in whatever spelling; None where they are none of these."""
    text = re.sub(r"[\s_.^-]+", "", str(field.attrs.get("units", "")).lower())
    return next((scale for scale, spelling in _SCALES.items() if spelling.fullmatch(text)), None)


def normal_units(field: xr.DataArray) -> str:
    """Return the units in lower case with underscores, so that spellings can be compared."""
    return "_".join(str(field.attrs.get("units", "")).strip().lower().split())


def kelvin_offset(field: xr.DataArray, *, origin: str) -> float | None:
    """Return what must be added to reach kelvin, by `units`; None where the units are not said.

    Raises
    ------
    InputError
        If the units are those of another scale.
    """
    if not normal_units(field):
        return None
    scale = scale_of(field)
    if scale in ("kelvin", "Celsius"):
        return 0.0 if scale == "kelvin" else 273.15
    unit = scale or f"{field.attrs['units']!r}"
    raise InputError(f"{origin}: {field.name} is in {unit}; convert it to degree_Celsius or kelvin")
