"""The index of withheld pixels as a file: which pixels were scored, so that they can be scored again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from sereno.compute.cores import memory
from sereno.cube import DIMS
from sereno.errors import InputError, file_edge
from sereno.io.inputs.opening import open_dataset
from sereno.io.outputs.atomic import write_dataset

_NAME = "withheld"
_ADVICE = "give the withheld.nc of an evaluation"


def write_withheld(withheld: xr.DataArray, path: Path, *, protocol: str, seed: int) -> Path:
    """Write an index, bool (time, lat, lon), with the protocol and the seed it was chosen by."""
    index = withheld.astype("int8").drop_attrs().to_dataset(name=_NAME)
    index[_NAME].attrs = {"flag_values": np.array([0, 1], "int8"), "flag_meanings": "shown withheld"}
    index.attrs = {"protocol": protocol, "seed": seed}
    return write_dataset(index, path)


def read_withheld(path: str | Path) -> xr.DataArray:
    """Read an index that `write_withheld` wrote, in memory.

    Returns
    -------
    xr.DataArray
        bool (time, lat, lon); its attributes ``protocol``, ``seed`` and ``file`` are what `sereno.evaluate` takes.

    Raises
    ------
    InputError
        If the file is not there, cannot be read, or is not such an index.
    """
    path = Path(path)
    with file_edge(path, _ADVICE):
        dataset = open_dataset(path)
        index = dataset.get(_NAME)
        if index is None or set(index.dims) != {*DIMS} or "protocol" not in dataset.attrs:
            raise InputError(f"{path}: holds no index of withheld pixels; {_ADVICE}")
        if index.size > memory() / 4:
            raise InputError(f"{path}: its index of {' × '.join(map(str, index.shape))} cells is larger than memory")
        index = xr.decode_cf(dataset[[_NAME]].load())[_NAME].transpose(*DIMS)
        seed = int(dataset.attrs.get("seed", 0))
        attrs = {"protocol": str(dataset.attrs["protocol"]), "seed": seed, "file": str(path)}
        _require_sound(index, path)
        return (index == 1).assign_attrs(attrs)


def _require_sound(index: xr.DataArray, path: Path) -> None:
    """Refuse an index with other values than 0 and 1, or coordinates that are none."""
    if not bool(index.isin([0, 1]).all()):
        raise InputError(f"{path}: damaged, its index holds other values than 0 and 1; {_ADVICE}")
    for dim in DIMS:
        axis = index.indexes.get(dim)
        timed = axis is not None and axis.dtype.kind == "M"
        if axis is None or axis.hasnans or not axis.is_monotonic_increasing or not axis.is_unique:
            raise InputError(f"{path}: damaged, its {dim} does not ascend, or lacks values; {_ADVICE}")
        if timed != (dim == "time") or axis.dtype.kind not in "Mfiu":
            raise InputError(f"{path}: damaged, its {dim} cannot be read; {_ADVICE}")
