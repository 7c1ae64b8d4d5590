"""What the command line makes of errors, signals and bad terminals, whatever it runs."""

import errno
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sereno.cli import edge, progress, streams
from sereno.compute import debugging, signals
from sereno.compute.signals import heeding_stops
from sereno.errors import InputError, PausedError
from sereno.io.outputs.atomic import atomic_files, atomic_path

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run something in the place of the application, and return the exit status and what standard error shows."""
    monkeypatch.setenv(debugging.VARIABLE, "")
    monkeypatch.setattr(progress, "stage", "")

    def run(application: Callable[[], object], *words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["sereno", *words])
        status = edge.run(application, list(words))
        return status, capsys.readouterr().err

    return run


def raising(error: BaseException) -> Callable[[], None]:
    def application() -> None:
        raise error

    return application


def allocate() -> None:
    np.empty(1 << 50, "float64")


SYSTEM = {
    "disk full": (OSError(errno.ENOSPC, "No space left on device", "/sea/out.nc"), "/sea/out.nc: no space left"),
    "quota": (OSError(errno.EDQUOT, "Disk quota exceeded", "/sea/out.nc"), "quota is used up"),
    "handles": (OSError(errno.EMFILE, "Too many open files"), "too many open files; raise the limit"),
    "read-only": (
        OSError(errno.EROFS, "Read-only file system", "/sea/out.nc"),
        "/sea/out.nc: the file system is read",
    ),
    "long name": (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300), "the name is too long"),
    "no permission to read": (
        PermissionError(errno.EACCES, "Permission denied", "in.nc"),
        "in.nc: permission denied",
    ),
    "of another kind": (OSError(errno.EPROTO, "Protocol error", "in.nc"), "in.nc: Protocol error"),
    "of HDF5, which has no number": (OSError("unable to lock file"), "unable to lock file"),
    "memory": (MemoryError(), "not enough memory"),
    "memory of torch": (
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 8 TB"),
        "not enough",
    ),
    "memory of a library": (ImportError("libx.so: failed to map segment"), "not enough memory"),
    "threads": (RuntimeError("can't start new thread"), "no further process or thread"),
    "depth": (RecursionError("maximum recursion depth exceeded"), "nested too deeply"),
    "locale": (UnicodeEncodeError(sys.getfilesystemencoding(), "\udcff", 0, 1, "no"), "set LC_ALL=C.UTF-8"),
}


@pytest.mark.parametrize("case", SYSTEM)
def test_errors_of_the_system_are_one_line_that_tells_what_was_done(run: Run, case: str) -> None:
    error, words = SYSTEM[case]
    status, told = run(raising(error), "fill", "in.nc")
    assert status == 2
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert words in told
    assert "while sereno fill ran" in told
    assert "no permission to write" not in told


def test_memory_that_numpy_cannot_have_is_told_with_the_stage(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_lines", lambda: lambda stage, fraction: None)

    def application() -> None:
        with progress.shown_progress() as report:
            report("climatology", 0.5)
            allocate()

    status, told = run(application, "fit")
    assert status == 2
    assert told.startswith("error: not enough memory")
    assert "sereno fit was at its stage 'climatology'" in told


def test_what_led_to_an_error_counts_too(run: Run) -> None:
    def application() -> None:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise KeyError("chunk")  # noqa: B904 -- as a library would, when it cleans up

    assert run(application)[0] == 2
    assert "no space left" in run(application)[1]


@pytest.mark.parametrize(
    "error", [TypeError("a\nb"), KeyError("lat"), AssertionError(), ExceptionGroup("g", [OSError()])]
)
def test_an_unforeseen_error_is_one_line_that_asks_for_a_report(run: Run, error: Exception) -> None:
    status, told = run(raising(error), "check", "in.nc")
    assert status == 70
    assert told.startswith(f"error: unexpected error ({type(error).__name__}")
    assert told.endswith("run the command again with --debug and report what it shows\n")
    assert told.count("\n") == 1


def test_known_errors_keep_their_status(run: Run) -> None:
    assert run(raising(InputError("a.nc: no latitude"))) == (2, "error: a.nc: no latitude\n")
    assert run(raising(PausedError("3 steps are done"))) == (
        75,
        "stopped early: 3 steps are done; --resume continues the training\n",
    )
    assert run(raising(SystemExit(0))) == (0, "")
    assert run(raising(SystemExit(3))) == (3, "")
    assert run(lambda: None) == (0, "")


def broken() -> None:
    try:
        raise KeyError("hidden cause")
    except KeyError:
        raise InputError("a.nc: damaged") from None


@pytest.mark.parametrize("words", [("--debug", "check", "a.nc"), ("check", "a.nc", "--debug")])
def test_debug_shows_the_whole_chain_of_errors(run: Run, words: tuple[str, ...]) -> None:
    status, told = run(broken, *words)
    assert status == 2
    assert "Traceback" in told
    assert "hidden cause" in told
    assert told.endswith("error: a.nc: damaged\n")


def test_debug_can_be_asked_for_by_the_environment_and_is_no_option_after_a_double_dash(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Traceback" not in run(broken, "check", "--", "--debug")[1]
    monkeypatch.setenv(debugging.VARIABLE, "1")
    assert "Traceback" in run(broken, "check")[1]


def test_warnings_and_logs_of_libraries_are_for_debug_alone() -> None:
    code = (
        "import logging, sys, warnings; from sereno.cli import edge\n"
        "def work():\n"
        "    warnings.warn('a warning'); logging.getLogger('library').warning('a log')\n"
        "sys.exit(edge.run(work, sys.argv[1:]))"
    )
    words = [sys.executable, "-c", code]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stderr == ""
    shown = subprocess.run([*words, "--debug"], capture_output=True, text=True, check=True).stderr
    assert "a warning" in shown
    assert "library: a log" in shown


def test_an_error_in_a_thread_is_one_line(run: Run) -> None:
    def application() -> None:
        thread = threading.Thread(target=raising(ValueError("lost")))
        thread.start()
        thread.join()

    assert run(application) == (0, "warning: a thread ended by an error (ValueError: lost); see --debug\n")


# Signals

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.mark.parametrize("number", SIGNALS)
def test_signals_clean_up_and_tell_by_the_exit_status(run: Run, tmp_path: Path, number: int) -> None:
    before = signal.getsignal(number)

    def application() -> None:
        with atomic_files(tmp_path / "scores") as folder, atomic_path(tmp_path / "out.nc") as file:
            (folder / "scores.csv").write_text("half")
            file.write_text("half")
            signal.raise_signal(number)

    assert run(application) == (SIGNALS[number], "interrupted\n")
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(number) == before


def test_a_signal_that_a_library_swallows_or_turns_into_another_error_still_ends_the_run(run: Run) -> None:
    class Finalised:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    def in_a_finaliser() -> None:
        one = Finalised()
        del one
        threading.Event().wait(60)

    def in_an_import() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt:
            raise ImportError("numpy could not be imported") from None

    def at_the_very_end() -> None:
        one = Finalised()
        del one

    before = signal.getsignal(signal.SIGALRM)
    assert run(in_a_finaliser) == (143, "interrupted\n")
    assert run(at_the_very_end) == (143, "interrupted\n")
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) == before
    assert run(in_an_import) == (143, "interrupted\n")


def test_a_signal_that_is_ignored_from_the_start_stays_ignored(run: Run) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert run(lambda: signal.raise_signal(signal.SIGHUP)) == (0, "")
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_ctrl_c_ends_it_at_once_without_leaving_half_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(status: int) -> None:
        raise SystemExit(status)

    monkeypatch.setattr(os, "_exit", leave)
    with atomic_path(tmp_path / "out.nc") as file:
        file.write_text("half")
        with heeding_stops(), pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with heeding_stops() as stop:
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)  # the same one, sent to the group as well
            assert file.exists()
            monkeypatch.setattr(signals, "PATIENCE", -1.0)
            with pytest.raises(SystemExit, match="130"):
                signal.raise_signal(signal.SIGINT)
            assert stop.code == 130
            assert not file.exists()
        file.write_text("whole")


@pytest.mark.parametrize("module", ["sereno.cli.edge", "typer", "sereno.cli.models"])
def test_ctrl_c_during_start_up_shows_no_traceback(module: str) -> None:
    code = f"""
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
class Interrupting:
    def find_spec(self, name, *_):
        if name == {module!r}:
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
from sereno.cli import main
sys.argv = ["sereno", "--help"]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr in ("", "interrupted\n")
    assert done.stdout == ""


