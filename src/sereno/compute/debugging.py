"""What only a developer wants to see: tracebacks, warnings and logs of libraries."""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

VARIABLE = "SERENO_DEBUG"
"""Environment variable that asks for it, as ``--debug`` does; worker processes inherit it."""


def debugging() -> bool:
    """Return whether it is asked for."""
    return os.environ.get(VARIABLE, "") not in ("", "0")


@contextmanager
def quiet_libraries(thread_failed: Callable[[Any], None]) -> Iterator[None]:
    """Keep warnings and logs of libraries from the user, who can act on none of them, unless debugging.

    Warnings that are made errors, as tests make them, stay errors.

    Parameters
    ----------
    thread_failed
        Called with an error that ended a thread; takes what `threading.excepthook` takes.
    """
    if debugging():
        logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s", stream=sys.stderr)
        yield
        return
    before = warnings.showwarning, threading.excepthook, sys.unraisablehook, logging.root.manager.disable
    hush()
    threading.excepthook = thread_failed
    try:
        yield
    finally:
        warnings.showwarning, threading.excepthook, sys.unraisablehook = before[:3]
        logging.disable(before[3])


def hush() -> None:
    """Keep warnings, logs and errors of finalisers from the terminal, unless debugging, until the process ends."""
    if not debugging():
        warnings.showwarning = lambda *_, **__: None
        sys.unraisablehook = lambda _: None
        logging.disable(logging.CRITICAL)
