"""Who holds the lock of an output, and whether that process is still at work."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

PATIENCE = 900.0
"""Seconds without a sign of life after which a holder on another host counts as dead."""


@dataclass(frozen=True)
class Holder:
    """Who holds a lock.

    Attributes
    ----------
    host, user, command
        Names for the reader of a message.
    machine
        The boot of the machine and the set of process numbers: where equal, and the host too, processes can be seen.
    process
        Its number.
    started
        When the process started, as the system counts it; empty where that is not known.
    since
        When it took the lock, UTC.
    job, start
        SLURM's number of the job, and how often it was started before. The queue starts a job again only when it has
        ended, so an earlier start is dead wherever it was.
    """

    host: str = "unknown"
    machine: str = ""
    process: int = 0
    started: str = ""
    user: str = "unknown"
    command: str = "a program"
    since: str = "an unknown time"
    job: str = ""
    start: int = 0

    @classmethod
    def this(cls) -> Holder:
        """Return what is to be said of this process."""
        return cls(
            host=socket.gethostname(),
            machine=machine_of_this(),
            process=os.getpid(),
            started=start_of(os.getpid()) or "",
            user=_user(),
            command=_command(),
            since=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
            job=os.environ.get("SLURM_JOB_ID", ""),
            start=int(os.environ.get("SLURM_RESTART_COUNT", "0")),
        )

    def is_alive(self, silent: float) -> bool:
        """Return whether the holder is at work, given the seconds since its last sign of life."""
        this = Holder.this()
        if self.job and self.job == this.job and self.start < this.start:
            return False
        here = (self.host, self.machine) == (this.host, this.machine)
        if not here:
            return silent <= PATIENCE
        now = start_of(self.process)
        return now is not None and (now == self.started if now else silent <= PATIENCE)


def machine_of_this() -> str:
    """Return an identifier of the boot of this machine and of its set of process numbers."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return sys.platform


def start_of(process: int) -> str | None:
    """Return when a process of this host started, empty where that is not known; None if there is none."""
    if Path("/proc/self/stat").exists():
        try:
            state, *rest = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if state in "ZX" else rest[18]  # the 22nd of all: clock ticks since the boot
    try:
        os.kill(process, 0)
    except OSError as error:
        return None if isinstance(error, ProcessLookupError) else ""  # of another user
    return ""


def _user() -> str:
    with suppress(KeyError, OSError):  # a container may have no list of users
        return getpass.getuser()
    return str(os.getuid())


def _command() -> str:
    """Return the verb of the command line, or the program that called sereno."""
    program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    is_ours = program in ("sereno", "__main__.py") and len(sys.argv) > 1 and sys.argv[1].isidentifier()
    return f"sereno {sys.argv[1]}" if is_ours else program
