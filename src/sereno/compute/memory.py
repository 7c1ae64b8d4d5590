"""Which freed memory stays with the process while a network runs, and which is returned to the system.

Nothing here changes a process unless `tune_memory` was called in it. The command line and its workers call it, and a
program that uses the library may do so.

A step of a network frees and allocates the same few hundred megabytes. The C library of Linux returns large blocks to
the system at once and gets them again page by page, which costs time in each step. After the first blocks are freed,
however, it keeps blocks of up to 32 MiB, in one pool for each thread: with maps of that size, unused memory adds up.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
"""Parameters of glibc's `mallopt`, see malloc.h."""
_LARGE = 2 * 2**20
"""Bytes of a block from which on it is given back."""
_ALL = 2**31 - 1
_DEFAULTS = {_TRIM_THRESHOLD: 128 * 1024, _MMAP_MAX: 65536}
_KEPT = {_TRIM_THRESHOLD: _ALL, _MMAP_MAX: 0}
_RETURNED = {_TRIM_THRESHOLD: _ALL, _MMAP_THRESHOLD: _LARGE}
"""Once a threshold is set, the other follows it no more: at its default, the end of a pool would be given back and
asked for again with each of the smaller blocks."""


class _Users:
    """Whether memory may be tuned, how many networks are at work, and what holds while none is."""

    def __init__(self) -> None:
        self.lock, self.tuned, self.count, self.otherwise = threading.Lock(), False, 0, _DEFAULTS


_users = _Users()


def tune_memory() -> None:
    """Let sereno tune how this process keeps and returns memory; on systems without glibc do nothing.

    Networks then run faster, and large maps take less memory. This changes the whole process: large tensors are in
    large pages (the environment variable ``THP_MEM_ALLOC_ENABLE``, which PyTorch reads at its first allocation, so
    call this before), and while sereno works, the C library keeps or returns freed memory by other thresholds. The
    command line and its workers call it; importing sereno does not.

    Examples
    --------
    >>> import sereno
    >>> sereno.tune_memory()
    """
    if _glibc() is not None:
        os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
        _users.tuned = True


def return_memory() -> None:
    """Give large blocks back as they are freed, from now on but for `kept_memory`; do nothing where not tuned.

    Smaller ones stay with the process until `trim_memory`.
    """
    if (library := _library()) is not None:
        with _users.lock:
            _users.otherwise = _DEFAULTS | _RETURNED
            if _users.count == 0:
                _set(library, _users.otherwise)


def trim_memory() -> None:
    """Give back all memory that is free, of all pools, unless a network is at work; do nothing where not tuned.

    Blocks below the size that is given back at once leave holes in the pools, which add up from day to day.
    """
    library = _library()
    with _users.lock:
        if library is not None and _users.count == 0:
            library.malloc_trim(0)


@contextmanager
def kept_memory() -> Iterator[None]:
    """Keep freed memory, up to 2 GiB of it, until the last user leaves; do nothing where not tuned."""
    library = _library()
    if library is None:
        yield
        return
    with _users.lock:
        _users.count += 1
        _set(library, _KEPT)
    try:
        yield
    finally:
        with _users.lock:
            _users.count -= 1
            if _users.count == 0:
                _set(library, _users.otherwise)
                library.malloc_trim(0)


def _library() -> ctypes.CDLL | None:
    """Return the C library, if this process may be tuned."""
    return _glibc() if _users.tuned else None


def _glibc() -> ctypes.CDLL | None:
    """Return the C library if it is glibc: others have other parameters, or none."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "gnu_get_libc_version") else None


def _set(library: ctypes.CDLL, values: dict[int, int]) -> None:
    for parameter, value in values.items():
        library.mallopt(parameter, value)
