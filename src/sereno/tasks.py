"""The tasks of a SLURM job step, which train one network together; a process of its own is the only one."""

from __future__ import annotations

import os


def count() -> int:
    """Return how many there are; a batch script is no step, however many tasks its job has."""
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))


def nodes() -> int:
    """Return how many nodes they are spread over."""
    return int(os.environ["SLURM_STEP_NUM_NODES"]) if count() > 1 else 1


def rank() -> int:
    """Return the number of this one; the first, 0, writes."""
    return int(os.environ["SLURM_PROCID"]) if count() > 1 else 0
