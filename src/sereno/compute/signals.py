"""Signals that ask a run to end: Ctrl-C, SIGTERM, and SIGHUP, which comes when a terminal closes.

The first one raises KeyboardInterrupt in the main thread, so that everything cleans up on its way out. Where there is
no time for that, `end_at_once` removes what is half written and ends the process.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Windows has no SIGHUP."""
PATIENCE = 1.0
"""Seconds within which further signals are taken for the first one, sent to the process and to its group."""
UNFINISHED: set[Path] = set()
"""Temporary files and folders that this process is writing."""
_WAITS = (0.0, 0.05, 0.1, 0.2, 0.4)
"""Seconds before each of the tries to remove something."""
_RETRY = 0.05
"""Seconds after which an end that was swallowed is asked for again."""


class Stop:
    """Which signal asked for the end; 0 while none did."""

    def __init__(self) -> None:
        self.number = 0
        self._since = 0.0

    @property
    def code(self) -> int:
        """The exit status of a run that a signal ended, by the convention of shells: 130 for Ctrl-C."""
        return 128 + self.number

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt at the first signal; at a further one end the process at once."""
        if self.number and time.monotonic() - self._since > PATIENCE:
            end_at_once(128 + number)
        if self.number:
            return
        self.number, self._since = number, time.monotonic()
        _interrupt()


class _Off:
    """Whether the main thread must not be disturbed now, and whether a signal waits for its end."""

    now = waiting = False


def _interrupt() -> None:
    if _Off.now:
        _Off.waiting = True
    else:
        raise KeyboardInterrupt


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put the end that a signal asks for off until the block is done; for a few steps that belong together."""
    if _Off.now or threading.current_thread() is not threading.main_thread():
        yield
        return
    _Off.now, _Off.waiting = True, False
    try:
        yield
    finally:
        _Off.now = False
        if _Off.waiting:
            raise KeyboardInterrupt


def end_at_once(status: int) -> NoReturn:
    """End the process without waiting for its threads; what it was writing is removed."""
    for path in tuple(UNFINISHED):
        remove(path)
    os._exit(status)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; not being there, or not removable, is no error.

    A thread on its way out may put something there once more, as those of zarr do, so it is looked for again.
    """
    for wait in _WAITS:
        time.sleep(wait)
        if not os.path.lexists(path):
            return
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


@contextmanager
def held_back_in_children() -> Iterator[None]:
    """Have processes that are started meanwhile begin with the signals held back, until they call `let_through`.

    Before that they could but die of them with a traceback, or be missed by those that rely on them.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_through() -> None:
    """Add what `held_back_in_children` held back."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


@contextmanager
def heeding_stops() -> Iterator[Stop]:
    """Have SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt meanwhile, so that all clean up as after Ctrl-C.

    A signal that the process was started to ignore (by ``nohup``, or in the background of a script) stays ignored.
    Signals reach the main thread alone; in another thread nothing is heeded.

    Yields
    ------
    Stop
        Which of them came.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    heeded = {number: signal.getsignal(number) for number in SIGNALS}
    heeded = {number: before for number, before in heeded.items() if before is not signal.SIG_IGN}
    for number in heeded:
        signal.signal(number, stop)
    try:
        with _never_swallowed(stop):
            yield stop
    finally:
        for number, before in heeded.items():
            # Python's own handler would show a traceback while the interpreter ends.
            signal.signal(number, signal.SIG_DFL if before is signal.default_int_handler else before)


@contextmanager
def _never_swallowed(stop: Stop) -> Iterator[None]:
    """Raise KeyboardInterrupt again where Python had to drop it, as in a finaliser that the collector called."""

    def dropped(unraisable: Any) -> None:  # noqa: ANN401
        if stop.number and issubclass(unraisable.exc_type, KeyboardInterrupt):
            with contextlib.suppress(ValueError):  # not in the main thread
                signal.signal(signal.SIGALRM, again)
                signal.setitimer(signal.ITIMER_REAL, _RETRY)
        else:
            before(unraisable)

    def again(_number: int, _frame: FrameType | None) -> None:
        _interrupt()

    before = sys.unraisablehook
    if not hasattr(signal, "setitimer"):
        yield
        return
    handler = signal.getsignal(signal.SIGALRM)
    sys.unraisablehook = dropped
    try:
        yield
    finally:
        sys.unraisablehook = before
        if signal.getsignal(signal.SIGALRM) is again:  # it may be about to ring
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, handler)
