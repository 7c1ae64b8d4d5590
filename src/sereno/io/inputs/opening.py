"""From what the user names to open datasets: files, globs, folders, Zarr stores."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from sereno.compute.cores import memory
from sereno.errors import InputError, at_file, file_edge, is_of_the_system, reason_of
from sereno.files import is_address, known_beginning, missing, require_regular
from sereno.io.hdf5 import open_netcdf

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
STATUS, UNFINISHED = "preparation", "unfinished"
"""Attribute of a store that is filled piece by piece, and its value from the first change to the last."""
_SUFFIXES = (".nc", ".nc4", ".cdf", ".h5", ".hdf5")
_HUGE, _TIGHTEST = 2**26, 2000
"""Cells of a map beyond which it must have content; bytes that compression makes one of, at most (1032 of zlib)."""
_BYTES_A_CELL = 12
"""Of a map in memory: its values, a copy of them, and what is compared."""


def expand(paths: Paths) -> list[Path]:
    """Return the files and Zarr stores that `paths` represent, sorted by name within each.

    Raises
    ------
    InputError
        If a path does not exist, or a folder or a glob holds no file.
    """
    listed = [paths] if isinstance(paths, str | os.PathLike) else paths
    if isinstance(listed, xr.Dataset | xr.DataArray | np.ndarray) or not isinstance(listed, Iterable):
        raise InputError(f"no paths but a {type(paths).__name__}: for data in memory use sereno.cube_from")
    given: Sequence[str | os.PathLike[str]] = list(listed)
    if not given:
        raise InputError("no input: give files, folders, globs or a Zarr store")
    paths_found: list[Path] = []
    for item in given:
        with file_edge(item, "correct the path"):
            paths_found += _expand(Path(item))
    return list(dict.fromkeys(paths_found))


def _expand(path: Path) -> list[Path]:
    if path.is_dir() and not is_zarr(path):
        inside = sorted(_inside(path))
        if not inside:
            raise InputError(f"{path}: the folder holds no NetCDF file ({', '.join(_SUFFIXES)})")
        return inside
    if path.exists():  # whether it is a file is asked of each when it is opened
        return [path]
    if glob.has_magic(str(path)) and not is_address(path):
        matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))
        if not matches:
            raise InputError(f"{path}: no file matches")
        return matches
    raise missing(path, "no such file or folder")


def _inside(folder: Path) -> Iterator[Path]:
    """Find the NetCDF files in a folder and the folders within, but not in stores or what is hidden."""
    for place, folders, files in os.walk(folder):
        within = Path(place)
        folders[:] = [name for name in folders if not name.startswith(".") and not is_zarr(within / name)]
        yield from (within / name for name in files if Path(name).suffix in _SUFFIXES and not name.startswith("."))


def open_dataset(path: Path, *, chunks: dict[str, int] | None = None) -> xr.Dataset:
    """Open a NetCDF file or Zarr store lazily, values unpacked, times as they are; no file stays open.

    Parameters
    ----------
    chunks
        None: only what is asked for is read, and nothing is kept. Otherwise dask arrays of these chunks; an empty
        mapping represents those of the file.

    Raises
    ------
    InputError
        If it is not there or cannot be read, or is a store whose preparation was interrupted.
    """
    try:
        if is_zarr(path):
            place = path.absolute()
            dataset = xr.open_dataset(place, decode_times=False, chunks=chunks, cache=False, engine="zarr")
        else:
            dataset = open_netcdf(require_regular(path), chunks=chunks)
    except InputError:
        raise
    except Exception as error:
        raise damaged(path, error) from error
    if dataset.attrs.get(STATUS) == UNFINISHED:
        raise InputError(f"{path}: its making was interrupted; run the same command again to finish it")
    return dataset


def damaged(path: Path, error: Exception) -> InputError:
    """Return the error of a file that cannot be read."""
    if is_of_the_system(error):
        return at_file(error, path, "")
    known = None if is_zarr(path) else known_beginning(path)
    if known is not None:
        return InputError(f"{path}: cannot be read as NetCDF, {known}")
    return InputError(
        f"{path}: cannot be read as {'Zarr' if is_zarr(path) else 'NetCDF'}, truncated or damaged? "
        f"Copy or download it again ({reason_of(error)})"
    )


def require_memory_for_map(path: Path, cells: int) -> None:
    """Refuse a map with so large images that one of them, with the work on it, does not fit in memory."""
    if _BYTES_A_CELL * cells > memory():
        raise InputError(
            f"{path}: one map has {cells:,} cells and takes about {_BYTES_A_CELL * cells / 2**30:.0f} GiB; "
            f"this machine has {memory() / 2**30:.0f} GiB; cut out a region (ncks -d), or use a larger machine"
        )


def require_content(path: Path, values: xr.DataArray, cells: int) -> None:
    """Refuse a huge map of which a file can hold almost nothing, before memory is taken for it."""
    if cells <= _HUGE or path.is_dir():
        return
    stored, held = values.size * np.dtype(values.encoding.get("dtype", values.dtype)).itemsize, path.stat().st_size
    if stored > _TIGHTEST * held:
        raise InputError(
            f"{path}: {values.name} has {cells:,} cells a map, of which a file of {held:,} bytes can hold almost "
            "nothing; was it ever written, or cut short? Download it again"
        )


def spacing(values: np.ndarray) -> float:
    """Return the median step of an ascending coordinate."""
    return float(np.median(np.diff(values)))


def is_zarr(path: Path) -> bool:
    """Return whether a path is a Zarr store."""
    return path.is_dir() and (path.suffix == ".zarr" or any((path / n).exists() for n in ("zarr.json", ".zgroup")))
