"""Attributes: missing, of another type, of another spelling, contradicting the values."""

from __future__ import annotations

from typing import Any

import numpy as np

from fuzz.sea import Expect, File, Inputs, NotApplicableError, Var, unpacked

PACKING = ("scale_factor", "add_offset")
CELSIUS = ("degreeC", "deg_C", "degC", "°C", "celsius", "Celsius", "degrees_Celsius", "deg. C", "C", "℃", "Celcius")
KELVIN = ("K", "Kelvin", "kelvins", "degK", "deg_K", "KELVIN", "degrees_kelvin")


def _with(inputs: Inputs, rng: np.random.Generator, *names: str) -> list[Var]:
    """Return the field of some files, if it has one of the attributes."""
    found = [var for var in inputs.fields(inputs.some(rng)) if any(name in var.attrs for name in names)]
    if not found:
        raise NotApplicableError
    return found


def _typed(inputs: Inputs) -> None:
    """Leave out the formats that cannot hold an attribute of the wrong type."""
    if inputs.files[0].format != "NETCDF4":
        raise NotApplicableError


def dropped(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """One attribute of the field fewer; without its packing, values are no sea's."""
    name = str(rng.choice(["units", "scale_factor", "add_offset", "_FillValue", "valid_range"]))
    for var in _with(inputs, rng, name):
        if name == "add_offset" and not var.attrs[name]:
            raise NotApplicableError
        del var.attrs[name]
    return Expect.EITHER


def no_names(inputs: Inputs, rng: np.random.Generator) -> Expect:
    for var in _with(inputs, rng, "standard_name", "long_name"):
        var.attrs.pop("standard_name", None)
        var.attrs.pop("long_name", None)
    return Expect.EITHER


def no_attributes(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Nothing but packing and fill value."""
    for var in inputs.fields():
        var.attrs = {key: var.attrs[key] for key in (*PACKING, "_FillValue") if key in var.attrs}
    return Expect.EITHER


def odd_packing(inputs: Inputs, rng: np.random.Generator) -> Expect:
    name = str(rng.choice(PACKING))
    values = ["0.01", "", 0.0, np.nan, np.inf, -1.0, 1e300, np.array([0.01, 0.01]), np.array([0.01, 1.0]), "x"]
    expect = Expect.EITHER
    for var in _with(inputs, rng, name):
        value = values[rng.integers(len(values))]
        _store(inputs, var, name, value)
        if name == "add_offset" and np.array_equal(value, -1.0):  # a sea that is a little colder
            expect = Expect.ANY
    return expect


def packing_in_arrays(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Attributes of one element."""
    for var in _with(inputs, rng, *PACKING):
        for name in PACKING:
            _store(inputs, var, name, np.array([var.attrs.get(name, 1.0 if name == "scale_factor" else 0.0)]))
    return Expect.SAME


def _store(inputs: Inputs, var: Var, name: str, value: Any) -> None:  # noqa: ANN401
    if isinstance(value, str) or np.ndim(value):
        _typed(inputs)
    var.attrs[name] = value


def other_spelling(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """The units as other producers spell them."""
    if inputs.truth.units != "kelvin":
        raise NotApplicableError
    files = inputs.some(rng)
    warm = np.nanmedian(unpacked(inputs.fields(files)[0])) > 200
    for var in inputs.fields(files):
        var.attrs["units"] = str(rng.choice(KELVIN if warm else CELSIUS))
    return Expect.SAME


def wrong_units(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Units that contradict the values."""
    if inputs.truth.units != "kelvin":
        raise NotApplicableError
    files = inputs.some(rng)
    warm = np.nanmedian(unpacked(inputs.fields(files)[0])) > 200
    units = [*(CELSIUS if warm else KELVIN), "degree_F", "fahrenheit", "degree_Rankine", "mK", "m s-1", "mg m-3", "%"]
    for var in inputs.fields(files):
        var.attrs["units"] = str(rng.choice(units))
    return Expect.EITHER


def units_of_another_type(inputs: Inputs, rng: np.random.Generator) -> Expect:
    _typed(inputs)
    values: list[Any] = [1, 0.01, np.array([1, 2]), "", " ", ["K", "K"], "kelvin\x00", "k" * 10000]
    name = str(rng.choice(["units", "standard_name", "long_name", "coordinates", "cell_methods", "grid_mapping"]))
    for var in inputs.fields(inputs.some(rng)):
        var.attrs[name] = values[rng.integers(len(values))]
    return Expect.EITHER


def units_of_coordinates(inputs: Inputs, rng: np.random.Generator) -> Expect:
    _typed(inputs)
    values: list[Any] = [1, np.array([1.5, 2.5]), "", "degrees", "m", ["a", "b"]]
    for file in inputs.some(rng):
        for name in (inputs.lat, inputs.lon):
            file.variables[name].attrs[str(rng.choice(["units", "standard_name", "axis"]))] = values[
                rng.integers(len(values))
            ]
    return Expect.EITHER


def another_standard_name(inputs: Inputs, rng: np.random.Generator) -> Expect:
    names = [
        "sea_surface_temperature_anomaly",
        "air_temperature",
        "sea_surface_salinity",
        "latitude",
        "time",
        "x" * 300,
    ]
    for var in inputs.fields(inputs.some(rng)):
        var.attrs["standard_name"] = str(rng.choice(names))
    return Expect.EITHER


def odd_fill_value(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """A fill value of another type, or several."""
    _typed(inputs)
    values = [
        "-32768",
        "nan",
        np.float64(-32768),
        np.array([-32768, -999], "int16"),
        np.int64(-32768),
        np.float32(np.nan),
    ]
    for var in inputs.fields(inputs.some(rng)):
        var.attrs["_FillValue"] = values[rng.integers(len(values))]
    return Expect.EITHER


def missing_value(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """A second attribute for missing values: the same one, or another type."""
    for var in _with(inputs, rng, "_FillValue"):
        fill = var.attrs["_FillValue"]
        other: Any = fill if rng.random() < 0.5 else np.float64(-999.0)
        if rng.random() < 0.2:
            _typed(inputs)
            other = "missing"
        var.attrs["missing_value"] = other
    return Expect.EITHER


def fill_value_among_the_values(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """A fill value that is also one of the values observed: those are missing, as CF reads them."""
    if any(var.values.dtype.kind != "i" for var in inputs.fields()):
        raise NotApplicableError
    for file, index in zip(inputs.files, range(len(inputs.files)), strict=True):
        images, var = inputs.images(file), file.variables[inputs.field]
        common = images[0, 3, 5]
        images[images == var.attrs["_FillValue"]] = common
        var.attrs["_FillValue"] = common
        first = index if inputs.daily else 0
        inputs.truth.observed[first : first + len(images)][images == common] = np.nan
    return Expect.EITHER


def narrow_valid_range(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """A range in packed units that leaves out the warmest: those are missing, as netCDF4 reads them."""
    fields = inputs.fields()
    if any(var.values.dtype.kind != "i" for var in fields):
        raise NotApplicableError
    limit = np.nanquantile(inputs.truth.observed, 0.8)
    for var in fields:
        kind = var.values.dtype.type
        top = kind(
            np.floor((limit - var.attrs.get("add_offset", 0.0) - _celsius(var)) / var.attrs.get("scale_factor", 1.0))
        )
        bottom = kind(np.iinfo(kind).min + 1)
        for name in ("valid_min", "valid_max", "valid_range"):
            var.attrs.pop(name, None)
        if rng.random() < 0.5:
            var.attrs["valid_range"] = np.array([bottom, top])
        else:
            var.attrs |= {"valid_min": bottom, "valid_max": top}
    with np.errstate(invalid="ignore"):
        inputs.truth.observed[inputs.truth.observed > limit + 0.011] = np.nan
    return Expect.EITHER


def _celsius(var: Var) -> float:
    return 0.0 if var.attrs.get("add_offset", 0.0) > 200 else 273.15


def odd_valid_range(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """A range in real units, of three numbers, upside down, of text: never a reason to blank a field silently."""
    var = inputs.fields()[0]
    values = unpacked(var)
    low, high = float(np.nanmin(values)) - 5, float(np.nanmax(values)) + 5
    odd: list[Any] = [
        np.array([low, high]), np.array([low, high], "float32"), np.array([high, low]), np.array([low]), "0, 40",
        np.array([np.nan, np.nan]), np.array([1.0, 2.0, 3.0]), np.array([-32768, 65535], "int32"),
    ]  # fmt: skip
    value = odd[rng.integers(len(odd))]
    for each in inputs.fields(inputs.some(rng)):
        _store(inputs, each, "valid_range", value)
    return Expect.EITHER


def odd_flags(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Flags of the mask or of the quality as text, too few, of numbers for words."""
    _typed(inputs)
    names = [
        name for name in (inputs.mask, "quality_level", "qual_sst") if name and name in inputs.files[0].variables
    ]
    if not names:
        raise NotApplicableError
    name = str(rng.choice(names))
    key = str(rng.choice(["flag_values", "flag_masks", "flag_meanings"]))
    values: list[Any] = [
        "0, 1",
        "1 2",
        np.array([1], "int8"),
        3.5,
        "",
        ["a", "b"],
        np.array([], "int8"),
        "sea " * 500,
    ]
    for file in inputs.some(rng):
        file.variables[name].attrs[key] = values[rng.integers(len(values))]
    return Expect.EITHER


def odd_quality(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """A quality level of another type or shape, which must not sink or blank a good field silently."""
    files = [file for file in inputs.some(rng) if "quality_level" in file.variables]
    if not files:
        raise NotApplicableError
    kind = int(rng.integers(4))
    for file in files:
        var = file.variables["quality_level"]
        if kind == 0:
            var.values = var.values.astype("float64")
            var.attrs.pop("_FillValue")
        elif kind == 1:
            var.values = np.array(5, "int8")
            var.dims = ()
        elif kind == 2:
            var.values, var.dims = np.full(3, 5, "int8"), ("quality",)
        else:
            var.values = np.full(var.values.shape, b"5", "S1")
            var.attrs = {}
    return Expect.EITHER


def odd_error(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """The error of each observation, negative, absurd, or of another shape."""
    files = [file for file in inputs.some(rng) if "sses_standard_deviation" in file.variables]
    if not files:
        raise NotApplicableError
    kind = int(rng.integers(5))
    for file in files:
        var = file.variables["sses_standard_deviation"]
        var.attrs = {"units": "kelvin"}
        shape = var.values.shape
        if kind == 4:
            var.values, var.dims = np.zeros(3, "float32"), ("errors",)
        else:
            var.values = np.full(shape, [-1.0, 0.0, np.inf, 1e30][kind], "float32")
    return Expect.EITHER


def odd_global(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Attributes of the file that say nothing of the field."""
    file: File
    odd: dict[str, Any] = {
        "Conventions": 1.7, "institution": np.array([1, 2, 3]), "title": "", "history": "é" * 20000,
        "comment": "\x07\x1b[31m", "geospatial_lat_min": "north", "processing_level": 3,
    }  # fmt: skip
    for file in inputs.some(rng):
        name = str(rng.choice(list(odd)))
        if not isinstance(odd[name], str):
            _typed(inputs)
        file.attrs[name] = odd[name]
    return Expect.SAME