# Terminals

SPEAKING = "import sys; from sereno.cli import edge; sys.exit(edge.run(lambda: print('word ' * 40000), []))"


@pytest.mark.parametrize(
    ("redirection", "status", "told"),
    [
        ("| head -c 1", 141, ""),
        (">&-", 0, ""),
        ("> /dev/full", 2, "error: standard output: no space left on the disk; free some, or write to another place"),
        ("2>&-", 0, ""),
        (">&- 2>&- <&-", 0, ""),
    ],
)
def test_closed_and_full_outputs_are_no_crash(redirection: str, status: int, told: str) -> None:
    command = f'set -o pipefail; "$0" -c "$1" {redirection}'
    words = ["bash", "-c", command, sys.executable, SPEAKING]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert done.stderr.startswith(told)
    assert len(done.stderr.splitlines()) == bool(told)


def test_no_file_gets_the_number_of_a_closed_output(tmp_path: Path) -> None:
    code = (
        "import os, sys; from sereno.cli import edge\n"
        "def work():\n"
        "    with open(sys.argv[1], 'w') as file:\n"
        "        os.write(1, b'a message of a library'); os.write(2, b'another')\n"
        "sys.exit(edge.run(work, []))"
    )
    words = ["bash", "-c", '"$0" -c "$1" "$2" >&- 2>&-', sys.executable, code, str(tmp_path / "out.nc")]
    assert subprocess.run(words, check=False).returncode == 0
    assert (tmp_path / "out.nc").read_bytes() == b""


