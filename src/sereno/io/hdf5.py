"""The one place where NetCDF files are opened, read, written and closed, by one thread at a time.

A dataset that `open_netcdf` returns holds no open file: each reading of a variable opens the file, reads, and closes
it, all while `HDF5` is held. So no file is left to the garbage collector, any number of files can be in use, and a
file that was replaced, cut or extended since it was opened is noticed.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import netCDF4
import numpy as np
import xarray as xr
from xarray.backends import AbstractDataStore, BackendArray, BackendEntrypoint, NetCDF4DataStore
from xarray.backends.common import ArrayWriter
from xarray.backends.store import StoreBackendEntrypoint
from xarray.core import indexing

from sereno.compute.netcdf_lock import HDF5
from sereno.errors import InputError

__all__ = ["HDF5", "ChangedError", "Signature", "load_netcdf", "open_netcdf", "reading", "write_netcdf"]

INVALID = "invalid "
"""Before the name of an attribute that cannot be used for what it is meant for."""
_TEXTS = (
    "units",
    "standard_name",
    "long_name",
    "axis",
    "calendar",
    "coordinates",
    "flag_meanings",
    "bounds",
    "positive",
)
_NUMBERS = ("scale_factor", "add_offset", "_FillValue", "missing_value")
_AT_ONCE = 2**20
"""Values of a variable of one dimension that is read with the header, at most."""


class ChangedError(InputError):
    """A file is not the one any more that it was when it was opened."""


class Signature(NamedTuple):
    """Signs that a file or a Zarr store is unchanged.

    Attributes
    ----------
    device, inode
        Its own.
    size, modified
        Bytes, and nanoseconds from 1970-01-01 to the last change; of a store the sum and the latest of its files.
    """

    device: int = 0
    inode: int = 0
    size: int = 0
    modified: int = 0

    @classmethod
    def of(cls, path: Path) -> Self:
        """Return the signature of a file, or of a Zarr store, as it is now."""
        own = path.stat()
        inside = [file.stat() for file in path.rglob("*") if file.is_file()] if path.is_dir() else [own]
        modified = max(own.st_mtime_ns, *(file.st_mtime_ns for file in inside)) if inside else own.st_mtime_ns
        return cls(own.st_dev, own.st_ino, sum(file.st_size for file in inside), modified)

    def require(self, path: Path) -> None:
        """Raise a ChangedError if a file is not the one that it was."""
        try:
            now = Signature.of(path)
        except OSError:
            now = None
        if now != self:
            raise ChangedError(f"{path}: changed while it was read; run again when it is complete")


@contextmanager
def reading(path: Path, signature: Signature | None = None) -> Iterator[netCDF4.Dataset]:
    """Open a file for reading, alone in this process, and close it when the block ends; values come as stored.

    Parameters
    ----------
    signature
        Of the file as it must be, before and after; as it is now where not given.

    Raises
    ------
    ChangedError
        If the file changes, or has changed.
    """
    with HDF5:
        signature = signature or Signature.of(path)
        signature.require(path)
        try:
            file = netCDF4.Dataset(os.fspath(path.absolute()))
            try:
                file.set_auto_maskandscale(False)
                file.set_auto_chartostring(False)
                yield file
            finally:
                file.close()
        finally:  # of a file that changed, this says more than any error of the library
            signature.require(path)


def open_netcdf(path: Path, *, chunks: dict[str, int] | None = None) -> xr.Dataset:
    """Open a file lazily, values unpacked, times as they are; see `sereno.io.inputs.opening.open_dataset`."""
    if chunks is None:
        return _Entrypoint().open_dataset(path)
    opened: xr.Dataset = xr.open_dataset(path, engine=_Entrypoint, chunks=chunks, cache=False)
    return opened


def load_netcdf(path: Path, *, decode_times: bool = True) -> xr.Dataset:
    """Read a whole file into memory, decoded."""
    with HDF5, xr.open_dataset(path, engine="netcdf4", decode_times=decode_times) as opened:
        return opened.load()


def write_netcdf(
    dataset: xr.Dataset,
    path: Path,
    *,
    encoding: Mapping[Hashable, Mapping[str, Any]],
    how: Mapping[str, Any],
) -> None:
    """Write a dataset as NetCDF-4; lazy variables are computed without the lock; `how` is passed to dask."""
    writer = ArrayWriter()
    with HDF5:
        store = NetCDF4DataStore.open(os.fspath(path.absolute()), mode="w", format="NETCDF4", lock=HDF5)
    try:
        with HDF5:
            dataset.dump_to_store(store, writer=writer, encoding=dict(encoding))
        writer.sync(
            chunkmanager_store_kwargs=dict(how)
        )  # each block is written by the store, which takes the lock for it
    finally:
        with HDF5:
            store.close()


class _Entrypoint(BackendEntrypoint):
    """What xarray opens a file with."""

    open_dataset_parameters = ("filename_or_obj", "drop_variables")

    def open_dataset(  # type: ignore[override]  # the decoders are not to be chosen
        self,
        filename_or_obj: Path,
        *,
        drop_variables: Any = None,  # noqa: ANN401
    ) -> xr.Dataset:
        store = _Header(Path(filename_or_obj))
        return StoreBackendEntrypoint().open_dataset(store, decode_times=False, drop_variables=drop_variables)


class _Header(AbstractDataStore):
    """All of a file but its maps, in memory."""

    def __init__(self, path: Path) -> None:
        self.signature = Signature.of(path)
        with reading(path, self.signature) as file:
            _require_maps_outside_groups(path, file)
            self.attrs = {name: file.getncattr(name) for name in file.ncattrs()}
            self.variables = {
                name: self._variable(path, variable)
                for name, variable in file.variables.items()
                if variable.dtype is str or isinstance(variable.datatype, np.dtype | netCDF4.EnumType)
            }

    def _variable(self, path: Path, variable: netCDF4.Variable[Any]) -> xr.Variable:
        data: Any = variable[...] if variable.ndim < 2 and variable.size <= _AT_ONCE else None
        if data is None:
            dtype = np.dtype(object if variable.dtype is str else variable.dtype)
            data = indexing.LazilyIndexedArray(
                StoredVariable(path, self.signature, variable.name, variable.shape, dtype)
            )
        attrs = _attributes(variable)
        sizes = variable.chunking()
        chunks = dict(zip(variable.dimensions, sizes, strict=True)) if isinstance(sizes, list) else {}
        return xr.Variable(variable.dimensions, data, attrs, {"preferred_chunks": chunks} if chunks else {})

    def get_variables(self) -> Any:  # noqa: ANN401
        return self.variables

    def get_attrs(self) -> Any:  # noqa: ANN401
        return self.attrs

    def get_dimensions(self) -> Any:  # noqa: ANN401
        return {}

    def get_encoding(self) -> dict[str, Any]:
        return {}


def _require_maps_outside_groups(path: Path, file: netCDF4.Dataset) -> None:
    """Refuse a file whose maps all lie in groups."""

    def holds_map(group: netCDF4.Dataset) -> bool:
        return any(variable.ndim > 1 for variable in group.variables.values())

    if file.groups and not holds_map(file):
        groups, waiting = list[str](), list(file.groups.values())
        while waiting:
            group = waiting.pop(0)
            groups += [group.path.strip("/")] if holds_map(group) else []
            waiting += group.groups.values()
        if groups:
            listed = ", ".join(groups[:5]) + (", …" if len(groups) > 5 else "")
            raise InputError(
                f"{path}: its maps lie in groups, {listed}, which are not read; write one group to a file of its own "
                f"(ncks -G : -g {groups[0]} IN.nc OUT.nc)"
            )


class StoredVariable(BackendArray):
    """A variable of a file, which is opened for each reading of it."""

    def __init__(
        self, path: Path, signature: Signature, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self.path, self.signature, self.name = path, signature, name
        self.shape, self.dtype = shape, dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:  # noqa: ANN401
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self.read)

    def read(self, key: tuple[Any, ...]) -> np.ndarray:
        """Read values as they are stored."""
        with reading(self.path, self.signature) as file:
            return np.asarray(file.variables[self.name][key])


def _attributes(variable: netCDF4.Variable[Any]) -> dict[str, Any]:
    """Return the attributes of a variable, such that no malformed one keeps it from being unpacked."""
    attrs = {name: variable.getncattr(name) for name in variable.ncattrs()}
    for name in _TEXTS:
        if name in attrs and not isinstance(attrs[name], str):
            attrs[name] = " ".join(map(str, np.atleast_1d(attrs[name])))
    if variable.dtype is str or variable.dtype.kind not in "iuf":
        return attrs
    for name in _NUMBERS:
        array = np.asarray(attrs.get(name, 0))
        if array.dtype.kind not in "iuf" or array.size == 0 or (array.size > 1 and name != "missing_value"):
            attrs[f"{INVALID}{name}"] = attrs.pop(name)
    return attrs
