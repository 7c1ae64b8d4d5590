"""The index of withheld pixels as a file: which pixels were scored, so that they can be scored again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from sereno.errors import InputError
from sereno.io.atomic import write_dataset
from sereno.io.hdf5 import load_netcdf

_NAME = "withheld"


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
    if not Path(path).exists():
        raise InputError(f"{path}: no such file")
    try:
        index = load_netcdf(Path(path))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as NetCDF: {error}") from None
    if _NAME not in index or set(index[_NAME].dims) != {"time", "lat", "lon"} or "protocol" not in index.attrs:
        raise InputError(f"{path}: holds no index of withheld pixels; give the withheld.nc of an evaluation")
    told = {"protocol": str(index.attrs["protocol"]), "seed": int(index.attrs.get("seed", 0)), "file": str(path)}
    return (index[_NAME] == 1).transpose("time", "lat", "lon").assign_attrs(told)
