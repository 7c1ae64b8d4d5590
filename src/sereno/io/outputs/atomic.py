"""Files that are either there in full or not there at all, and the streaming of lazy data into them.

Everything is written under a temporary name next to its target, on the same file system, and then renamed. A run
that fails or is interrupted leaves the old file as it was and no fragment behind.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Hashable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from uuid import uuid4

import xarray as xr

from sereno.compute import signals
from sereno.compute.cores import cores
from sereno.compute.processes import telling
from sereno.errors import InputError
from sereno.io.hdf5 import write_netcdf
from sereno.io.outputs.disk import naming_output
from sereno.io.outputs.final_checks import require_whole
from sereno.progress import Progress, silent

CHUNK_SIDE = 1024
"""Cells of a stored chunk along latitude and longitude at most; a chunk holds no more than its square."""

_ZARR_MARKERS = (".zgroup", "zarr.json")


@contextmanager
def atomic_path(path: str | Path, *, replaces: tuple[str, ...] = ()) -> Iterator[Path]:
    """Lend a temporary path; what was written there takes the place of `path` when the block ends well.

    The temporary name ends in ``.part``, so that no glob for ``*.nc`` ever meets it: a writer that finds the format
    by the suffix must be given the format.

    Parameters
    ----------
    path
        The target, a file or a folder. Its parent must exist.
    replaces
        File names by which an existing folder is known for one that may be replaced, such as ``zarr.json``.
        An empty folder always may.

    Yields
    ------
    Path
        Where to write: nothing is there yet.

    Raises
    ------
    InputError
        If the parent is missing or cannot be written to, or the target is a folder of something else.
    """
    target = Path(path).resolve()  # a link is followed, not replaced
    _refuse(target, replaces)
    with _unfinished(target) as temporary:
        yield temporary
        _require_content(temporary, target)
        put_in_place(temporary, target)


@contextmanager
def first_come(path: str | Path) -> Iterator[Path]:
    """Lend a temporary path for a folder that becomes `path`, unless another process was there first.

    Of many that make the same folder at once, the first to end makes it, and what the others made is dropped.

    Raises
    ------
    InputError
        If the parent is missing or cannot be written to.
    """
    target = Path(path).resolve()
    _refuse_parent(target)
    with _unfinished(target) as temporary:
        yield temporary
        try:
            os.rename(temporary, target)
        except OSError:  # the folder is not empty
            if not target.is_dir():
                raise


@contextmanager
def atomic_files(folder: str | Path, *, output: str | None = None) -> Iterator[Path]:
    """Lend a temporary folder; the files written there move into `folder` when the block ends well.

    Files of the same names are replaced, and what else the folder holds is left alone.

    Parameters
    ----------
    folder
        The target; made where it is not there yet. Its parent must exist.
    output
        Name of the one file in the folder that a user asked for, where it is not the folder itself: what a killed run
        leaves is named after it, and found by `clear_litter`.

    Yields
    ------
    Path
        An empty folder to write to.

    Raises
    ------
    InputError
        If the parent is missing, a file or a store stands where the folder should be, or it cannot be written to.
    """
    target = Path(folder).resolve()
    refuse_folder(target)
    # Within a folder that is there, which may be a file system of its own.
    named = target if output is None else target / output
    with _unfinished(named, target if target.is_dir() else target.parent) as temporary:
        temporary.mkdir()
        yield temporary
        made = sorted(temporary.iterdir())
        for path in made:
            _require_content(path, target / path.name)
        with signals.undisturbed():  # all or none of them
            target.mkdir(exist_ok=True)
            for path in made:
                os.replace(path, target / path.name)


@contextmanager
def _unfinished(target: Path, folder: Path | None = None) -> Iterator[Path]:
    """Lend a temporary name, next to a target where no folder is given; nothing stays under it, whatever happens."""
    temporary = (folder or target.parent) / f".{target.name}.{uuid4().hex[:8]}.part"
    signals.UNFINISHED.add(temporary)
    try:
        with naming_output(target, temporary):
            yield temporary
    finally:  # after Ctrl-C too
        signals.remove(temporary)
        signals.UNFINISHED.discard(temporary)


def _require_content(written: Path, target: Path) -> None:
    """Refuse to put something in its place that is not there, or holds nothing."""
    there = any(written.iterdir()) if written.is_dir() else written.exists() and written.stat().st_size > 0
    if not there:
        raise InputError(f"{target}: nothing was written, though no error was reported; is the disk in order?")


def clear_litter(*targets: Path) -> None:
    """Remove what killed runs left of files and folders; call it with their locks held, when nobody writes them.

    Within a folder, what was left of its files goes as well. An old folder that was moved aside for a new one that
    never came is put back.
    """
    for target in (path.resolve() for path in targets):
        for path in _litter(target.parent, target.name):
            if path.suffix == ".old" and not target.exists():
                os.replace(path, target)
            else:
                signals.remove(path)
        if target.is_dir():
            for path in _litter(target):
                signals.remove(path)


def _litter(folder: Path, name: str | None = None) -> list[Path]:
    """Return what stands in a folder under a temporary name for a file of any name, or of one."""
    temporary = re.compile(rf"\.{'.+' if name is None else re.escape(name)}\.[0-9a-f]{{8}}\.part(\.old)?")
    return [path for path in sorted(folder.iterdir()) if temporary.fullmatch(path.name)]


def refuse_folder(folder: str | Path) -> None:
    """Raise an InputError, before any work is done, if `atomic_files` could not write to a folder."""
    target = Path(folder).resolve()
    _refuse_parent(target)
    if target.exists() and not target.is_dir():
        raise InputError(f"{target}: a file of that name stands where the folder should be; choose another name")
    if any((target / marker).exists() for marker in _ZARR_MARKERS):
        raise InputError(f"{target}: a Zarr store stands where the folder should be; choose another name")
    if target.is_dir() and not os.access(target, os.W_OK):
        raise InputError(f"{target}: no permission to write there; choose another place")


def atomic_text(path: str | Path, text: str) -> Path:
    """Write a text file (UTF-8) atomically and return its path; bytes of names that are no text stay as they are."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")
    return Path(path)


