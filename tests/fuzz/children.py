"""Functions in processes of their own, forked from one that has imported all and started no thread."""

from __future__ import annotations

import atexit
import multiprocessing.util
import os
import pickle
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIMIT = 600.0
"""Seconds after which a command hangs; hundreds of times what one takes."""
MEMORY = 8 * 2**30
"""Bytes of address space of a command."""
HUNG = -1000
"""Exit code of a command that was ended after its time."""


@dataclass
class Outcome:
    """What a command left: its exit code, negative for a signal, and what it printed."""

    code: int
    out: str
    err: str
    seconds: float = 0.0


@dataclass
class Running:
    """A command at work."""

    pid: int
    folder: Path
    began: float

    def kill(self, number: int, *, alone: bool = False) -> None:
        """Send a signal to it and to all that it has started, or to it alone."""
        with suppress(ProcessLookupError, PermissionError):
            (os.kill if alone else os.killpg)(self.pid, number)

    def wait(self, limit: float = LIMIT) -> Outcome:
        """Wait for its end, for `limit` seconds at most."""
        code = None
        while code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() - self.began > limit:
                self.kill(signal.SIGKILL)
                os.waitpid(self.pid, 0)
                code = HUNG
            else:
                time.sleep(0.002)
        self.kill(signal.SIGKILL)  # what it left running
        texts = [(self.folder / name).read_bytes().decode(errors="replace") for name in ("out", "err")]
        return Outcome(code, *texts, seconds=time.monotonic() - self.began)


def run(arguments: list[str], folder: Path, **how: Any) -> Outcome:  # noqa: ANN401
    """Run the command line ``sereno ARGUMENTS`` in a folder."""
    return start(arguments, folder, **how).wait()


def start(
    arguments: list[str],
    folder: Path,
    *,
    log: Path | None = None,
    prepare: Callable[[], None] | None = None,
    memory: int | None = MEMORY,
) -> Running:
    """Start the command line ``sereno ARGUMENTS`` in a folder; `prepare` is called in its process before."""

    def work() -> None:
        if memory is not None:
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        os.chdir(folder)
        sys.argv = ["sereno", *arguments]
        if prepare is not None:
            prepare()
        from sereno.cli import main

        main()

    return fork(work, log or folder.with_name(folder.name + ".log"))


def fork(work: Callable[[], None], log: Path) -> Running:
    """Run a function in a process of its own, as Python runs a program; its output goes to ``log/``."""
    log.mkdir(exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    began = time.monotonic()
    pid = os.fork()
    if pid:
        return Running(pid, log, began)
    code = 1
    try:
        os.setpgid(0, 0)
        atexit._clear()  # what the fuzzer registered; a program that uses processes registers this
        atexit.register(multiprocessing.util._exit_function)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for number, name in ((1, "out"), (2, "err")):
            target = os.open(log / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.dup2(target, number)
            os.close(target)
        code = _as_program(work)
    finally:
        os._exit(code)


def _as_program(work: Callable[[], None]) -> int:
    """Return the exit code that Python gives a program, after what Python does at its end."""
    code = 0
    try:
        work()
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except KeyboardInterrupt:
        traceback.print_exc()
        code = 130
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            code = code or 120
    return code & 0xFF


def call(function: Callable[[], Any], log: Path) -> Any:  # noqa: ANN401
    """Return what a function returns in a process of its own."""
    answer = log.with_name(log.name + ".answer")

    def work() -> None:
        answer.write_bytes(pickle.dumps(function()))

    outcome = fork(work, log).wait()
    if outcome.code:
        raise RuntimeError(f"the fuzzer itself failed ({outcome.code}):\n{outcome.err}")
    result = pickle.loads(answer.read_bytes())
    answer.unlink()
    return result
