"""What the products call things: variables, coordinates, masks, quality, units; told by content, not by file name.

Layouts known: Copernicus L3S and L4, GHRSST L2P to L4 alike, OISST, OSTIA, MUR, MODIS and VIIRS L3m, files in the
manner of DINEOF (a variable, ``mask``, ``time``), cubes that sereno wrote, and plain CF.
"""

from __future__ import annotations

import xarray as xr

from sereno.errors import InputError

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
_KELVIN = {"k", "kelvin", "kelvins", "degk", "degree_kelvin", "degrees_kelvin"}
_CELSIUS = {"c", "°c", "degc", "deg_c", "celsius", "degree_c", "degrees_c", "degree_celsius", "degrees_celsius"}
_FAHRENHEIT = {"f", "°f", "degf", "deg_f", "fahrenheit", "degree_fahrenheit", "degrees_fahrenheit"}


def find_field(dataset: xr.Dataset, wanted: str | None, *, origin: str) -> str:
    """Return the name of the variable to reconstruct.

    Raises
    ------
    InputError
        If `wanted` is not there, or nothing (or too much) looks like a sea surface temperature.
    """
    maps = [str(name) for name in dataset.data_vars if dataset[name].ndim >= 2]
    if wanted is not None:
        if wanted not in dataset.data_vars:
            raise InputError(f"{origin}: no variable {wanted!r}; it has {', '.join(maps) or 'no map at all'}")
        return wanted
    if dataset.attrs.get("field") in maps:  # a cube that sereno wrote
        return str(dataset.attrs["field"])
    lowered = {name.lower(): name for name in maps}
    for name in FIELD_NAMES:
        if name in lowered:
            return lowered[name]
    named = [n for n in maps if dataset[n].attrs.get("standard_name") in TEMPERATURE_STANDARD_NAMES]
    if len(named) == 1:
        return named[0]
    found = f"several may be meant: {', '.join(named)}" if named else f"it has {', '.join(maps) or 'no map at all'}"
    raise InputError(
        f"{origin}: no variable recognised as sea surface temperature; {found}. Name one with --variable"
    )


def find_coordinate(dataset: xr.Dataset, axis: str, *, origin: str) -> str:
    """Return the name of the latitude or longitude coordinate (`axis` is ``lat`` or ``lon``).

    Raises
    ------
    InputError
        If there is none, or if it is two-dimensional.
    """
    long = {"lat": "latitude", "lon": "longitude"}[axis]
    units = {"lat": "north", "lon": "east"}[axis]
    names = [str(name) for name in dataset.variables]
    found = [n for n in names if dataset[n].attrs.get("standard_name") == long]
    found += [n for n in names if n.lower() in (axis, long, f"nav_{axis}")]
    found += [n for n in names if str(dataset[n].attrs.get("units", "")).lower().endswith(f"_{units}")]
    if not found:
        raise InputError(f"{origin}: no {long}; give a coordinate the standard_name {long!r}")
    name = found[0]
    if dataset[name].ndim != 1:
        raise InputError(
            f"{origin}: {name} has {dataset[name].ndim} dimensions, a regular grid needs one; "
            "remap the file to a regular latitude-longitude grid first, for example with cdo remapbil"
        )
    return name


def find_time(dataset: xr.Dataset) -> str | None:
    """Return the name of the time coordinate, or None."""
    for name in dataset.variables:
        variable = dataset[name]
        named = str(name).lower() == "time" or variable.attrs.get("standard_name") == "time"
        if variable.ndim <= 1 and (named or variable.attrs.get("axis") == "T"):
            return str(name)
    return None


def kind_of_sst(dataset: xr.Dataset, name: str) -> str:
    """Return which temperature a variable is: skin, subskin, foundation, depth, or unknown where it does not say."""
    field = dataset[name]
    if dataset.attrs.get("field") == name and "sst_type" in dataset.attrs:  # a cube that sereno wrote
        return str(dataset.attrs["sst_type"])
    kind = TEMPERATURE_STANDARD_NAMES.get(str(field.attrs.get("standard_name", "")), "unknown")
    if kind == "unknown":
        told = f"{field.name} {field.attrs.get('long_name', '')}".lower()
        kind = next((word for word in ("subskin", "skin", "foundation") if word in told), "unknown")
    return kind


def is_temperature(field: xr.DataArray) -> bool:
    """Tell a temperature from any other field by its standard name, units or name."""
    units = normal_units(field)
    return (
        str(field.attrs.get("standard_name", "")) in TEMPERATURE_STANDARD_NAMES
        or units in _KELVIN | _CELSIUS | _FAHRENHEIT
        or str(field.name).lower() in FIELD_NAMES
    )


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
    units = normal_units(field)
    if units in _KELVIN:
        return 0.0
    if units in _CELSIUS:
        return 273.15
    if not units:
        return None
    scale = "Fahrenheit" if units in _FAHRENHEIT else f"{field.attrs['units']!r}"
    raise InputError(f"{origin}: {field.name} is in {scale}; convert it to degree_Celsius or kelvin")


def good_quality(dataset: xr.Dataset, level: int) -> xr.DataArray | None:
    """Return where the retrieval is of GHRSST quality `level` or better, or None where the file does not say.

    Ocean-colour L3m files count the other way (``qual_sst``, 0 best): 0 stands for level 5, 1 for level 4.
    """
    if "quality_level" in dataset:
        return dataset["quality_level"] >= level
    if "qual_sst" in dataset:
        return dataset["qual_sst"] <= 5 - level
    return None
