"""The errors that a user can cause and can mend, and the one place that turns any other error into them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

_OF_THE_SYSTEM = {
    errno.ENOSPC: "no space left on the disk; free some, or write to another place",
    errno.EDQUOT: "the disk quota is used up; free some space, or write to another place",
    errno.EMFILE: "too many open files; raise the limit (ulimit -n), or use fewer workers",
    errno.ENFILE: "the system has too many open files; close other programs",
    errno.EACCES: "permission denied; change the permissions, or choose another path",
    errno.EPERM: "operation not permitted; change the permissions, or choose another path",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ENOMEM: "not enough memory; use fewer workers, a shorter period or a smaller region",
}
"""What an error of the operating system means, with the remedy."""


class InputError(ValueError):
    """Input that cannot be used as it is.

    The message is written for the user: it names the file or option, the variable, and what to do. The
    command line prints it without a traceback and exits with 2.
    """


class PausedError(Exception):
    """A run was asked to make way before it was done, and left what it can be resumed from."""


def reason_of(error: BaseException) -> str:
    """Return in one line what went wrong, with the remedy where the operating system failed."""
    if isinstance(error, OSError) and error.errno in _OF_THE_SYSTEM:
        return _OF_THE_SYSTEM[error.errno]
    if isinstance(error, MemoryError):
        return _OF_THE_SYSTEM[errno.ENOMEM]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


@contextmanager
def file_edge(subject: str | os.PathLike[str], remedy: str) -> Iterator[None]:
    """Turn any exception within the block into one `InputError` that names a file and the remedy.

    Put it round the code that reads or writes one file and round nothing else. The exception stays reachable as
    ``__cause__``, which ``--debug`` shows.

    Parameters
    ----------
    subject
        The file or folder, or a short phrase that begins with it.
    remedy
        What the user can do, for example ``"truncated or damaged? Copy or download it again"``.

    Raises
    ------
    InputError
        For any exception but those that are meant for the user already.

    Examples
    --------
    >>> from sereno.errors import file_edge
    >>> with file_edge("l3s/a.nc", "download it again"):
    ...     raise KeyError("lat")
    Traceback (most recent call last):
    sereno.errors.InputError: l3s/a.nc: 'lat'; download it again
    """
    try:
        yield
    except (InputError, PausedError):
        raise
    except Exception as error:
        reason = reason_of(error)
        advice = "" if reason in _OF_THE_SYSTEM.values() else f"; {remedy}"
        raise InputError(f"{os.fspath(subject)}: {reason}{advice}") from error
