"""The queue: submitting scripts, and the states of what was submitted, by SLURM's own commands."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import NamedTuple

from sereno.errors import InputError, file_edge, reason_of
from sereno.files import read_bounded
from sereno.io.outputs.atomic import atomic_text
from sereno.io.outputs.writer_lock import output_lock
from sereno.slurm.script import Script

JOBS = "jobs.json"
"""Names and numbers of the submitted jobs, in the folder of their scripts and logs."""
_NUMBER = re.compile(r"[0-9]+")
_LONGEST = 2**20
"""Bytes of their file at most."""
ENDED = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"),
    *("REVOKED", "TIMEOUT", "unknown"),
}
"""Final states of a job by `squeue` and `sacct`, and the state of a job that neither lists any more."""


class State(NamedTuple):
    """A submitted job and what became of it."""

    name: str
    number: str
    state: str


def submit(made: list[Script], folder: Path) -> list[State]:
    """Write scripts and submit them, each to await the one before; a failure or Ctrl-C takes back those submitted.

    Raises
    ------
    InputError
        If SLURM refuses one, or jobs of an earlier submission have not ended, or another process submits them.
    """
    with output_lock(folder), file_edge(folder, "check the queue with squeue before you submit again"):
        return _submit(made, folder)


def _submit(made: list[Script], folder: Path) -> list[State]:
    going = [job.number for job in states(folder) if job.state not in ENDED] if (folder / JOBS).exists() else []
    if going:
        raise InputError(f"{folder}: its jobs have not ended; wait, or run scancel {' '.join(going)}")
    folder.mkdir(exist_ok=True)
    for name, text in made:
        atomic_text(folder / f"{name}.sbatch", text)
    jobs: list[State] = []
    try:
        for name, _ in made:
            path = folder / f"{name}.sbatch"
            awaited = [f"--dependency=afterok:{jobs[-1].number}", "--kill-on-invalid-dep=yes"] if jobs else []
            answer = _run(["sbatch", "--parsable", *awaited, str(path)])
            number = answer.partition(";")[0].strip()
            if not _NUMBER.fullmatch(number):
                raise InputError(f"sbatch --parsable {path}: it answered {answer.strip()!r}, and no job's number")
            jobs.append(State(name, number, "PENDING"))
        atomic_text(folder / JOBS, json.dumps({job.name: job.number for job in jobs}, indent=2) + "\n")
    except BaseException:
        if jobs:
            with contextlib.suppress(InputError):
                _run(["scancel", *(job.number for job in jobs)])
        raise
    return jobs


def states(folder: Path) -> list[State]:
    """Return the states of the jobs submitted from a folder; that of an array is each of its tasks'.

    The queue forgets a job minutes after its end; then the accounting is asked, where a cluster has one.
    """
    if not (folder / JOBS).exists():
        raise InputError(f"{folder}: nothing was submitted from there")
    with file_edge(folder / JOBS, "damaged; check the queue with squeue, and remove it"):
        jobs: dict[str, str] = json.loads(read_bounded(folder / JOBS, most=_LONGEST))
        if not all(_NUMBER.fullmatch(number) for number in jobs.values()):
            raise ValueError("holds no numbers of jobs")
    return [State(name, number, _state(number)) for name, number in jobs.items()]


def _state(number: str) -> str:
    asked = (
        ["squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={number}"],
        ["sacct", "--noheader", "--allocations", "--parsable2", "--format=State", f"--jobs={number}"],
    )
    for command in asked:
        try:
            # "CANCELLED by 1000" is the accounting's.
            states = sorted({line.split()[0] for line in _run(command).splitlines() if line.strip()})
        except InputError:
            continue
        if states:
            going = [state for state in states if state not in ENDED]
            worse = [state for state in states if state != "COMPLETED"]
            return (going or worse or states)[0]
    return "unknown"


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except FileNotFoundError:
        raise InputError(
            f"there is no {command[0]} here: submit where SLURM is, or see the scripts by `dry_run`"
        ) from None
    except OSError as error:
        raise InputError(f"{command[0]}: {reason_of(error)}") from error
    if done.returncode:
        said = " ".join((done.stderr.strip() or done.stdout.strip()).split())
        raise InputError(f"{shlex.join(command)}: {said or f'it ended with status {done.returncode}'}")
    return done.stdout
