"""How many cores a process may use."""

from __future__ import annotations

import dask
from dask.system import CPU_COUNT


def cores() -> int:
    """Return how many threads may work at once: Dask's setting `num_workers`, else one for each core."""
    return int(dask.config.get("num_workers", None) or CPU_COUNT)
