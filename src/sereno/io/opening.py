"""From what the user names to open datasets: files, globs, folders, Zarr stores."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from sereno.errors import InputError
from sereno.io.hdf5 import open_netcdf

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
STATUS, UNFINISHED = "preparation", "unfinished"
"""Attribute of a store that is filled piece by piece, and its value from the first change to the last."""
_SUFFIXES = (".nc", ".nc4", ".cdf", ".h5", ".hdf5")


def expand(paths: Paths) -> list[Path]:
    """Return the files and Zarr stores that `paths` stand for, sorted by name within each.

    Raises
    ------
    InputError
        If a path does not exist, or a folder or a glob holds no file.
    """
    given: Sequence[str | os.PathLike[str]] = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not given:
        raise InputError("no input: give files, folders, globs or a Zarr store")
    found: list[Path] = []
    for item in given:
        path = Path(item)
        if _is_zarr(path) or path.is_file():
            found.append(path)
        elif path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix in _SUFFIXES and not p.name.startswith("."))
            if not inside:
                raise InputError(f"{path}: the folder holds no NetCDF file ({', '.join(_SUFFIXES)})")
            found += inside
        elif glob.has_magic(str(path)):
            matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))
            if not matches:
                raise InputError(f"{path}: no file matches")
            found += matches
        else:
            raise InputError(f"{path}: no such file or folder")
    return list(dict.fromkeys(found))


def open_dataset(path: Path, *, chunks: dict[str, int] | None = None) -> xr.Dataset:
    """Open a NetCDF file or Zarr store lazily, values unpacked, times as they are; no file stays open.

    Parameters
    ----------
    chunks
        None: nothing is read, nor remembered, but what is asked for. Otherwise dask arrays of these chunks; an empty
        mapping stands for those of the file.

    Raises
    ------
    InputError
        If it is not there or cannot be read, or is a store whose preparation was interrupted.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file")
    try:
        if _is_zarr(path):
            place = path.absolute()
            dataset = xr.open_dataset(place, decode_times=False, chunks=chunks, cache=False, engine="zarr")
        else:
            dataset = open_netcdf(path, chunks=chunks)
    except InputError:
        raise
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise damaged(path, error) from None
    if dataset.attrs.get(STATUS) == UNFINISHED:
        raise InputError(f"{path}: its making was interrupted; run the same command again to finish it")
    return dataset


def damaged(path: Path, error: Exception) -> InputError:
    """Return the error of a file that cannot be read."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return InputError(
        f"{path}: cannot be read as {'Zarr' if _is_zarr(path) else 'NetCDF'}, truncated or damaged? "
        f"Copy or download it again ({reason})"
    )


def spacing(values: np.ndarray) -> float:
    """Return the median step of an ascending coordinate."""
    return float(np.median(np.diff(values)))


def wrap_longitude(lon: np.ndarray) -> np.ndarray:
    """Bring longitudes to −180..180 and leave those that are there untouched to the last bit."""
    lon = lon.astype(float)
    return np.where((lon < -180) | (lon > 180), (lon + 180) % 360 - 180, lon)


def _is_zarr(path: Path) -> bool:
    return path.is_dir() and (path.suffix == ".zarr" or any((path / n).exists() for n in ("zarr.json", ".zgroup")))
