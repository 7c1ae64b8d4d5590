"""Masks that tell sea from land, or seem to."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fuzz.sea import COLUMNS, ROWS, Expect, File, Inputs, NotApplicableError, Var
from fuzz.writing import write_file

WORDS = (
    ("open_sea land open_lake open_sea_with_ice", "masks"),
    ("valid-water land missing ice", "masks"),
    ("1=open-sea, 2=land, 4=lake, 8=ice", "masks"),
    ("sea land lake ice", "values"),
    ("Water Land Lake Ice", "values"),
    ("ocean continent inland_water sea_ice", "values"),
)


def _mask(inputs: Inputs) -> Var:
    if inputs.mask is None:
        raise NotApplicableError
    return inputs.files[0].variables[inputs.mask]


def _replace(inputs: Inputs, values: np.ndarray, attrs: dict[str, Any]) -> Var:
    """Put another mask (lat, lon), ascending, in the place of the file's."""
    mask = _mask(inputs)
    mask.values = np.broadcast_to(values, np.shape(mask.values)).copy()
    mask.attrs = attrs
    return mask


def _water(inputs: Inputs) -> np.ndarray:
    if inputs.truth.water is None:
        raise NotApplicableError
    return inputs.truth.water


def inverted(inputs: Inputs, rng: np.random.Generator) -> Expect:
    mask = _mask(inputs)
    low, high = np.unique(mask.values)
    mask.values = np.where(mask.values == low, high, low).astype(mask.values.dtype)
    return Expect.EITHER


def other_words(inputs: Inputs, rng: np.random.Generator) -> Expect:
    meanings, kind = WORDS[rng.integers(len(WORDS))]
    flags = np.array([1, 2, 4, 8], "int8")
    name = "flag_masks" if kind == "masks" else "flag_values"
    if inputs.mask == "land_mask":
        raise NotApplicableError
    _replace(inputs, np.where(_water(inputs), 1, 2).astype("int8"), {name: flags, "flag_meanings": meanings})
    return Expect.EITHER


def unknown_words(inputs: Inputs, rng: np.random.Generator) -> Expect:
    told = {
        "flag_values": np.array([0, 1], "int8"),
        "flag_meanings": str(rng.choice(["wet dry", "mer terre", "a b"])),
    }
    _replace(inputs, np.where(_water(inputs), 0, 1).astype("int8"), told)
    return Expect.EITHER


def all_fill(inputs: Inputs, rng: np.random.Generator) -> Expect:
    _replace(inputs, np.full((ROWS, COLUMNS), -128, "int8"), {"_FillValue": np.int8(-128)})
    inputs.truth.water = None
    return Expect.EITHER


def all_land(inputs: Inputs, rng: np.random.Generator) -> Expect:
    mask = _mask(inputs)
    mask.values = np.full_like(mask.values, 1 if inputs.mask == "land_mask" else 2 * ("flag_masks" in mask.attrs))
    inputs.truth.water = None
    return Expect.EITHER


def all_water(inputs: Inputs, rng: np.random.Generator) -> Expect:
    mask = _mask(inputs)
    mask.values = np.full_like(mask.values, 0 if inputs.mask == "land_mask" else 1)
    inputs.truth.water = np.ones((ROWS, COLUMNS), bool)
    return Expect.ACCEPT