def test_work_goes_on_where_standard_error_is_full(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        encoding = "utf-8"  # type: ignore[assignment]

        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    reached = []

    def application() -> None:
        print("note: many clouds", file=sys.stderr)
        reached.append(True)

    monkeypatch.setattr(sys, "stderr", Full())
    assert run(application)[0] == 0
    assert reached


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", "24 x 32, +-0.1 deg e ...\\xff"), ("utf-8", "24 × 32, ±0.1° é …\\xff")]
)
def test_what_an_encoding_lacks_is_spelt_out(
    run: Run, monkeypatch: pytest.MonkeyPatch, encoding: str, shown: str
) -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", file)
    assert run(lambda: print("24 × 32, ±0.1° é …\udcff"))[0] == 0
    assert file.buffer.getvalue().decode(encoding).rstrip("\n") == shown  # type: ignore[attr-defined]


def test_odd_names_stay_in_one_line(run: Run) -> None:
    odd = "a\nb\x1b[31m\udcff.nc"
    status, told = run(raising(InputError(f"/sea/{odd}: no such file")), "check", f"/sea/{odd}")
    assert status == 2
    assert told == "error: /sea/a\\nb\\x1b[31m\\xff.nc: no such file\n"
    assert streams.one_line("two\n  faults\tthere") == "two\n  faults\\tthere"


def test_a_limit_of_memory_in_which_nothing_can_be_loaded_is_told(tmp_path: Path) -> None:
    words = ["bash", "-c", 'ulimit -v 300000 && "$0" -m sereno.cli check gone.nc', sys.executable]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: 292 MiB of memory are allowed (ulimit -v), and 640 at least are needed")


def test_lines_of_progress_tell_how_long_a_stage_still_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    report = progress._lines()
    # A run that goes on where it stopped begins at a quarter: what was done before tells nothing of the pace.
    for after, fraction in [(0, 0.25), (1, 0.5), (10, 0.5), (40, 0.75), (4040, 0.76), (4041, 0.8), (4042, 1.0)]:
        clock[0] = 100.0 + after
        report("fill", fraction)
    assert capsys.readouterr().err.splitlines() == [
        "fill: 50 %, about 20 s left",
        "fill: 75 %, about 20 s left",
        "fill: 80 %, about 24 min left",
        "fill: 100 %",
    ]
