"""Tasks over files by Dask, in processes: HDF5 has one lock for all threads of a process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, TypeVar

import dask
from dask.base import compute as dask_compute
from dask.callbacks import Callback
from dask.delayed import delayed
from dask.multiprocessing import RemoteException
from dask.system import CPU_COUNT
from threadpoolctl import threadpool_limits

from sereno.compute import stopping
from sereno.compute.debugging import hush
from sereno.compute.memory import tune_memory
from sereno.errors import InputError

MEMORY = 2**31
"""Bytes that all processes together keep to, where the number of workers is left to us."""
_BASE, _PER_CELL = 250e6, 40
"""Bytes of a process that has imported what it needs, and of a cell of the map that it has in hand."""
_SECONDS_A_FILE, _SECONDS_A_CELL, _WORTH_SECONDS = 0.03, 2e-7, 10

Task = TypeVar("Task")
Result = TypeVar("Result")
Pool = ProcessPoolExecutor | ThreadPoolExecutor | None
"""None stands for this process."""


def workers_for(files: int, *, cells: int) -> int:
    """Return how many workers to use on so many files of maps of so many cells.

    One a CPU, but no more than `MEMORY` holds, nor more than have work for longer than they need to start.
    """
    held = int((MEMORY - _BASE) / (_BASE + _PER_CELL * cells))
    busy = int(files * (_SECONDS_A_FILE + _SECONDS_A_CELL * cells) / _WORTH_SECONDS)
    return max(1, min(CPU_COUNT, held, busy))


class _Process(SpawnProcess):
    """A process that begins with the signals held back: `_follow_parent` lets them through."""

    def start(self) -> None:
        """Start it."""
        with stopping.held_back_in_children():
            super().start()


class _Context(SpawnContext):
    Process = _Process


@contextmanager
def worker_pool(workers: int) -> Iterator[Pool]:
    """Lend a pool of processes for `compute`; one worker needs none.

    Raises
    ------
    InputError
        If a process was killed, as the system does where memory runs out.
    """
    if workers == 1:
        yield None
        return
    with stopping.held_back_in_children():
        resource_tracker.ensure_running()  # a process too, which must outlive the others
    with stopping.undisturbed():  # an end amid this, or amid its undoing, would leave semaphores to the system
        pool = ProcessPoolExecutor(workers, mp_context=_Context(), initializer=_follow_parent)
    try:
        yield pool
    except KeyboardInterrupt:
        for process in multiprocessing.active_children():  # a task may take hours
            process.terminate()
        raise
    except BrokenProcessPool:
        raise InputError(
            "a worker process was killed, perhaps for lack of memory; run again with fewer of them (`workers`)"
        ) from None
    finally:
        with stopping.undisturbed():
            pool.shutdown(cancel_futures=True)


def compute(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    pool: Pool,
    done: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Apply a function to each task and return the results in order; `done` is told each as soon as it is there."""

    def report(key: Any, result: Any, _graph: Any, _state: Mapping[str, Any], _worker: Any) -> None:  # noqa: ANN401
        if str(key).startswith("task-"):
            done(result)

    # In a `partial`, which dask does not look into: it would compute the lazy arrays of a task, and send them whole.
    calls = [
        delayed(partial(function, task), traverse=False)(dask_key_name=f"task-{number}")
        for number, task in enumerate(tasks)
    ]
    scheduler = "threads" if isinstance(pool, ThreadPoolExecutor) else "processes"
    how: dict[str, Any] = {"scheduler": "sync"} if pool is None else {"scheduler": scheduler, "pool": pool}
    try:
        with Callback(posttask=report):
            return list(dask_compute(*calls, chunksize=1, optimize_graph=False, **how))
    except RemoteException as error:  # its text is the whole traceback in the other process
        raise error.exception from error


def _follow_parent() -> None:
    """Leave Ctrl-C to the parent, end with it even if it is killed, leaving nothing half written; keep to a core."""
    hush()
    tune_memory()
    os.environ["OMP_NUM_THREADS"] = "1"  # of torch, which comes later
    threadpool_limits(1)  # of what is loaded
    dask.config.set(num_workers=1)
    if "fork" in multiprocessing.get_all_start_methods():
        # Of locks that libraries make here (numcodecs), none has a name that outlives an end at once.
        multiprocessing.set_start_method("fork", force=True)
    for number in stopping.SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: stopping.end_at_once(128 + number))
    stopping.let_through()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        stopping.end_at_once(1)


def telling(progress: Callable[[float], None]) -> Callback:
    """Return a context in which dask tells the share of its tasks that is done, whenever that has grown by 1 %."""
    told = 0.0

    def report(_key: Any, _result: Any, _graph: Any, state: Mapping[str, Any], _worker: Any) -> None:  # noqa: ANN401
        nonlocal told
        done = len(state["finished"])
        fraction = done / (done + sum(len(state[key]) for key in ("ready", "waiting", "running")))
        if fraction >= told + 0.01:
            told = fraction
            progress(fraction)

    return Callback(posttask=report)
