"""How many cores a process may use, and whether the machine has the memory that it wants."""

from __future__ import annotations

import os

import dask
from dask.system import CPU_COUNT

from sereno.errors import InputError


def cores() -> int:
    """Return how many threads may work at once: Dask's setting `num_workers`, else one for each core."""
    return int(dask.config.get("num_workers", None) or CPU_COUNT)


def memory() -> int:
    """Return the bytes of memory of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def require_memory(wanted: float, *, method: str) -> None:
    """Refuse maps for which a method wants more bytes than the machine has.

    Raises
    ------
    InputError
        If it does.
    """
    if wanted > memory():
        raise InputError(
            f"{method} holds the whole map, about {wanted / 2**30:.0f} GiB here, and this machine has "
            f"{memory() / 2**30:.0f} GiB; use oi-grid or unet, which take large maps in parts, or a region of the map"
        )
