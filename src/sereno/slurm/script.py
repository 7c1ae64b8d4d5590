"""The text of a job's script: plain enough to be read, changed and submitted by hand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

from sereno.errors import InputError
from sereno.slurm.settings import Job, SlurmConfig

MADE_WAY = 75
"""Exit status of a run that stopped early for the time limit, to be resumed: EX_TEMPFAIL of sysexits.h."""
ENDING = f"""\
# {MADE_WAY}: the time limit is near and a checkpoint is written; the job is queued again and continues from there.
if [ "$status" -eq {MADE_WAY} ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
"""


_SPECIAL = re.compile(r"[\s#\"'\\]")
"""What `sbatch` does not take for itself in a directive unless it is quoted."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Script(NamedTuple):
    """The script of one job: its name and what it says."""

    name: str
    text: str


class Place(NamedTuple):
    """Where things are: the run file, the folder that command lines are run in, and that of the logs."""

    run: Path
    start: Path
    logs: Path


def scripts(config: SlurmConfig, place: Place, *, trains: bool) -> list[Script]:
    """Return the scripts of the jobs, each of which awaits the one before.

    Parameters
    ----------
    trains
        Whether `fit` trains a network: that is shared among tasks, and stops early for the time limit.

    Raises
    ------
    InputError
        If the name of a folder or of the run file cannot be written into a script.
    """
    _require_writable(place)
    made = []
    for number, job in enumerate(config.jobs, 1):
        own, name = config.of(job), f"{number}-{job.verb}"
        added = ["--config", str(place.run), *(["--resume"] if trains else [])] if job.verb == "fit" else []
        command = _command(job, shlex.join(added))
        if job.verb == "fit" and trains:
            srun = f"status=0\nsrun --unbuffered --kill-on-bad-exit=0 {command} || status=$?\n{ENDING}"
            made.append(Script(name, _head(own, name, place, training=True) + srun))
        elif own.shards > 1 and job.verb == "fill":
            shard = _command(job, f'--shard "$SLURM_ARRAY_TASK_ID/{own.shards}"') + "\n"
            made.append(Script(name, _head(own, name, place, array=True) + shard))
            merge = f"{name}-merge"
            made.append(Script(merge, _head(own, merge, place) + _command(job, "--merge") + "\n"))
        else:
            made.append(Script(name, _head(own, name, place) + command + "\n"))
    return made


def _command(job: Job, added: str) -> str:
    """Return a command line for the shell with further options, which are quoted already, among its own."""
    end = job.words.index("--") if "--" in job.words else len(job.words)
    parts = [shlex.join(["sereno", *job.words[:end]]), added, shlex.join(job.words[end:])]
    return " ".join(part for part in parts if part)


def _require_writable(place: Place) -> None:
    """Refuse names with characters that no quoting brings past `sbatch`."""
    for path in place:
        if _CONTROL.search(str(path)):
            raise InputError(f"{str(path)!r}: a line break or another control character in a name; rename it")
    if "\\" in str(place.logs):
        raise InputError(f"{place.logs}: sbatch does not write logs where a name holds a backslash; rename it")


def _head(own: SlurmConfig, name: str, place: Place, *, training: bool = False, array: bool = False) -> str:
    """Return the directives, and the environment that the command is run in."""
    tasks, nodes = (own.tasks or max(own.gpus, 1), own.nodes) if training else (1, 1)
    options = {
        "job-name": f"sereno-{name}",
        "partition": own.partition,
        "account": own.account,
        "nodes": nodes,
        "ntasks": nodes * tasks,
        "ntasks-per-node": tasks if nodes * tasks > 1 else None,
        "cpus-per-task": own.cpus,
        "gres": f"gpu:{own.gpus}" if own.gpus else None,
        "mem": own.memory,
        "time": own.time,
        "array": f"1-{own.shards}" if array else None,
        "chdir": place.start,
        # A percent sign that represents no number is written twice.
        "output": f"{str(place.logs / name).replace('%', '%%')}-{'%A_%a' if array else '%j'}.log",
        "open-mode": "append",
    }
    lines = [f"--{key}={value}" for key, value in options.items() if value is not None]
    if training:
        lines += ["--requeue", f"--signal=USR1@{own.notice}"]
    lines += own.options
    directives = "".join(f"#SBATCH {_directive(line)}\n" for line in lines)
    return f"#!/bin/bash\n{directives}\nset -euo pipefail\n{_environment(own)}\n"


def _directive(option: str) -> str:
    """Return an option as `sbatch` reads it from a script: quotes as in a shell, but no backslash before a space."""
    name, equals, value = option.partition("=")
    if not _SPECIAL.search(option):
        return option
    quoted = re.sub(r"[\"\\]", r"\\\g<0>", value if equals else name)
    return f'{name}="{quoted}"' if equals else f'"{quoted}"'


def _environment(own: SlurmConfig) -> str:
    """Return the lines that make the environment."""
    lines = [f"module load {shlex.join(own.modules)}"] if own.modules else []
    if own.conda is not None:
        # Scripts of conda read variables that are not set.
        lines += [
            "set +u",
            'source "$(conda info --base)/etc/profile.d/conda.sh"',
            f"conda activate {shlex.quote(own.conda)}",
            "set -u",
        ]
    if own.venv is not None:
        lines.append(f"source {shlex.quote(own.venv)}/bin/activate")
    lines += [
        "export PYTHONUNBUFFERED=1",
        "export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-1}",
        "export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}",
    ]
    return "".join(f"{line}\n" for line in lines)