def write_dataset(
    dataset: xr.Dataset,
    path: str | Path,
    *,
    encoding: Mapping[str, Mapping[str, Any]] | None = None,
    progress: Progress = silent,
) -> Path:
    """Write a dataset to one NetCDF-4 file or Zarr store, atomically, a few dask blocks in memory at a time.

    Parameters
    ----------
    dataset
        Any dataset; lazy variables are computed by threads while they are written.
    path
        Target, ``.nc`` or ``.zarr``.
    encoding
        Encoding of variables by name: ``dtype``, ``scale_factor``, ``_FillValue`` and the like. Chunks and
        compression are chosen here. What the variables remember of the file they were read from is forgotten:
        it would pack an anomaly as tightly as the temperature it came from.
    progress
        Called with the stage ``"write"`` and the fraction of dask tasks done.

    Raises
    ------
    InputError
        If the suffix is another, or `atomic_path` refuses the target.
    """
    path = require_place(path)
    zarr = path.suffix == ".zarr"
    dataset = _evenly_chunked(dataset.drop_encoding())
    # CF forbids missing values in coordinates, and so a fill value there.
    full = {
        name: {"_FillValue": None} if name in dataset.coords else _storage(dataset[name], zarr)
        for name in dataset.variables
    }
    full = {name: {**stored, **(encoding or {}).get(str(name), {})} for name, stored in full.items()}
    lazy = any(variable.chunks is not None for variable in dataset.variables.values())
    threads = _threads(progress) if lazy else nullcontext(dict[str, Any]())
    with atomic_path(path, replaces=_ZARR_MARKERS if zarr else ()) as temporary, threads as how:
        if zarr:
            dataset.to_zarr(temporary, zarr_format=2, consolidated=True, encoding=full, chunkmanager_store_kwargs=how)
        else:
            write_netcdf(dataset, temporary, encoding=full, how=how)
            lengths = {str(name): index.size for name, index in dataset.coords.items() if index.dims == (name,)}
            require_whole(temporary, sizes=lengths, output=path)
    return path


