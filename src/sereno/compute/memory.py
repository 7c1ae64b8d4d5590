"""Freed memory: that which stays with the process while a network is at work, and that which does not.

A step of a network frees and asks for the same few hundred megabytes. The C library of Linux gives large blocks back
to the system at once and gets them again page by page, which is a part of each step that can be spared. From the
first that are freed on it keeps blocks of up to 32 MiB, though, in as many pools as threads come and go: where maps
are of that size, memory that nothing uses adds up.
"""

from __future__ import annotations

import ctypes
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
    """How many are at work, and what holds while none is."""

    def __init__(self) -> None:
        self.lock, self.count, self.otherwise = threading.Lock(), 0, _DEFAULTS


_users = _Users()


def return_memory() -> None:
    """Give large blocks back as they are freed, from now on but for `kept_memory`; on other systems do nothing.

    Smaller ones stay with the process until `trim_memory`.
    """
    if (library := _library()) is not None:
        with _users.lock:
            _users.otherwise = _DEFAULTS | _RETURNED
            if _users.count == 0:
                _set(library, _users.otherwise)


def trim_memory() -> None:
    """Give back all memory that is free, of all pools, unless a network is at work; on other systems do nothing.

    Blocks below the size that is given back at once leave holes in the pools, which add up from day to day.
    """
    library = _library()
    with _users.lock:
        if library is not None and _users.count == 0:
            library.malloc_trim(0)


@contextmanager
def kept_memory() -> Iterator[None]:
    """Keep freed memory, up to 2 GiB of it, until the last user leaves; on other systems do nothing."""
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
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "mallopt") else None


def _set(library: ctypes.CDLL, values: dict[int, int]) -> None:
    for parameter, value in values.items():
        library.mallopt(parameter, value)
