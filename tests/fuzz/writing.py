"""Files as they were drawn, byte for byte: nothing is packed, filled or corrected on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from netCDF4 import Dataset

from fuzz.sea import File, Inputs, Var


def write(inputs: Inputs, root: Path) -> list[Path]:
    """Write all files below a folder and return their paths."""
    folder = root / "in"
    folder.mkdir(parents=True, exist_ok=True)
    return [write_file(file, folder / file.name) for file in inputs.files]


def write_file(file: File, path: Path) -> Path:
    if file.format.startswith("zarr"):
        variables = {name: (var.dims, var.values, var.attrs) for name, var in file.variables.items()}
        xr.Dataset(variables, attrs=file.attrs).to_zarr(path, zarr_format=int(file.format[-1]), consolidated=True)
        return path
    late: dict[tuple[str, str], Any] = {}
    with Dataset(path, "w", format=file.format) as dataset:
        for name, size in file.sizes().items():
            dataset.createDimension(name, None if name in file.storage.get("unlimited", ()) else size)
        for name, var in file.variables.items():
            late |= _write_variable(dataset, name, var, file)
        dataset.setncatts(file.attrs)
    if late:
        with h5py.File(path, "r+") as opened:
            for (name, key), value in late.items():
                opened[name].attrs[key] = value
    return path


def _write_variable(dataset: Dataset, name: str, var: Var, file: File) -> dict[tuple[str, str], Any]:
    """Write a variable; what the library refuses to write is returned, to be written by HDF5 alone."""
    attrs, late = dict(var.attrs), {}
    values = np.asarray(var.values)
    if file.format == "NETCDF3_CLASSIC" and values.dtype in ("int64", "uint64"):  # which has no such type
        values = values.astype("float64")
    fill = attrs.pop("_FillValue", None)
    if fill is not None and not _fits(fill, values.dtype):
        fill, late = None, {(name, "_FillValue"): fill}
    maps = file.storage if len(var.dims) > 1 and file.format == "NETCDF4" else {}
    options = {key: value for key, value in maps.items() if key in ("zlib", "shuffle", "fletcher32")}
    if "chunks" in maps and values.size:
        options["chunksizes"] = [min(maps["chunks"], size) or 1 for size in values.shape]
    kind = str if values.dtype.kind in "UO" else values.dtype.newbyteorder("=")
    if kind is not str and values.dtype.byteorder == ">":
        options["endian"] = "big"
    made = dataset.createVariable(name, kind, var.dims, fill_value=fill, **options)
    made.set_auto_maskandscale(False)
    made.set_auto_chartostring(False)
    if values.size:
        made[...] = values.astype(object) if kind is str else values
    for key, value in attrs.items():
        made.setncattr(key, value)
    return late


def _fits(fill: Any, dtype: np.dtype) -> bool:  # noqa: ANN401
    return np.ndim(fill) == 0 and getattr(fill, "dtype", None) == dtype.newbyteorder("=") and dtype.kind not in "UO"