def require_place(path: str | Path) -> Path:
    """Return the path if `write_dataset` can write there, to be asked before any long work.

    Raises
    ------
    InputError
        If the suffix is neither ``.nc`` nor ``.zarr``, or `atomic_path` refuses the target.
    """
    path = Path(path)
    if path.suffix not in (".nc", ".zarr"):
        raise InputError(f"{path}: the name must end in .nc or .zarr")
    _refuse(path.resolve(), _ZARR_MARKERS if path.suffix == ".zarr" else ())
    return path


@contextmanager
def _threads(progress: Progress) -> Iterator[dict[str, Any]]:
    """Lend what lets dask compute in threads that have all ended when the block is left, and report what is done."""
    progress("write", 0.0)
    # A pool of our own, because after an interruption the tasks at work must end before the files are removed.
    with (
        ThreadPoolExecutor(cores()) as pool,
        telling(lambda fraction: progress("write", fraction)),
    ):
        yield {"scheduler": "threads", "pool": pool}
    progress("write", 1.0)


def _evenly_chunked(dataset: xr.Dataset) -> xr.Dataset:
    """Give the lazy variables chunks of one size along each dimension, as Zarr demands."""
    even = {
        name: array.chunk({dim: max(chunks) for dim, chunks in array.chunksizes.items()})
        for name, array in dataset.variables.items()
        if array.chunks is not None
    }
    return dataset.assign({name: dataset[name].copy(data=array.data) for name, array in even.items()})


def _storage(array: xr.DataArray, zarr: bool) -> dict[str, Any]:
    """Return chunks and compression of a variable of two dimensions or more; nothing for others, or for text."""
    if array.ndim < 2 or array.dtype.kind not in "biufmM":
        return {}
    shape = [_divisor(CHUNK_SIDE, chunks) for chunks in _chunks(array)[-2:]]
    for chunks in reversed(_chunks(array)[:-2]):
        shape.insert(0, _divisor(max(1, CHUNK_SIDE**2 // math.prod(shape)), chunks))
    if zarr:
        return {"chunks": tuple(shape)}
    return {"chunksizes": tuple(shape), "zlib": True, "complevel": 2, "shuffle": True}


def _chunks(array: xr.DataArray) -> list[tuple[int, ...]]:
    """Return the sizes of the dask chunks along each dimension; one chunk where the array is in memory."""
    chunksizes: Mapping[Hashable, tuple[int, ...]] = array.chunksizes
    return [chunksizes.get(dim, (size,)) for dim, size in array.sizes.items()]


def _divisor(wanted: int, chunks: tuple[int, ...]) -> int:
    """Return the largest size up to `wanted` such that no stored chunk straddles two dask chunks."""
    if len(chunks) == 1:
        return max(1, min(wanted, chunks[0]))
    return max(size for size in range(1, wanted + 1) if chunks[0] % size == 0)


def _refuse(target: Path, replaces: tuple[str, ...]) -> None:
    """Raise an InputError, before any work is done, if `target` cannot be written."""
    _refuse_parent(target)
    if target.is_dir() and any(target.iterdir()) and not any((target / name).exists() for name in replaces):
        raise InputError(f"{target}: it is a folder with other content; choose another name or remove it")


def _refuse_parent(target: Path) -> None:
    if not target.parent.is_dir():
        raise InputError(f"{target}: there is no folder {target.parent}; make it first")
    if not os.access(target.parent, os.W_OK):
        raise InputError(f"{target}: no permission to write to {target.parent}")


def discard(path: Path) -> None:
    """Remove a file or folder in one step, as others see it: what a kill leaves of it is litter, not half a store."""
    aside = path.resolve().with_name(f".{path.name}.{uuid4().hex[:8]}.part")
    os.replace(path, aside)
    signals.remove(aside)


def put_in_place(new: Path, target: Path) -> None:
    """Rename `new` to `target`, moving an old folder aside first: only a file can be replaced in one step."""
    if not target.is_dir():
        os.replace(new, target)
        return
    old = target.with_name(f".{target.name}.{uuid4().hex[:8]}.part.old")
    os.replace(target, old)
    try:
        os.replace(new, target)
    except BaseException:
        os.replace(old, target)
        raise
    signals.remove(old)
