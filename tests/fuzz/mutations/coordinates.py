"""Latitudes and longitudes."""

from __future__ import annotations

import numpy as np

from fuzz.sea import COLUMNS, ROWS, Expect, File, Inputs, NotApplicableError, Var


def _reverse(file: File, name: str) -> None:
    (dim,) = file.variables[name].dims
    for var in file.variables.values():
        if dim in var.dims:
            var.values = np.ascontiguousarray(np.flip(var.values, var.dims.index(dim)))


def _set(inputs: Inputs, name: str, change, files: list[File] | None = None) -> None:  # noqa: ANN001
    """Change the values of a coordinate, in double precision."""
    for file in files or inputs.files:
        var = file.variables[name]
        var.values = change(np.asarray(var.values, float))


def upside_down(inputs: Inputs, rng: np.random.Generator) -> Expect:
    for file in inputs.some(rng):
        _reverse(file, inputs.lat)
    return Expect.SAME


def westward(inputs: Inputs, rng: np.random.Generator) -> Expect:
    for file in inputs.some(rng):
        _reverse(file, inputs.lon)
    return Expect.SAME


def other_turn(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """The same longitudes a turn further, 0 to 360 or −180 to 180."""
    if inputs.layout == "imos":
        raise NotApplicableError
    turn = 360 if inputs.fields and np.all(np.asarray(inputs.files[0].variables[inputs.lon].values) < 0) else -360
    _set(inputs, inputs.lon, lambda lon: lon + turn, inputs.some(rng))
    return Expect.SAME


def across_the_dateline(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """In the open Pacific, as one ascending axis or as one that falls from 180 to −180."""
    wrapped, past = rng.random() < 0.5, inputs.layout == "imos"
    lon, lat = 178.125 + 0.25 * np.arange(COLUMNS), inputs.truth.lat if past else -35.875 + 0.25 * np.arange(ROWS)
    moved = (lon + 180) % 360 - 180 if wrapped else lon
    for file in inputs.files:
        for name, old, new in ((inputs.lon, inputs.truth.lon, moved), (inputs.lat, inputs.truth.lat, lat)):
            var = file.variables[name]
            places = np.argmin(abs((np.asarray(var.values, float)[:, None] - old + 180) % 360 - 180), axis=1)
            var.values = new[places]
    inputs.truth.lon, inputs.truth.lat = lon, lat
    return Expect.ACCEPT


def cyclic_column(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """The globe, its first column repeated at its end."""
    if inputs.layout == "imos" or not set(inputs.fields()[0].dims) >= {inputs.lon}:
        raise NotApplicableError
    inputs.truth.lon = 22.5 * np.arange(COLUMNS)
    for file in inputs.files:
        (dim,) = file.variables[inputs.lon].dims
        file.variables[inputs.lon].values = 22.5 * np.arange(COLUMNS)
        for name, var in file.variables.items():
            if dim in var.dims:
                axis = var.dims.index(dim)
                first = np.take(var.values, [0], axis) + (360 if name == inputs.lon else 0)
                var.values = np.concatenate([var.values, first.astype(var.values.dtype)], axis)
    inputs.truth.water = None if inputs.mask is None else inputs.truth.water
    return Expect.ANY if inputs.mask is None else Expect.ACCEPT


def meshgrid(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """A regular grid given as latitude and longitude of each cell."""
    for file in inputs.files:
        lat, lon = file.variables[inputs.lat], file.variables[inputs.lon]
        dims = (*lat.dims, *lon.dims)
        grids = np.meshgrid(lat.values, lon.values, indexing="ij")
        for name, var, grid in ((inputs.lat, lat, grids[0]), (inputs.lon, lon, grids[1])):
            renamed = {"lat": "y", "lon": "x", "latitude": "y", "longitude": "x"}
            attrs = {key: value for key, value in var.attrs.items() if key != "axis"}
            file.variables[name] = Var(tuple(renamed[d] for d in dims), grid, attrs)
        for var in file.variables.values():
            var.dims = tuple(renamed.get(d, d) for d in var.dims)
        for var in inputs.fields([file]):
            var.attrs["coordinates"] = f"{inputs.lon} {inputs.lat}"
    return Expect.SAME


def curvilinear(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """A grid turned by twenty degrees."""
    meshgrid(inputs, rng)
    for file in inputs.files:
        lat, lon = file.variables[inputs.lat], file.variables[inputs.lon]
        north, east = np.asarray(lat.values, float), np.asarray(lon.values, float)
        lat.values = north + 0.3 * (east - east.mean())
        lon.values = east - 0.3 * (north - north.mean())
    return Expect.REFUSE


def map_beside_axes(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """The axes, and besides them the latitude of each cell or of a point, of the same standard name."""
    for file in inputs.files:
        lat = file.variables[inputs.lat]
        grid = np.repeat(np.asarray(lat.values)[:, None], COLUMNS, axis=1)
        told = {"standard_name": "latitude", "units": "degrees_north"}
        point = Var((), np.array(0.5, "float32"), told)
        side = point if rng.random() < 0.5 else Var((*lat.dims, *file.variables[inputs.lon].dims), grid, told)
        file.variables = {"nadir_latitude": side, **file.variables}
    return Expect.SAME


def hole(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Rows that are missing in the middle."""
    step = float(rng.choice([1.0, 3.0, 10.0]))
    for name, axis in ((inputs.lat, inputs.truth.lat), (inputs.lon, inputs.truth.lon)):
        if rng.random() < 0.5 or name == inputs.lon:
            middle = axis[axis.size // 2]
            moved = step if rng.random() < 0.5 else step / 4
            _set(
                inputs,
                name,
                lambda values, m=middle, s=moved: np.where(_turn(values, m) >= -1e-6, values + s, values),
            )
            axis[axis >= middle] += moved
            break
    return Expect.EITHER


def _turn(values: np.ndarray, middle: float) -> np.ndarray:
    return (values - middle + 180) % 360 - 180


def _spoilt(inputs: Inputs, rng: np.random.Generator, value: float) -> Expect:
    name = str(rng.choice([inputs.lat, inputs.lon]))

    def change(values: np.ndarray) -> np.ndarray:
        values[rng.integers(values.size)] = value
        return values

    _set(inputs, name, change, inputs.some(rng))
    return Expect.REFUSE


def missing(inputs: Inputs, rng: np.random.Generator) -> Expect:
    return _spoilt(inputs, rng, np.nan)


def filled(inputs: Inputs, rng: np.random.Generator) -> Expect:
    return _spoilt(inputs, rng, float(rng.choice([-9999.0, 9.96921e36, np.inf, -999.0, 1e10])))


def doubled(inputs: Inputs, rng: np.random.Generator) -> Expect:
    name = str(rng.choice([inputs.lat, inputs.lon]))

    def change(values: np.ndarray) -> np.ndarray:
        values[5] = values[4]
        return values

    _set(inputs, name, change, inputs.some(rng))
    return Expect.REFUSE


def all_zero(inputs: Inputs, rng: np.random.Generator) -> Expect:
    _set(inputs, str(rng.choice([inputs.lat, inputs.lon])), np.zeros_like, inputs.some(rng))
    return Expect.REFUSE


def a_little_jitter(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Rounding, as of coordinates computed in single precision."""
    for name in (inputs.lat, inputs.lon):
        _set(inputs, name, lambda values: values + rng.uniform(-1e-5, 1e-5, values.shape), inputs.some(rng))
    return Expect.ACCEPT


def much_jitter(inputs: Inputs, rng: np.random.Generator) -> Expect:
    _set(inputs, inputs.lat, lambda values: values + rng.uniform(-0.11, 0.11, values.shape))
    return Expect.REFUSE


def out_of_bounds(inputs: Inputs, rng: np.random.Generator) -> Expect:
    _set(inputs, inputs.lat, lambda values: values + float(rng.choice([60, -160, 1000])), inputs.some(rng))
    return Expect.REFUSE


def no_step(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """A step so small that a file of the same area would hold billions of cells."""
    _set(inputs, inputs.lat, lambda values: values[0] + (values - values[0]) * 1e-12)
    return Expect.REFUSE


def disorder(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Rows in any order, their latitudes with them: to be sorted or refused."""
    order = rng.permutation(ROWS)
    for file in inputs.files:
        (dim,) = file.variables[inputs.lat].dims
        for var in file.variables.values():
            if dim in var.dims:
                var.values = np.take(var.values, order, var.dims.index(dim))
    return Expect.EITHER


def latitudes_in_disorder(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Two rows' latitudes exchanged: which is right cannot be known."""

    def change(values: np.ndarray) -> np.ndarray:
        values[[3, 8]] = values[[8, 3]]
        return values

    _set(inputs, inputs.lat, change)
    return Expect.REFUSE


def another_grid_for_one_file(inputs: Inputs, rng: np.random.Generator) -> Expect:
    if not inputs.daily:
        raise NotApplicableError
    _set(inputs, inputs.lat, lambda values: values + 0.125, [inputs.files[rng.integers(len(inputs.files))]])
    return Expect.REFUSE


def no_latitude(inputs: Inputs, rng: np.random.Generator) -> Expect:
    for file in inputs.some(rng):
        del file.variables[inputs.lat]
    return Expect.REFUSE


def known_by_units_alone(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Coordinates of other names, known by their units."""
    units = str(rng.choice(["degrees_north", "degree_north", "degrees_N", "degreesN", "degreeN", "degrees north"]))
    for file in inputs.files:
        for name, by, other in ((inputs.lat, units, "rows"), (inputs.lon, units.replace("orth", "east")
                                 .replace("neast", "east").replace("N", "E"), "columns")):  # fmt: skip
            var = file.variables.pop(name)
            var.attrs = {"units": by}
            file.variables[other] = var
            for each in file.variables.values():
                each.dims = tuple(other if dim == name else dim for dim in each.dims)
    return Expect.SAME


def known_by_name_alone(inputs: Inputs, rng: np.random.Generator) -> Expect:
    for file in inputs.some(rng):
        file.variables[inputs.lat].attrs = {}
        file.variables[inputs.lon].attrs = {}
    return Expect.SAME
