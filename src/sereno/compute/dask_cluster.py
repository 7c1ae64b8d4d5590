"""Tasks on the workers of a Dask cluster that runs already, by the address of its scheduler."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from typing import TypeVar

from sereno.compute.memory import tune_memory
from sereno.compute.processes import compute
from sereno.errors import InputError

PATIENCE = 30
"""Seconds after which a scheduler, or a first worker of it, is not waited for any longer."""

Task = TypeVar("Task")
Result = TypeVar("Result")


def compute_at(
    address: str, function: Callable[[Task], Result], tasks_for: Callable[[int], Sequence[Task]]
) -> list[Result]:
    """Apply a function to tasks on the workers of a cluster, and return the results in order.

    Parameters
    ----------
    address
        Of the scheduler, such as ``tcp://host:8786``.
    tasks_for
        Makes the tasks for a number of threads of workers.

    Raises
    ------
    InputError
        If Dask's scheduler is not installed here, does not answer or has no worker, or if workers keep dying.
    """
    if find_spec("distributed") is None:
        raise InputError(f'`workers` {address}: needs Dask\'s scheduler; pip install "sereno[cluster]"')
    distributed = importlib.import_module("distributed")
    try:
        client = distributed.Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"`workers` {address}: no Dask scheduler answers there ({error}); give the address that "
            "`dask scheduler` printed, such as tcp://host:8786"
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise InputError(f"`workers` {address}: the scheduler has no worker; start some, `dask worker`") from None
        tasks = tasks_for(sum(client.nthreads().values()))
        try:
            return compute(partial(_tuned, function), tasks, pool=client.get_executor(pure=False))
        except distributed.KilledWorker:
            raise InputError(
                f"`workers` {address}: workers died at it, perhaps for lack of memory; give them more of it, or run "
                "again with fewer threads each (`dask worker --nthreads 1`)"
            ) from None


def _tuned(function: Callable[[Task], Result], task: Task) -> Result:
    """Apply a function in a worker, whose memory is tuned."""
    tune_memory()
    return function(task)