def missing_on_land(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """1 on water and NaN on land, as floats."""
    if inputs.mask == "land_mask":
        raise NotApplicableError
    values = np.where(_water(inputs), 1, np.nan).astype("float32")
    _replace(inputs, values, {"_FillValue": np.float32(np.nan), "long_name": "sea mask"})
    return Expect.ACCEPT


def turned(inputs: Inputs, rng: np.random.Generator) -> Expect:
    mask = _mask(inputs)
    mask.values, mask.dims = np.ascontiguousarray(np.moveaxis(mask.values, -1, 0)), (mask.dims[-1], *mask.dims[:-1])
    return Expect.ACCEPT


def clouds_named_mask(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """A cloud mask of each day, named as masks of land are."""
    if inputs.time is None or inputs.mask not in (None, "mask"):
        raise NotApplicableError
    for file in inputs.files:
        field = file.variables[inputs.field]
        seen = field.values != field.attrs["_FillValue"]
        seen &= np.isfinite(np.asarray(field.values, float))
        words = {"long_name": "cloud mask", "flag_values": np.array([0, 1], "int8"), "flag_meanings": "clear cloudy"}
        file.variables["mask"] = Var(field.dims, (~seen).astype("int8"), words if rng.random() < 0.7 else {})
    inputs.truth.water = None
    return Expect.ANY


def few_land_cells_more(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """The mask calls a cell land that is observed, as coasts of two sources differ."""
    mask, water = _mask(inputs), _water(inputs)
    land, sea = mask.values[..., 9, 0].copy(), mask.values[..., 0, 0]
    assert np.any(land != sea)
    mask.values[..., 3, 5] = land
    water[3, 5] = False
    inputs.truth.observed[:, 3, 5] = np.nan
    return Expect.EITHER


def mask_of_other_shape(inputs: Inputs, rng: np.random.Generator) -> Expect:
    mask = _mask(inputs)
    mask.values, mask.dims = np.ones((4, 5), "int8"), ("rows", "columns")
    mask.attrs = {}
    inputs.truth.water = None
    return Expect.EITHER


def _given(inputs: Inputs, name: str, values: np.ndarray, attrs: dict[str, Any], **where: np.ndarray) -> None:
    """Give a mask by ``--water``."""
    lat, lon = where.get("lat", inputs.truth.lat), where.get("lon", inputs.truth.lon)
    variables = {
        "lat": Var(("lat",), lat, {"units": "degrees_north"}),
        "lon": Var(("lon",), lon, {"units": "degrees_east"}),
        name: Var(("lat", "lon"), values, attrs),
    }
    file = File("water.nc", variables)
    inputs.after.append(partial(_write, file))
    inputs.options += ["--water", "water.nc"]
    inputs.names.append("water.nc")


def _write(file: File, root: Path) -> None:
    write_file(file, root / file.name)


def _with_land(inputs: Inputs) -> np.ndarray:
    water = np.ones((ROWS, COLUMNS), bool)
    water[8:, :4] = False
    inputs.truth.water = water
    return water


def given(inputs: Inputs, rng: np.random.Generator) -> Expect:
    water = _with_land(inputs)
    _given(inputs, "mask", water.astype("int8"), {})
    return Expect.ACCEPT


def given_upside_down(inputs: Inputs, rng: np.random.Generator) -> Expect:
    water = _with_land(inputs)
    _given(inputs, "mask", water[::-1].astype("int8"), {}, lat=inputs.truth.lat[::-1])
    return Expect.ACCEPT


def given_as_land_fraction(inputs: Inputs, rng: np.random.Generator) -> Expect:
    water = _with_land(inputs)
    name, told = [
        ("lsm", {"standard_name": "land_binary_mask"}),
        ("sftlf", {"standard_name": "land_area_fraction", "units": "%"}),
        ("tmask", {"long_name": "ocean mask at T points"}),
        ("mask_rho", {"long_name": "mask on RHO-points"}),
        ("topo", {"standard_name": "height_above_reference_ellipsoid", "units": "m"}),
    ][rng.integers(5)]
    values = {
        "lsm": ~water * 1.0, "sftlf": ~water * 100.0, "tmask": water * 1.0, "mask_rho": water * 1.0,
        "topo": np.where(water, -2000.0, 150.0),
    }[name]  # fmt: skip
    _given(inputs, name, values.astype("float32"), told)
    return Expect.EITHER


def given_elsewhere(inputs: Inputs, rng: np.random.Generator) -> Expect:
    _given(inputs, "mask", np.ones((ROWS, COLUMNS), "int8"), {}, lon=inputs.truth.lon + 40)
    return Expect.REFUSE


def given_but_not_there(inputs: Inputs, rng: np.random.Generator) -> Expect:
    inputs.options += ["--water", "nowhere.nc"]
    inputs.names.append("nowhere.nc")
    return Expect.REFUSE


def given_of_text(inputs: Inputs, rng: np.random.Generator) -> Expect:
    inputs.after.append(lambda root: (root / "water.nc").write_text("<html>not found</html>") and None)
    inputs.options += ["--water", "water.nc"]
    inputs.names.append("water.nc")
    return Expect.REFUSE
