"""Types in which numbers are stored."""

from __future__ import annotations

import numpy as np

from fuzz.sea import Expect, Inputs, NotApplicableError, Var, pack, to_float, unpacked


def _repack(var: Var, dtype: str, *, fill: int, offset: float) -> None:
    values = unpacked(var)
    counts, told = pack(values, dtype, scale=0.01, offset=offset, fill=fill)
    for name in ("valid_min", "valid_max", "valid_range"):
        var.attrs.pop(name, None)
    var.values, var.attrs = counts, var.attrs | told


def _temperature(inputs: Inputs) -> None:
    if inputs.truth.units != "kelvin":
        raise NotApplicableError


def _offset(inputs: Inputs) -> float:
    return 273.15 if np.nanmedian(unpacked(inputs.fields()[0])) > 200 else 0.0


def floats(inputs: Inputs, rng: np.random.Generator) -> Expect:
    for var in inputs.fields(inputs.some(rng)):
        to_float(var, str(rng.choice(["float32", "float64"])))
    return Expect.SAME


def wide_counts(inputs: Inputs, rng: np.random.Generator) -> Expect:
    _temperature(inputs)
    offset = _offset(inputs)
    for var in inputs.fields(inputs.some(rng)):
        _repack(var, "int32", fill=-(2**31), offset=offset)
    return Expect.SAME


def unsigned_counts(inputs: Inputs, rng: np.random.Generator) -> Expect:
    _temperature(inputs)
    if inputs.files[0].format == "NETCDF3_CLASSIC":
        raise NotApplicableError
    offset = _offset(inputs)
    for var in inputs.fields(inputs.some(rng)):
        _repack(var, "uint16", fill=65535, offset=offset)
    return Expect.SAME


def unsigned_by_attribute(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Signed counts that ``_Unsigned`` says to read as unsigned, as classic files do it."""
    _temperature(inputs)
    offset = _offset(inputs)
    for var in inputs.fields():
        _repack(var, "int16", fill=-1, offset=offset)
        var.attrs["_Unsigned"] = "true"
    return Expect.SAME


def narrow_counts(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """A tenth of a kelvin in eight bits: right, but coarse."""
    _temperature(inputs)
    offset = _offset(inputs) + 15
    for var in inputs.fields():
        values = np.round(unpacked(var), 1)
        counts, told = pack(values, "int8", scale=0.1, offset=offset, fill=-128)
        for name in ("valid_min", "valid_max", "valid_range"):
            var.attrs.pop(name, None)
        var.values, var.attrs = counts, var.attrs | told
    return Expect.ANY


def big_endian(inputs: Inputs, rng: np.random.Generator) -> Expect:
    if inputs.files[0].format == "NETCDF3_CLASSIC":  # always big-endian
        raise NotApplicableError
    for file in inputs.some(rng):
        for name in (inputs.field, inputs.lat, inputs.lon):
            var = file.variables[name]
            var.values = var.values.astype(var.values.dtype.newbyteorder(">"))
    return Expect.SAME


def integers_that_are_no_counts(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Whole degrees, without packing."""
    _temperature(inputs)
    for var in inputs.fields():
        values = np.round(unpacked(var))
        var.values = np.where(np.isfinite(values), values, -999).astype("int16")
        var.attrs = {k: v for k, v in var.attrs.items() if k in ("units", "standard_name", "long_name")}
        var.attrs["_FillValue"] = np.int16(-999)
    return Expect.ANY


def text_for_the_field(inputs: Inputs, rng: np.random.Generator) -> Expect:
    if inputs.files[0].format != "NETCDF4":
        raise NotApplicableError
    for var in inputs.fields(inputs.some(rng)):
        var.values = np.char.mod("%.2f", unpacked(var)).astype(object)
        var.attrs.pop("_FillValue", None)
        var.attrs.pop("scale_factor", None)
        var.attrs.pop("add_offset", None)
    return Expect.EITHER


def characters_for_the_field(inputs: Inputs, rng: np.random.Generator) -> Expect:
    for var in inputs.fields(inputs.some(rng)):
        var.values = np.full(var.values.shape, b"x", "S1")
        for name in ("_FillValue", "scale_factor", "add_offset", "valid_min", "valid_max", "valid_range"):
            var.attrs.pop(name, None)
    return Expect.REFUSE


def truth_values_for_the_field(inputs: Inputs, rng: np.random.Generator) -> Expect:
    warm = np.nanmedian(unpacked(inputs.fields()[0])) > 200
    for var in inputs.fields():
        var.values = np.isfinite(unpacked(var)).astype("int8")
        for name in ("_FillValue", "scale_factor", "add_offset", "valid_min", "valid_max", "valid_range"):
            var.attrs.pop(name, None)
    return Expect.REFUSE if warm else Expect.ANY  # 0 and 1 °C are a cold sea


def coordinates_in_other_floats(inputs: Inputs, rng: np.random.Generator) -> Expect:
    kind = str(rng.choice(["float32", "float64"]))
    for file in inputs.some(rng):
        for name in (inputs.lat, inputs.lon):
            file.variables[name].values = file.variables[name].values.astype(kind)
    return Expect.SAME


def packed_coordinates(inputs: Inputs, rng: np.random.Generator) -> Expect:
    for file in inputs.some(rng):
        for name in (inputs.lat, inputs.lon):
            var = file.variables[name]
            var.values = np.round(np.asarray(var.values, float) / 0.005).astype("int32")
            var.attrs |= {"scale_factor": 0.005, "add_offset": 0.0}
    return Expect.SAME


def text_for_latitude(inputs: Inputs, rng: np.random.Generator) -> Expect:
    if inputs.files[0].format != "NETCDF4":
        raise NotApplicableError
    for file in inputs.some(rng):
        var = file.variables[inputs.lat]
        var.values = np.array([f"{value}N" for value in var.values], object)
    return Expect.REFUSE


def times_in_other_types(inputs: Inputs, rng: np.random.Generator) -> Expect:
    if inputs.time is None:
        raise NotApplicableError
    kind = "int64" if inputs.files[0].format == "NETCDF4" and rng.random() < 0.5 else "float64"
    for file in inputs.some(rng):
        var = file.variables[inputs.time]
        if kind == "int64" and np.any(var.values != np.round(var.values)):
            raise NotApplicableError
        var.values = var.values.astype(kind)
    return Expect.SAME


def times_as_text(inputs: Inputs, rng: np.random.Generator) -> Expect:
    if inputs.time is None or inputs.files[0].format != "NETCDF4":
        raise NotApplicableError
    days = iter(inputs.truth.days)
    for file in inputs.files:
        var = file.variables[inputs.time]
        var.values = np.array([f"{next(days)}T12:00:00Z" for _ in var.values], object)
        var.attrs = {"standard_name": "time"}
    return Expect.EITHER


def odd_side_variable(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """A further variable of another type or shape that has nothing to do with the field."""
    if inputs.files[0].format != "NETCDF4":
        raise NotApplicableError
    odd = {
        "platform": Var((), np.array("NOAA-20", object)),
        "crs": Var((), np.array(-2147483647, "int32"), {"grid_mapping_name": "latitude_longitude"}),
        "history_of_calls": Var(("calls",), np.array(["a", "b", "ü"], object)),
        "scan_line": Var(("line", "char"), np.full((4, 7), b"x", "S1")),
        "big": Var(("line", "w"), np.full((4, 3), 2**63, "uint64"), {"scale_factor": 1e300}),
    }
    name = str(rng.choice(list(odd)))
    for file in inputs.some(rng):
        file.variables[name] = odd[name]
    return Expect.SAME
