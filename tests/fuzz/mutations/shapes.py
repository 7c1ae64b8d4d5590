"""Dimensions and how data are stored along them."""

from __future__ import annotations

import numpy as np

from fuzz.sea import Expect, File, Inputs, NotApplicableError, Var


def _insert(var: Var, dim: str, size: int, at: int = 0) -> None:
    var.values = np.repeat(np.expand_dims(var.values, at), size, axis=at)
    var.dims = (*var.dims[:at], dim, *var.dims[at:])


def a_level(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """A dimension of one level more."""
    for file in inputs.files:
        _insert(file.variables[inputs.field], "depth", 1, int(rng.integers(3)))
        if rng.random() < 0.5:
            file.variables["depth"] = Var(("depth",), np.zeros(1, "float32"), {"units": "m"})
    return Expect.SAME


def two_levels(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Two levels, one of which is another sea: not to be guessed."""
    for file in inputs.files:
        var = file.variables[inputs.field]
        _insert(var, "level", 2)
        var.values[int(rng.integers(2))] = np.roll(var.values[0], 5, axis=-1)
    return Expect.REFUSE


def transposed(inputs: Inputs, rng: np.random.Generator) -> Expect:
    for file in inputs.some(rng):
        var = file.variables[inputs.field]
        order = rng.permutation(len(var.dims))
        var.values, var.dims = np.ascontiguousarray(var.values.transpose(order)), tuple(var.dims[i] for i in order)
    return Expect.SAME


def _keep(file: File, dim: str, index: slice) -> None:
    for var in file.variables.values():
        if dim in var.dims:
            var.values = var.values[tuple(index if d == dim else slice(None) for d in var.dims)]


def one_row(inputs: Inputs, rng: np.random.Generator) -> Expect:
    for file in inputs.some(rng):
        _keep(file, file.variables[inputs.lat].dims[0], slice(3, 4))
    return Expect.REFUSE


def no_row(inputs: Inputs, rng: np.random.Generator) -> Expect:
    name = str(rng.choice([inputs.lat, inputs.lon] + ([inputs.time] if inputs.time else [])))
    for file in inputs.some(rng):
        _keep(file, file.variables[name].dims[0], slice(0, 0))
    return Expect.REFUSE


def fewer_rows_in_one_file(inputs: Inputs, rng: np.random.Generator) -> Expect:
    if not inputs.daily:
        raise NotApplicableError
    file = inputs.files[rng.integers(len(inputs.files))]
    _keep(file, file.variables[inputs.lat].dims[0], slice(0, 7))
    return Expect.REFUSE


def latitude_of_another_length(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Coordinates that do not belong to the field."""
    if inputs.files[0].format.startswith("zarr"):
        raise NotApplicableError
    for file in inputs.some(rng):
        var = file.variables[inputs.lat]
        var.dims, var.values = ("other",), var.values[: int(rng.integers(1, 8))]
    return Expect.REFUSE


def unlimited(inputs: Inputs, rng: np.random.Generator) -> Expect:
    if inputs.time is None or inputs.files[0].format.startswith("zarr"):
        raise NotApplicableError
    for file in inputs.files:
        file.storage["unlimited"] = ("time",)
        file.variables = dict(sorted(file.variables.items(), key=lambda item: "time" not in item[1].dims))
    return Expect.SAME


def other_storage(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Chunks, compression, checksums."""
    if inputs.files[0].format != "NETCDF4":
        raise NotApplicableError
    for file in inputs.some(rng):
        file.storage |= {"chunks": int(rng.integers(1, 9)), "zlib": True, "fletcher32": bool(rng.random() < 0.5)}
        file.storage["shuffle"] = bool(rng.random() < 0.5)
    return Expect.SAME


def more_maps(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Further maps of names that say nothing."""
    for file in inputs.some(rng):
        var = file.variables[inputs.field]
        for index in range(int(rng.integers(1, 40))):
            file.variables[f"layer_{index}"] = Var(var.dims, np.zeros(var.values.shape, "float32"))
    return Expect.SAME


def a_second_sea(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """A second variable that says of itself what the first says, without its name."""
    for file in inputs.files:
        var = file.variables[inputs.field]
        copy = Var(var.dims, np.ascontiguousarray(np.flip(var.values, -1)), dict(var.attrs))
        file.variables = {"estimate": copy, **file.variables}
    return Expect.EITHER


def field_by_another_name(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """The field named otherwise, told by its standard name or by ``--variable``."""
    name = str(rng.choice(["temperature at the surface", "SST_day.mean", "t-skin", "X"]))
    if inputs.files[0].format != "NETCDF4":
        name = "X"
    for file in inputs.files:
        file.variables[name] = file.variables.pop(inputs.field)
    inputs.options += ["--variable", name]
    inputs.field = name
    return Expect.EITHER


def only_the_field(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Nothing but the field and its coordinates."""
    kept = {inputs.field, inputs.lat, inputs.lon, inputs.time, inputs.mask}
    for file in inputs.some(rng):
        file.variables = {name: var for name, var in file.variables.items() if name in kept}
    return Expect.ACCEPT
