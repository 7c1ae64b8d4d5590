"""Independent tasks on a pool, of processes for files: HDF5 has one lock for all threads of a process."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, Generic, TypeVar

import cloudpickle
import dask
from dask.callbacks import Callback
from dask.system import CPU_COUNT
from threadpoolctl import threadpool_limits

from sereno.compute import signals
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
Pool = Executor | None
"""None represents this process."""


def workers_for(files: int, *, cells: int) -> int:
    """Return how many workers to use on a number of files, of maps of a number of cells.

    One a CPU, but no more than `MEMORY` holds, nor more than have work for longer than they need to start.
    """
    held = int((MEMORY - _BASE) / (_BASE + _PER_CELL * cells))
    busy = int(files * (_SECONDS_A_FILE + _SECONDS_A_CELL * cells) / _WORTH_SECONDS)
    return max(1, min(CPU_COUNT, held, busy))


class _Process(SpawnProcess):
    """A process that begins with the signals held back: `_follow_parent` lets them through."""

    def start(self) -> None:
        """Start it."""
        with signals.held_back_in_children():
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
    with signals.held_back_in_children():
        resource_tracker.ensure_running()  # a process too, which must outlive the others
    with signals.undisturbed():  # an end in here, or in the undoing, would leave semaphores to the system
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
        with signals.undisturbed():
            pool.shutdown(cancel_futures=True)


def compute(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    pool: Pool,
    done: Callable[[Result], None] = lambda result: None,
) -> list[Result]:
    """Apply a function to each task and return the results in order; `done` gets each as soon as it is there.

    The first error, or Ctrl-C, ends it: tasks that have not begun are called off.
    """
    if pool is None:
        return [_reported(function(task), done) for task in tasks]
    in_process = isinstance(pool, ProcessPoolExecutor)
    futures: list[Future[Result]] = []
    try:
        for task in tasks:
            call = _Call(function, task)
            futures.append(pool.submit(_in_process, call) if in_process else pool.submit(call))
        for future in as_completed(futures):
            done(future.result())
        return [future.result() for future in futures]
    finally:
        for future in futures:
            future.cancel()


def _reported(result: Result, done: Callable[[Result], None]) -> Result:
    done(result)
    return result


@dataclass(frozen=True)
class _Call(Generic[Task, Result]):
    """A call that cloudpickle sends to a process: lazy arrays of a task may hold functions that pickle refuses."""

    function: Callable[[Task], Result]
    task: Task

    def __call__(self) -> Result:
        return self.function(self.task)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Packed, (cloudpickle.dumps((self.function, self.task)),)


@dataclass(frozen=True)
class _Packed:
    """A call as it arrives in a process, unpacked when it is made: an error before that would end the process."""

    content: bytes

    def __call__(self) -> Any:  # noqa: ANN401
        function, task = pickle.loads(self.content)
        return function(task)


def _in_process(call: Callable[[], Result]) -> Result:
    """Make a call in a worker, and raise what can be sent to the parent: anything else would break the pool."""
    try:
        return call()
    except Exception as error:
        failed = _sendable(error)
    raise failed


def _sendable(error: Exception) -> Exception:
    """Return an error that pickle can send: the same, without what caused it, or its text alone."""
    if not _can_be_sent(error):
        error.__cause__ = error.__context__ = None
    text = f"{type(error).__name__}: {error}"
    return error if _can_be_sent(error) else RuntimeError(text).with_traceback(error.__traceback__)


def _can_be_sent(error: Exception) -> bool:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return False
    return True


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
    for number in signals.SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: signals.end_at_once(128 + number))
    signals.let_through()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        signals.end_at_once(1)


def telling(progress: Callable[[float], None]) -> Callback:
    """Return a context in which dask reports the share of its tasks that is done, whenever that has grown by 1 %."""
    reported = 0.0

    def report(_key: Any, _result: Any, _graph: Any, state: Mapping[str, Any], _worker: Any) -> None:  # noqa: ANN401
        nonlocal reported
        done = len(state["finished"])
        fraction = done / (done + sum(len(state[key]) for key in ("ready", "waiting", "running")))
        if fraction >= reported + 0.01:
            reported = fraction
            progress(fraction)

    return Callback(posttask=report)
