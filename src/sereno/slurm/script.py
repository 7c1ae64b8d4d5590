"""The text of a job's script: plain enough to be read, changed and submitted by hand."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import NamedTuple

from sereno.slurm.tables import SlurmConfig

MADE_WAY = 75
"""Exit status of a run that made way for the time limit, and is to be queued again: EX_TEMPFAIL of sysexits.h."""
ENDING = f"""\
# {MADE_WAY}: the time limit is near and a checkpoint is written; the job is queued again and goes on from there.
if [ "$status" -eq {MADE_WAY} ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
"""


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
        Whether `fit` trains a network: that is shared among tasks, and makes way for the time limit.
    """
    made = []
    for number, job in enumerate(config.jobs, 1):
        own, name, command = config.of(job), f"{number}-{job.verb}", shlex.join(["sereno", *job.words])
        if job.verb == "fit":
            command += f" --config {shlex.quote(str(place.run))}" + (" --resume" if trains else "")
        if job.verb == "fit" and trains:
            srun = f"status=0\nsrun --unbuffered --kill-on-bad-exit=0 {command} || status=$?\n{ENDING}"
            made.append(Script(name, _head(own, name, place, training=True) + srun))
        elif own.shards > 1 and job.verb == "fill":
            shard = f'{command} --shard "$SLURM_ARRAY_TASK_ID/{own.shards}"\n'
            made.append(Script(name, _head(own, name, place, array=True) + shard))
            merge = f"{name}-merge"
            made.append(Script(merge, _head(own, merge, place) + f"{command} --merge\n"))
        else:
            made.append(Script(name, _head(own, name, place) + command + "\n"))
    return made


def _head(own: SlurmConfig, name: str, place: Place, *, training: bool = False, array: bool = False) -> str:
    """Return the directives, and the environment that the command is run in."""
    tasks, nodes = (own.tasks or max(own.gpus, 1), own.nodes) if training else (1, 1)
    told = {
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
        "output": place.logs / f"{name}-{'%A_%a' if array else '%j'}.log",
        "open-mode": "append",
    }
    lines = [f"--{key}={value}" for key, value in told.items() if value is not None]
    if training:
        lines += ["--requeue", f"--signal=USR1@{own.notice}"]
    lines += own.options
    directives = "".join(f"#SBATCH {line}\n" for line in lines)
    return f"#!/bin/bash\n{directives}\nset -euo pipefail\n{_environment(own)}\n"


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
