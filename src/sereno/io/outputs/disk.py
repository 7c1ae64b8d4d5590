"""Errors of writing, with the name of the output."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sereno.errors import InputError, at_file, reason_of

_OF_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
_LEAST_FREE = 2**20
"""Bytes free on a disk that counts as full."""


@contextmanager
def naming_output(target: Path, temporary: Path) -> Iterator[None]:
    """Have errors of writing name the output, not what it is called until it is complete; others are left alone."""
    try:
        yield
    except InputError as error:
        if temporary != target and str(temporary) in str(error):  # nobody looks for a name that is gone
            raise InputError(str(error).replace(str(temporary), str(target))) from error
        raise
    except (OSError, RuntimeError) as error:
        if _is_of_writing(error, temporary):
            raise at_file(error, target, "choose another place") from error
        if shutil.disk_usage(target if target.is_dir() else target.parent).free < _LEAST_FREE:
            raise at_file(OSError(errno.ENOSPC, str(error)), target, "") from error  # which NetCDF does not report
        if "NetCDF" in str(error):  # a limit or a failing disk, which it does not report either
            raise InputError(f"{target}: cannot be written; is the disk failing? ({reason_of(error)})") from error
        raise


def _is_of_writing(error: Exception, temporary: Path) -> bool:
    """Return whether an error came of writing under a temporary name."""
    if not isinstance(error, OSError):
        return False
    file = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    return error.errno in _OF_WRITING or file.startswith(str(temporary))
