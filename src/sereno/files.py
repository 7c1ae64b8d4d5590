"""Checks of a path before it is opened: reading a pipe would wait, and a device never ends."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from sereno.errors import InputError, file_edge, reason_of

_KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/")
_MAGIC = (
    (b"\x1f\x8b", "it is compressed; unpack it first (gunzip)"),
    (b"BZh", "it is compressed; unpack it first (bunzip2)"),
    (b"\xfd7zXZ", "it is compressed; unpack it first (unxz)"),
    (b"\x28\xb5\x2f\xfd", "it is compressed; unpack it first (unzstd)"),
    (b"\x1f\x9d", "it is compressed; unpack it first (uncompress)"),
    (b"PK\x03\x04", "it is a zip archive; unpack it first (unzip)"),
    (b"7z\xbc\xaf", "it is an archive; unpack it first (7z x)"),
    (b"\x0e\x03\x13\x01", "it is HDF4; convert it to NetCDF-4 first (h4toh5)"),
    (b"GRIB", "it is GRIB; convert it to NetCDF first (cdo -f nc copy)"),
    (b"II*\x00", "it is a TIFF image; convert it to NetCDF first (gdal_translate)"),
    (b"MM\x00*", "it is a TIFF image; convert it to NetCDF first (gdal_translate)"),
)
"""How files begin that are found in the place of NetCDF, and what to do with them."""
_TAR, _TAR_AT = b"ustar", 257
_BEGINNING = 512


def require_regular(path: str | os.PathLike[str], *, most: int | None = None) -> Path:
    """Return a path unchanged if it is a regular file, or a link to one, that can be read.

    Parameters
    ----------
    most
        Bytes that the file may have.

    Raises
    ------
    InputError
        If there is none, or it is a folder, a pipe, a socket or a device, or it cannot be read, or is larger.

    Examples
    --------
    >>> from sereno.files import require_regular
    >>> require_regular("/dev/null")
    Traceback (most recent call last):
    sereno.errors.InputError: /dev/null: it is a device; give a file
    """
    path = Path(path)
    try:
        status = path.stat()
        readable = os.access(path, os.R_OK)
    except FileNotFoundError:
        raise missing(path) from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {reason_of(error)}") from None
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{path}: it is a folder; give a file")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path}: it is {_KINDS.get(stat.S_IFMT(status.st_mode), 'no file')}; give a file")
    if not readable:
        raise InputError(f"{path}: no permission to read it; change the permissions")
    if most is not None and status.st_size > most:
        raise InputError(f"{path}: it has {status.st_size} bytes, and {most} at most are read; is it the right file?")
    return path


def read_bounded(path: str | os.PathLike[str], *, most: int) -> bytes:
    """Return what a regular file of this many bytes at most holds; InputError as `require_regular`."""
    place = require_regular(path, most=most)
    with file_edge(path, "copy it again"), place.open("rb") as stream:
        return stream.read(most)


def known_beginning(path: Path) -> str | None:
    """Return what a file is that cannot be read as it is, with the remedy, by how it begins; None if not known."""
    try:
        with require_regular(path).open("rb") as stream:
            beginning = stream.read(_BEGINNING)
    except (OSError, InputError):
        return None
    if not beginning:
        return "it is empty (0 bytes); copy or download it again"
    if beginning[_TAR_AT:].startswith(_TAR):
        return "it is an archive; unpack it first (tar -xf)"
    if re.match(rb"\s*<(!doctype html|html)", beginning, re.IGNORECASE):
        return "it is a web page; the download did not succeed, perhaps for want of a login"
    return next((kind for magic, kind in _MAGIC if beginning.startswith(magic)), None)


def missing(path: Path, otherwise: str = "no such file") -> InputError:
    """Return the error of a path at which nothing stands: an address, a link that leads nowhere, or `otherwise`."""
    if is_address(path):
        shown = os.fspath(path).replace(":/", "://", 1)  # as it was before it became a path
        return InputError(f"{shown}: addresses are not read; download the file first and give its path")
    return InputError(f"{path}: {'a link to a file that is not there' if path.is_symlink() else otherwise}")


def is_address(path: str | os.PathLike[str]) -> bool:
    """Return whether a path looks like the address of something on the network."""
    return _ADDRESS.match(os.fspath(path)) is not None
