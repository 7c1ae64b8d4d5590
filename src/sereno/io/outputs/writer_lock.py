"""One writer at a time for each output, also between hosts that share a file system.

A lock is a folder next to the output, ``.NAME.lock``, with a folder for each holder (``exclusive``, or the name of a
shard) that holds one file of a name of its own: who holds it and since when. It is prepared under another name and
renamed to its place. A rename to a name that is taken fails, on a file server as on a disk, so of many takers one
comes in; and because the file of a holder is never replaced by that of another, whoever removes the file of a dead
holder removes that one and no other. Nothing here needs hard links or the locks of the operating system, which many
file servers lack.

A holder that is dead is recognised (`lock_holder`): on the same host by its process and the time that the process
started, on another one by the file's time, which a living holder sets to now every `BEAT` seconds, when it is older
than `PATIENCE`.
"""

from __future__ import annotations

import errno
import glob
import json
import os
import re
import shutil
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from uuid import uuid4

from sereno.compute import signals
from sereno.errors import InputError, file_edge, reason_of
from sereno.io.outputs.lock_holder import PATIENCE, Holder, machine_of_this, start_of

BEAT = 60.0
"""Seconds between two signs of life of a holder."""
_EXCLUSIVE = "exclusive"
_ATTEMPTS, _PAUSE = 200, 0.01
"""How often and how long, in seconds, to wait for holders that are just coming or going."""


@dataclass(frozen=True)
class OutputLock:
    """A lock that is held.

    Attributes
    ----------
    output
        What it is for, as the user named it.
    folder
        Where all holders of the output's lock are.
    entry
        Folder of this holder therein.
    token
        Name of its file, which no other holder ever had.
    """

    output: Path
    folder: Path
    entry: str
    token: str = field(default_factory=lambda: uuid4().hex)

    @classmethod
    def of(cls, output: Path, shared: str | None) -> OutputLock:
        """Return the lock of an output, not taken yet; however its path is spelt, it is the same."""
        with file_edge(output, "choose another name"):
            target = output.resolve()
        if not target.name:
            raise InputError(f"{output}: no place for an output; choose another name")
        entry = _EXCLUSIVE if shared is None else re.sub(r"\W+", "-", f"shared {shared}")
        return cls(output, target.with_name(f".{target.name}.lock"), entry)

    @property
    def file(self) -> Path:
        """What says that this holder has it."""
        return self.folder / self.entry / self.token

    def require(self) -> None:
        """Make sure that the lock is still held, before anything is put in its place.

        Raises
        ------
        InputError
            If another run took the lock because this one gave no sign of life, as when it was suspended.
        """
        if not self.file.exists():
            raise InputError(
                f"{self.output}: this run gave no sign of life for {PATIENCE / 60:.0f} minutes, and another one may "
                "have taken its place; look what is there, and run again"
            )


@contextmanager
def output_lock(output: str | Path, *, shared: str | None = None) -> Iterator[OutputLock]:
    """Be the only one that writes an output, or one of those that share it, while the block lasts.

    Take it once a run, in the process that leads; its worker processes do not take it. Nobody waits.

    Parameters
    ----------
    output
        File, store or folder, which need not exist; its parent must.
    shared
        Name among those that write the output together, such as ``"shard 1/4"``: they are let in together, each name
        once, and exclude whoever gives no name.

    Yields
    ------
    OutputLock
        Its `OutputLock.require` says whether the lock is still held.

    Raises
    ------
    InputError
        If another run is at work there, or the lock cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder, output_lock(Path(folder) / "analysis.nc"):
    ...     pass  # write it
    """
    lock = OutputLock.of(Path(output), shared)
    ended = threading.Event()
    ours = lock.folder if shared is None else lock.folder / lock.entry
    try:
        _take(lock)
        signals.UNFINISHED.add(ours)
        threading.Thread(target=_give_signs, args=(lock, ended), daemon=True).start()
        yield lock
    finally:
        ended.set()
        _drop(lock.file)
        signals.UNFINISHED.discard(ours)


