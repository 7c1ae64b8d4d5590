"""Freed memory that stays with the process while a network is at work.

A step of a network frees and asks for the same few hundred megabytes. The C library of Linux gives large blocks back
to the system at once and gets them again page by page, which is a part of each step that can be spared.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Parameters of glibc's `mallopt`, see malloc.h."""
_DEFAULTS = {_TRIM_THRESHOLD: 128 * 1024, _MMAP_MAX: 65536}
_KEPT = {_TRIM_THRESHOLD: 2**31 - 1, _MMAP_MAX: 0}


class _Users:
    """How many are at work."""

    def __init__(self) -> None:
        self.lock, self.count = threading.Lock(), 0


_users = _Users()


@contextmanager
def kept_memory() -> Iterator[None]:
    """Keep freed memory, up to 2 GiB of it, until the last user leaves; on other systems do nothing."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if library is None or not hasattr(library, "mallopt"):
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
                _set(library, _DEFAULTS)
                library.malloc_trim(0)


def _set(library: ctypes.CDLL, values: dict[int, int]) -> None:
    for parameter, value in values.items():
        library.mallopt(parameter, value)
