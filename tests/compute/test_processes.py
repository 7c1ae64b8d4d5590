import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask.array as da
import pytest
import xarray as xr
from tasks import Held, Place, blocked, die, fail, is_lazy, square, where, write_for_ever

from sereno.compute import processes, signals
from sereno.compute.processes import compute, worker_pool, workers_for
from sereno.compute.signals import heeding_stops
from sereno.errors import InputError


@pytest.mark.parametrize("workers", [1, 2])
def test_lazy_arrays_of_a_task_stay_lazy(workers: int) -> None:
    cube = xr.Dataset({"sst": ("time", da.zeros(3, chunks=1))})
    with worker_pool(workers) as pool:
        assert compute(is_lazy, [Held(cube), Held(cube)], pool=pool) == [True, True]


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order_and_each_is_told_once(workers: int) -> None:
    told: list[int] = []
    with worker_pool(workers) as pool:
        assert compute(square, range(20), pool=pool, done=told.append) == [number**2 for number in range(20)]
        assert compute(square, [], pool=pool) == []
        places = {place for place, _ in compute(where, range(20), pool=pool)}
    assert sorted(told) == [number**2 for number in range(20)]
    assert (os.getpid() in places) == (workers == 1)


@pytest.mark.thorough
def test_a_worker_that_is_killed_is_told_with_a_remedy() -> None:
    with (
        pytest.raises(InputError, match="killed, perhaps for lack of memory; run again with fewer"),
        worker_pool(2) as pool,
    ):
        compute(die, range(4), pool=pool)


def test_workers_are_as_many_as_are_held_and_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "CPU_COUNT", 6)
    large = 1890 * 6525
    assert workers_for(10_000, cells=100 * 200) == 6
    assert workers_for(10, cells=100 * 200) == 1
    assert workers_for(10_000, cells=large) == 2
    assert workers_for(10_000, cells=100 * large) == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_worker_comes_as_it_is(workers: int) -> None:
    with worker_pool(workers) as pool, pytest.raises(InputError) as caught:
        compute(fail, [0], pool=pool)
    assert str(caught.value) == "a.nc: damaged"
    with worker_pool(workers) as pool, pytest.raises(Exception, match=r"b\.nc: torn"):
        compute(fail, [1], pool=pool)


@pytest.mark.parametrize("error", [InputError, KeyboardInterrupt])
def test_tasks_that_have_not_begun_are_called_off(error: type[BaseException]) -> None:
    begun: list[int] = []

    def begin(number: int) -> int:
        begun.append(number)
        if number == 0 and error is InputError:
            raise error("a.nc: damaged")
        time.sleep(0.02)
        return number

    def interrupt(_number: int) -> None:
        raise error

    with ThreadPoolExecutor(1) as threads, pytest.raises(error):
        compute(begin, range(100), pool=threads, done=interrupt)
    assert len(begun) < 50


def test_a_task_may_hold_functions_that_pickle_refuses() -> None:
    with worker_pool(2) as pool:
        assert compute(lambda task: task(3), [lambda number: number + 1], pool=pool) == [4]


def test_workers_that_are_told_to_end_leave_nothing_half_written(tmp_path: Path) -> None:
    def interrupt() -> None:
        while not any(tmp_path.iterdir()):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt, daemon=True).start()
    with heeding_stops() as stop, pytest.raises(KeyboardInterrupt), worker_pool(2) as pool:
        compute(write_for_ever, [Place(tmp_path)], pool=pool)
    assert stop.code == 143
    assert list(tmp_path.iterdir()) == []


@pytest.mark.thorough
def test_signals_to_the_whole_group_are_left_to_the_parent() -> None:
    with worker_pool(2) as pool:
        assert compute(blocked, range(2), pool=pool) == [[], []]
        workers = {process for process, _ in compute(where, range(8), pool=pool)}
        for process in workers:
            os.kill(process, signal.SIGINT)
            os.kill(process, signal.SIGHUP)
        assert compute(square, range(4), pool=pool) == [0, 1, 4, 9]


def test_processes_begin_with_signals_held_back() -> None:
    code = "import signal; print(sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))))"
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with signals.held_back_in_children():
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip() == str(sorted(map(int, signals.SIGNALS)))
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


class Unreadable:
    """A task that a worker cannot read: one of a package that it lacks, or of another version."""

    def __reduce__(self) -> tuple[object, ...]:
        return importlib.import_module, ("sereno.no_such_module",)


@pytest.mark.thorough
def test_a_task_that_a_worker_cannot_read_is_an_error_and_not_its_end() -> None:
    with worker_pool(2) as pool, pytest.raises(ModuleNotFoundError, match="no_such_module"):
        compute(square, [Unreadable(), Unreadable()], pool=pool)  # type: ignore[list-item]
