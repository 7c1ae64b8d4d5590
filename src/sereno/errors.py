"""Errors that a user can mend, and the one place that converts other errors to them."""

from __future__ import annotations

import errno
import os
import sys
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
    errno.EAGAIN: "the system allows no further process or thread, or has no memory for it; use fewer workers, or "
    "raise the limits (ulimit -u, ulimit -v)",
    errno.EFBIG: "the file would be larger than is allowed; raise the limit (ulimit -f), or write to another place",
    errno.EIO: "the disk or the network failed; try again, or use another place",
    errno.ESTALE: "the file was replaced or removed on its server; try again",
    errno.ENOTDIR: "a part of the path is a file, not a folder; correct the path",
    errno.ENOENT: "no such file or folder",
    errno.ELOOP: "its symbolic links lead in a circle; correct them",
    errno.EBUSY: "it is in use by another program; wait, or choose another path",
    errno.EISDIR: "it is a folder; give a file",
}
"""What an error of the operating system means, with the remedy."""
_NESTED = "nested too deeply"
_NOT_TEXT = "a name holds bytes that are no text in this locale; rename it, or set LC_ALL=C.UTF-8"
_RESOURCES = {
    errno.ENOMEM: ("can't allocate memory", "cannot allocate memory", "out of memory", "bad_alloc", "failed to map"),
    errno.EAGAIN: ("can't start new thread",),
}
"""What libraries write in errors of their own when resources run out."""


class InputError(ValueError):
    """Input that cannot be used as it is.

    The message is written for the user: it names the file or option, the variable, and what to do. The
    command line prints it without a traceback and exits with 2.
    """


class PausedError(Exception):
    """A run was asked to stop early, and left a checkpoint from which it can be resumed."""


def reason_of(error: BaseException) -> str:
    """Return in one line what went wrong, with the remedy where the operating system failed."""
    reason = _own_system_reason(error)
    if reason is not None:
        return reason
    return _first_line(error) or type(error).__name__


def _first_line(message: object) -> str:
    return next((line.strip() for line in str(message).splitlines() if line.strip()), "")


def system_reason(error: BaseException) -> str | None:
    """Return what the operating system refused, with the remedy; None where an error is of another kind.

    Where the error itself gives no reason, those that led to it do.
    """
    known: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in known:
        reason = _own_system_reason(link)
        if reason is not None:
            return reason
        known.append(link)
        link = link.__cause__ or link.__context__
    return None


def _own_system_reason(error: BaseException) -> str | None:
    if isinstance(error, RecursionError):
        return _NESTED
    if isinstance(error, MemoryError):
        return _OF_THE_SYSTEM[errno.ENOMEM]
    if isinstance(error, UnicodeEncodeError) and (
        error.encoding == sys.getfilesystemencoding() or "surrogates" in error.reason
    ):
        return _NOT_TEXT
    if isinstance(error, OSError):
        return _OF_THE_SYSTEM.get(error.errno or 0) or _first_line(error.strerror or error) or type(error).__name__
    text = str(error).lower() if isinstance(error, RuntimeError | ImportError | SystemError) else ""
    for number, phrases in _RESOURCES.items():
        if any(phrase in text for phrase in phrases):
            return _OF_THE_SYSTEM[number]
    return None


def out_of_resources(error: BaseException) -> bool:
    """Return whether memory, file handles or processes ran out, which says nothing of the file that was read."""
    lacking = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ESTALE)
    return system_reason(error) in {_OF_THE_SYSTEM[number] for number in lacking}


@contextmanager
def file_edge(subject: str | os.PathLike[str], remedy: str) -> Iterator[None]:
    """Convert any exception within the block to one `InputError` that names a file and the remedy.

    Use it only around the code that reads or writes one file. The exception is kept as ``__cause__``, which
    ``--debug`` shows.

    Parameters
    ----------
    subject
        The file or folder, or a short phrase that begins with it.
    remedy
        What the user can do, for example ``"truncated or damaged? Copy or download it again"``.

    Raises
    ------
    InputError
        For any exception except those that are already for the user.

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
        raise at_file(error, subject, remedy) from error


def is_of_the_system(error: BaseException) -> bool:
    """Return whether an error is one of the operating system, so that no file is to blame."""
    return reason_of(error) in _OF_THE_SYSTEM.values()


def at_file(error: Exception, subject: str | os.PathLike[str], remedy: str) -> InputError:
    """Return the InputError that `file_edge` makes of an exception."""
    advice = "" if is_of_the_system(error) else f"; {remedy}"
    return InputError(f"{os.fspath(subject)}: {reason_of(error)}{advice}")
