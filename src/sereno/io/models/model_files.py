"""The files of a saved model, read with a look at what they hold before memory is taken for it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from safetensors import safe_open

from sereno.errors import InputError, file_edge, reason_of
from sereno.files import read_bounded, require_regular
from sereno.io.hdf5 import HDF5
from sereno.saved import LONGEST_TABLE

REMEDY = "copy the model again or fit it again"
LONGEST_DESCRIPTION = 2**26
"""Bytes of the description at most."""
LEAST_FIELDS, MOST_PACKED = 2**26, 1000
"""Bytes of maps that are read from any file, and bytes of maps for a byte of the file: zlib packs no closer."""


def read_json(path: Path) -> Any:  # noqa: ANN401
    """Return what a JSON file holds; InputError where it is none."""
    try:
        return json.loads(read_bounded(path, most=LONGEST_DESCRIPTION).decode())
    except InputError:
        raise
    except Exception as error:  # thousands of brackets are a RecursionError
        raise InputError(f"{path}: damaged, not valid JSON ({reason_of(error)}); {REMEDY}") from error


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def require_whole(path: Path, recorded: object) -> None:
    """Raise an InputError unless a file of a model is there, in its folder, and has the digest that was recorded."""
    if not path.exists():
        raise InputError(f"{path}: missing from the model; {REMEDY}")
    require_regular(path)
    if path.resolve().parent != path.parent.resolve():
        raise InputError(f"{path}: a link to another folder; copy the file itself")
    with file_edge(path, REMEDY):
        current = digest(path)
    if current != recorded:
        raise InputError(f"{path}: truncated or damaged, its checksum is not the recorded one; {REMEDY}")


def read_tensors(path: Path, wanted: Mapping[str, tuple[int, ...]] | None = None) -> dict[str, np.ndarray]:
    """Read the tensors of a safetensors file.

    Parameters
    ----------
    wanted
        The shapes of those that there must be; any others may only be short tables. None for whatever there is.

    Raises
    ------
    InputError
        If the file is damaged, or holds other tensors.
    """
    with file_edge(path, REMEDY), safe_open(path, framework="np") as file:
        names = list(file.keys())
        if wanted is not None:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            for name in sorted(wanted.keys() | shapes.keys()):
                _require_shape(name, shapes.get(name), wanted.get(name))
        return {name: file.get_tensor(name) for name in names}


def _require_shape(name: str, shape: tuple[int, ...] | None, wanted: tuple[int, ...] | None) -> None:
    """Raise a ValueError for a tensor of another shape."""
    if shape is None:
        raise ValueError(f"{name} is missing")
    if wanted is None and math.prod(shape) > LONGEST_TABLE:
        raise ValueError(f"{name:.60} of shape {shape} belongs to no model of this configuration")
    if wanted is not None and shape != wanted:
        raise ValueError(f"{name} has the shape {shape}, the configuration asks for {wanted}")


def read_fields(path: Path, grid: Mapping[str, tuple[float, ...]]) -> xr.Dataset:
    """Read the maps of a model.

    Parameters
    ----------
    grid
        The axes that they must have; none where the model is of no grid.

    Raises
    ------
    InputError
        If the file is damaged, larger unpacked than it can be, or of another grid.
    """
    size = path.stat().st_size
    with file_edge(path, REMEDY), HDF5, xr.open_dataset(path, engine="netcdf4", decode_times=False) as stored:
        unpacked = sum(field.nbytes for field in stored.variables.values())
        if unpacked > max(LEAST_FIELDS, MOST_PACKED * size):
            raise ValueError(f"{size} bytes cannot hold maps of {unpacked} bytes")
        for dim, cells in grid.items():
            if stored.sizes.get(dim) != len(cells) or not np.array_equal(stored[dim].values, cells):
                raise ValueError(f"its {dim} is not that of the model's description")
        return stored.load().drop_encoding()
