"""The tasks of a SLURM job step, which train one network together; a process of its own is the only one."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


def count() -> int:
    """Return how many there are; a batch script is no step, however many tasks its job has."""
    return int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))


def nodes() -> int:
    """Return how many nodes they are spread over."""
    return int(os.environ["SLURM_STEP_NUM_NODES"]) if count() > 1 else 1


def rank() -> int:
    """Return the number of this one; the first, 0, writes."""
    return int(os.environ["SLURM_PROCID"]) if count() > 1 else 0


@contextmanager
def heeding_notice(heed: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Meanwhile heed SIGUSR1, by which SLURM gives notice of the time limit.

    Signals reach the main thread alone, and Windows does not have this one; there, nothing is heeded.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGUSR1"):
        yield
        return
    before = signal.signal(signal.SIGUSR1, heed)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)
