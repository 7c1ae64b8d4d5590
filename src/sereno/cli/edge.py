"""The outer edge of the command line: whatever goes wrong within becomes one line and an exit status."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from sereno.cli.streams import Stream, one_line, standard_streams
from sereno.compute.debugging import VARIABLE, debugging, quiet_libraries
from sereno.compute.memory import tune_memory
from sereno.compute.signals import Stop, heeding_stops
from sereno.errors import InputError, PausedError, reason_of, system_reason

DEBUG = "--debug"
INPUT, UNFORESEEN, MADE_WAY, BROKEN_PIPE = 2, 70, 75, 141
"""Exit status: of an error that the user can mend; EX_SOFTWARE and EX_TEMPFAIL of sysexits.h, the latter being what
the scripts of `submit` queue again; and what a shell shows for a program that SIGPIPE ended."""
LEAST_MEMORY = 640 * 2**20
"""Bytes that a process must be allowed to address."""


def run(application: Callable[[], object], words: list[str]) -> int:
    """Run the command line and return its exit status; nothing is raised.

    Parameters
    ----------
    application
        Imports and calls the application.
    words
        The words of the command line, without the name of the program.
    """
    if DEBUG in words[: words.index("--") if "--" in words else None]:
        os.environ[VARIABLE] = "1"
    tune_memory()
    with standard_streams() as output, quiet_libraries(_report_of_thread), heeding_stops() as stop:
        try:
            code = _run(application, words, stop)
            output.flush()
            return _status(code, output)
        except KeyboardInterrupt:  # after the application, or while its error was printed
            return stop.code


def _run(application: Callable[[], object], words: list[str], stop: Stop) -> int:
    try:
        _require_address_space(words)
        application()
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException as error:
        # A signal in the midst of an import may come out as another error.
        code = stop.code if stop.number and not debugging() else _report(error, words)
    else:
        code = 0
    if not stop.number:
        return code
    _say("interrupted", "yellow")
    return stop.code


def _require_address_space(words: list[str]) -> None:
    """Refuse a limit in which the libraries of linear algebra would try for ever to be loaded."""
    if find_spec("resource") is None or not words or {"-h", "--help", "--version"} & set(words):
        return
    resource: Any = import_module("resource")
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < LEAST_MEMORY:
        raise InputError(
            f"{limit // 2**20} MiB of memory are allowed (ulimit -v), and {LEAST_MEMORY // 2**20} at least are "
            "needed; raise the limit"
        )


def _report(error: BaseException, words: list[str]) -> int:
    """Print an error in one line, and return the exit status."""
    if debugging():
        _show(error)
    if isinstance(error, KeyboardInterrupt):  # raised by no signal
        _say("interrupted", "yellow")
        return 130
    if isinstance(error, PausedError):
        _say(f"stopped early: {error}; --resume continues the training", "yellow")
        return MADE_WAY
    if isinstance(error, InputError):
        from sereno.cli.parameters import with_options

        _say(f"error: {with_options(str(error))}", "red")
        return INPUT
    reason = system_reason(error)
    if reason is not None:
        file = getattr(error, "filename", None)
        subject = f"{os.fsdecode(file)}: " if isinstance(file, str | bytes) else ""
        _say(f"error: {subject}{reason} (while {_doing(words)})", "red")
        return INPUT
    name, text = type(error).__name__, reason_of(error)
    _say(
        f"error: unexpected error ({name if text == name else f'{name}: {text}'}) while {_doing(words)}; run the "
        f"command again with {DEBUG} and report what it shows",
        "red",
    )
    return UNFORESEEN


def _doing(words: list[str]) -> str:
    """Return what was being done, as far as it is known."""
    verb = next((word for word in words if not word.startswith("-")), "")
    progress = sys.modules.get("sereno.cli.progress")
    stage = getattr(progress, "stage", "")
    return f"sereno {verb}".strip() + (f" was at its stage {stage!r}" if stage else " ran")


def _show(error: BaseException) -> None:
    """Show a traceback with all that led to it, also what the code asked to leave out."""
    known: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in known:
        known.add(id(link))
        link.__suppress_context__ = False
        link = link.__cause__ or link.__context__
    traceback.print_exception(error, file=sys.stderr)


def _status(code: int, output: Stream) -> int:
    """Return the exit status in view of what became of the standard output."""
    if output.failure is None or code:
        return code
    if output.broken_pipe:
        return BROKEN_PIPE
    _say(f"error: standard output: {reason_of(output.failure)}; its last lines are lost", "red")
    return INPUT


def _say(text: str, colour: str) -> None:
    """Print a line on standard error, in colour on a terminal."""
    start, end = {"red": ("\x1b[31m", "\x1b[0m"), "yellow": ("\x1b[33m", "\x1b[0m")}[colour]
    coloured = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    line = one_line(text)
    sys.stderr.write(f"{start}{line}{end}\n" if coloured else f"{line}\n")


def _report_of_thread(failed: Any) -> None:  # noqa: ANN401
    """Print in one line that a thread ended with an error."""
    if failed.exc_value is not None and not isinstance(failed.exc_value, SystemExit):
        name, text = failed.exc_type.__name__, reason_of(failed.exc_value)
        _say(f"warning: a thread ended by an error ({name}: {text}); see {DEBUG}", "yellow")
