import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from types import ModuleType

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy and torch come in: tests run side by side, one a core
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each command that a test starts compiles everything anew

import pytest
import torch
import xarray as xr
from hypothesis import settings

from sereno import cli
from sereno.reconstruct.interpolation import method
from sereno.reconstruct.uncertainty import collecting
from sereno.synthetic import TwinSeaConfig, twin_sea

collect_ignore = ["data"]  # files, and the scripts that made them

settings.register_profile("sereno", deadline=None)  # a busy machine is not a failure
settings.load_profile("sereno")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Nets this small gain nothing from a second thread, and lose much where other tests run beside them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", autouse=True)
def heed_interrupts() -> None:
    """A job in the background is started to ignore Ctrl-C, and so would be the commands that tests interrupt."""
    # Not Python's own handler itself, in whose place the command line leaves that of the system at its end.
    signal.signal(signal.SIGINT, lambda number, frame: signal.default_int_handler(number, frame))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """The command line in this process: exit status and standard error of `sereno` with the words of a call."""

    def run(*words: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["sereno", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return int(caught.value.code or 0), capsys.readouterr().err

    return run


@pytest.fixture(scope="session")
def sea() -> xr.Dataset:
    """Four months of a small twin sea with land, in memory; to be looked at, never changed."""
    return twin_sea(TwinSeaConfig(days=120, shape=(24, 32)))


FEW = {
    (collecting, "CELLS"): 0,
    (collecting, "FEWEST_DAYS"): 6,
    (method, "TUNING_CELLS"): method.TUNING_CELLS // 10,
    (method, "SPREAD_CELLS"): method.SPREAD_CELLS // 10,
}
"""What tests tune and calibrate on, but for those that ask how good a method is."""
ALL = {(module, name): getattr(module, name) for module, name in FEW}


def samples(numbers: dict[tuple[ModuleType, str], float]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for (module, name), number in numbers.items():
            patch.setattr(module, name, number)
        yield


@pytest.fixture(scope="session", autouse=True)
def few_samples() -> Iterator[None]:
    """Tune interpolation on a tenth of its samples, and calibrate on few days."""
    yield from samples(FEW)


@pytest.fixture(scope="module")
def all_samples() -> Iterator[None]:
    """Tune and calibrate as users do, from the first test that asks how good a method is to the end of its module."""
    yield from samples(ALL)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much processor time the tests took, on all cores: that does not depend on what else a machine does."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    terminalreporter.write_line(f"processor time: {seconds:.0f} s")
