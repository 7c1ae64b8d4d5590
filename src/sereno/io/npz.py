"""Arrays of ``.npz`` files, of a bounded size and without pickle."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from sereno.errors import InputError, file_edge
from sereno.files import require_regular

MOST = 2**30
"""Bytes of an array at most."""


def read_npz(path: Path, names: Iterable[str], *, wanted: str, optional: Iterable[str] = ()) -> dict[str, np.ndarray]:
    """Read arrays of an ``.npz`` file.

    Parameters
    ----------
    names, optional
        Arrays that must and that may be there.
    wanted
        What the file should be, for the message.

    Raises
    ------
    InputError
        If the file is none, or damaged, or lacks an array, or one is too large or of Python objects.
    """
    if not path.is_file() and not path.exists():
        raise InputError(f"{path}: no such file; {wanted}")
    require_regular(path)
    with file_edge(f"{path}: cannot be read", f"truncated or damaged? {wanted}"), zipfile.ZipFile(path) as archive:
        there = set(archive.namelist())
        return {
            name: _array(archive, f"{name}.npy")
            for name in (*names, *(name for name in optional if f"{name}.npy" in there))
        }


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Read an array whose header says just what its bytes hold."""
    size = archive.getinfo(name).file_size
    if size > MOST:
        raise ValueError(f"{name} has {size} bytes, and {MOST} at most are read")
    stream = io.BytesIO(archive.read(name))
    version = npy.read_magic(stream)
    header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = header(stream)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != size - stream.tell():
        raise ValueError(f"{name} is {dtype} {shape}, which its {size} bytes are not")
    stream.seek(0)
    return np.asarray(npy.read_array(stream, allow_pickle=False))