def _take(lock: OutputLock) -> None:
    """Take the lock, or raise the InputError that names its holder."""
    if not lock.folder.parent.is_dir():
        raise InputError(f"{lock.output}: there is no folder {lock.folder.parent}; make it first")
    prepared = lock.folder.with_name(f"{lock.folder.name}.{_here()}-{os.getpid()}-{lock.token[:8]}.part")
    try:
        (prepared / lock.entry).mkdir(parents=True)
        file = prepared / lock.entry / lock.token
        file.write_text(json.dumps(asdict(Holder.this())), encoding="utf-8")
        for _ in range(_ATTEMPTS):
            os.utime(file)
            now = file.stat().st_mtime  # by the clock of the file server, as the signs of life of others
            _require_none_excludes(lock, now)
            if _enter(lock, prepared):
                _require_none_excludes(lock, now)
                _clear_prepared(lock, now)
                return
            time.sleep(_PAUSE)
    except OSError as error:
        raise InputError(f"{lock.output}: cannot be locked: {reason_of(error)}") from error
    finally:
        shutil.rmtree(prepared, ignore_errors=True)
    raise InputError(f"{lock.output}: {lock.folder} cannot be cleared away; if no run is at work there, remove it")


def _enter(lock: OutputLock, prepared: Path) -> bool:
    """Rename what is prepared to its place, if that is free."""
    try:
        if lock.entry == _EXCLUSIVE:
            with suppress(OSError):  # it is not empty, or not there
                lock.folder.rmdir()
            os.rename(prepared, lock.folder)
        else:
            lock.folder.mkdir(exist_ok=True)
            os.rename(prepared / lock.entry, lock.folder / lock.entry)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
            raise
        return lock.file.exists()  # a file server may have carried out what it reports as failed
    return True


def _require_none_excludes(lock: OutputLock, now: float) -> None:
    """Clear away dead holders; raise the InputError that names a living one that does not share with this one.

    Asked by a shard after it came in as well: whoever is exclusive may have come in between, and has it then.
    """
    holder = None
    for folder in sorted(_listed(lock.folder)):
        if _EXCLUSIVE not in (lock.entry, folder.name) and folder.name != lock.entry:
            continue
        living = [_living(file, now) for file in _listed(folder) if file.name != lock.token]
        holder = next((each for each in (holder, *living) if each is not None), None)
        with suppress(OSError):
            folder.rmdir()  # which a killed process left empty
    if holder is not None and not (lock.entry == _EXCLUSIVE and lock.file.exists()):
        raise InputError(
            f"{lock.output}: {holder.command} is at work there (host {holder.host}, process {holder.process}, "
            f"user {holder.user}, since {holder.since}); wait until it has ended, or choose another output"
        )


def _clear_prepared(lock: OutputLock, now: float) -> None:
    """Remove what processes that were killed as they took the lock had prepared."""
    for folder in lock.folder.parent.glob(f"{glob.escape(lock.folder.name)}.*.part"):
        with suppress(OSError):  # its process has just moved or removed it
            files = [file for file in folder.rglob("*") if file.is_file()]
            dead = all(_living(file, now) is None for file in files)
            if dead and (files or _is_of_dead(folder.name) or now - folder.stat().st_mtime > PATIENCE):
                shutil.rmtree(folder, ignore_errors=True)


def _here() -> str:
    """Return what represents this host and its set of process numbers in the name of a folder."""
    return f"{zlib.crc32(f'{socket.gethostname()} {machine_of_this()}'.encode()):08x}"


def _is_of_dead(name: str) -> bool:
    """Return whether the process that a prepared folder is named after ran here and has ended."""
    match = re.search(r"\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.part$", name)
    return match is not None and match[1] == _here() and start_of(int(match[2])) is None


def _living(file: Path, now: float) -> Holder | None:
    """Return the holder that a file represents, unless it is dead or gone; the file of a dead one is removed."""
    try:
        silent = now - file.stat().st_mtime
        holder = _read(file)
    except OSError:
        return None  # it has just gone
    if holder.is_alive(silent):
        return holder
    _drop(file)
    return None


def _listed(folder: Path) -> list[Path]:
    with suppress(FileNotFoundError, NotADirectoryError):  # it has just gone
        return list(folder.iterdir())
    return []


def _read(file: Path) -> Holder:
    """Read a holder; where it cannot be read, it is unknown, on another host, and counts as alive for a time."""
    with suppress(ValueError, TypeError, PermissionError):
        return Holder(**json.loads(file.read_text(encoding="utf-8")))
    return Holder()


def _drop(file: Path) -> None:
    """Remove the file of a holder, and the folders that are empty without it."""
    with suppress(OSError):
        file.unlink(missing_ok=True)
        file.parent.rmdir()
        file.parent.parent.rmdir()


def _give_signs(lock: OutputLock, ended: threading.Event) -> None:
    while not ended.wait(BEAT):
        try:
            os.utime(lock.file)
        except FileNotFoundError:
            return  # `OutputLock.require` reports it
        except OSError:
            continue  # the file server may come back
