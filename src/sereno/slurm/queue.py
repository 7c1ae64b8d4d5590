"""The queue: submitting scripts, and the states of what was submitted, by SLURM's own commands."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import NamedTuple

from sereno.errors import InputError
from sereno.slurm.script import Script

JOBS = "jobs.json"
"""Names and numbers of the submitted jobs, in the folder of their scripts and logs."""
ENDED = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"),
    *("REVOKED", "TIMEOUT", "unknown"),
}
"""The states of `squeue` and `sacct` that a job never leaves, and that of one which neither knows any more."""


class State(NamedTuple):
    """A submitted job and what became of it."""

    name: str
    number: str
    state: str


def submit(made: list[Script], folder: Path) -> list[State]:
    """Write scripts and submit them, each to await the one before; a failure takes back those submitted.

    Raises
    ------
    InputError
        If SLURM refuses one, or jobs of an earlier submission have not ended.
    """
    going = [job.number for job in states(folder) if job.state not in ENDED] if (folder / JOBS).exists() else []
    if going:
        raise InputError(f"{folder}: its jobs have not ended; wait, or run scancel {' '.join(going)}")
    folder.mkdir(parents=True, exist_ok=True)
    jobs: list[State] = []
    for name, text in made:
        path = folder / f"{name}.sbatch"
        path.write_text(text)
        awaited = [f"--dependency=afterok:{jobs[-1].number}", "--kill-on-invalid-dep=yes"] if jobs else []
        try:
            number = _run(["sbatch", "--parsable", *awaited, str(path)]).split(";")[0].strip()
        except InputError:
            if jobs:
                _run(["scancel", *(job.number for job in jobs)])
            raise
        jobs.append(State(name, number, "PENDING"))
    (folder / JOBS).write_text(json.dumps({job.name: job.number for job in jobs}, indent=2) + "\n")
    return jobs


def states(folder: Path) -> list[State]:
    """Return the states of the jobs submitted from a folder; that of an array is each of its tasks'.

    The queue forgets a job minutes after its end; then the accounting is asked, where a cluster has one.
    """
    try:
        jobs: dict[str, str] = json.loads((folder / JOBS).read_text())
    except FileNotFoundError:
        raise InputError(f"{folder}: nothing was submitted from there") from None
    return [State(name, number, _state(number)) for name, number in jobs.items()]


def _state(number: str) -> str:
    asked = (
        ["squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={number}"],
        ["sacct", "--noheader", "--allocations", "--parsable2", "--format=State", f"--jobs={number}"],
    )
    for command in asked:
        try:
            # "CANCELLED by 1000" is the accounting's.
            found = sorted({line.split()[0] for line in _run(command).splitlines() if line.strip()})
        except InputError:
            continue
        if found:
            going = [state for state in found if state not in ENDED]
            worse = [state for state in found if state != "COMPLETED"]
            return (going or worse or found)[0]
    return "unknown"


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise InputError(
            f"there is no {command[0]} here: submit where SLURM is, or see the scripts with --dry-run"
        ) from None
    if done.returncode:
        raise InputError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
