"""The table ``[slurm]`` of a run file: which jobs, on what part of a cluster, in which environment."""

from __future__ import annotations

import dataclasses
import difflib
import re
import reprlib
import shlex
from typing import Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from sereno.errors import InputError

_STRICT = ConfigDict(extra="forbid")
VERBS = ("prepare", "climatology", "describe", "tiles", "fit", "fill", "evaluate")
"""What a job may run."""
_MEMORY = re.compile(r"[0-9]{1,12}[KMGT]?")
_TIME = re.compile(r"[0-9]{1,9}|[0-9]{1,6}:[0-9]{2}(:[0-9]{2})?|[0-9]{1,5}-[0-9]{1,2}(:[0-9]{2}){0,2}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,@:+/=-]*")
"""Accounts, partitions and modules: nothing that a shell or `sbatch` would read as more than a word."""
_OPTION = re.compile(r"--[a-z][a-z0-9-]*(=[^\x00-\x1f\x7f-\x9f]*)?|-[A-Za-z][^\x00-\x20\x7f-\x9f]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_MANY = 100_000
"""Nodes, tasks, CPUs or shards at most."""


@dataclass(frozen=True, config=_STRICT)
class Job:
    """One command line of sereno, and where it needs other resources than the rest."""

    run: str
    """The command line, with or without the word sereno: ``fit cube.zarr -o model``."""
    partition: str | None = None
    gpus: int | None = Field(default=None, ge=0, le=_MANY)
    nodes: int | None = Field(default=None, ge=1, le=_MANY)
    tasks: int | None = Field(default=None, ge=1, le=_MANY)
    cpus: int | None = Field(default=None, ge=1, le=_MANY)
    memory: str | None = None
    time: str | None = None
    shards: int | None = Field(default=None, ge=1, le=_MANY)

    def __post_init__(self) -> None:
        """Refuse what is no verb, and times that SLURM would not read."""
        _check_amounts(self.time, self.memory)
        _check_names(partition=self.partition)
        if _CONTROL.search(self.run):
            raise ValueError("run holds a line break or another control character; write it in one line")
        if self.verb not in VERBS:
            raise ValueError(f"run must begin with one of {', '.join(VERBS)}, such as 'fit cube.zarr -o model'")
        if "" in self.words:
            raise ValueError("run holds an empty word; leave it out, or write what is meant")
        if {"-h", "--help"} & set(self.words):
            raise ValueError("run asks for help, which is no job")
        if self.shards is not None and self.verb != "fill":
            raise ValueError(f"shards: only fill is shared out among jobs, not {self.verb}")

    @property
    def words(self) -> list[str]:
        """The words of the command line."""
        try:
            words = shlex.split(self.run)
        except ValueError as error:
            raise ValueError(f"run cannot be read as a command line ({error})") from None
        return words[1:] if words[:1] == ["sereno"] else words

    @property
    def verb(self) -> str:
        """What it does."""
        return self.words[0] if self.words else ""


@dataclass(frozen=True, config=_STRICT)
class SlurmConfig:
    """The jobs of a run, one after the other, and what they need unless they say otherwise."""

    jobs: list[Job] = Field(min_length=1)
    """Each begins when the one before has succeeded."""
    partition: str | None = None
    """Partition; the cluster's default where not given."""
    account: str | None = None
    """Account that is charged."""
    gpus: int = Field(default=0, ge=0, le=_MANY)
    """Graphics cards of a node."""
    nodes: int = Field(default=1, ge=1, le=_MANY)
    """Nodes that a training is spread over; other jobs have one."""
    tasks: int | None = Field(default=None, ge=1, le=_MANY)
    """Tasks of a node that train together; one for each of its graphics cards where not given."""
    cpus: int | None = Field(default=None, ge=1, le=_MANY)
    """CPUs of a task."""
    memory: str | None = None
    """Memory of a node, such as 64G."""
    time: str | None = None
    """Time limit; a training crosses any number of them."""
    shards: int = Field(default=1, ge=1, le=_MANY)
    """Jobs that a fill is shared out among."""
    notice: int = Field(default=120, ge=1, le=65535)
    """Seconds before the time limit at which a training is asked to stop early."""
    modules: list[str] = Field(default_factory=list)
    """Environment modules to load."""
    conda: str | None = None
    """Conda environment to activate."""
    venv: str | None = None
    """Folder of a virtual environment to activate."""
    options: list[str] = Field(default_factory=list)
    """Further options of sbatch, such as --qos=long."""

    def __post_init__(self) -> None:
        """Refuse two environments, and times that SLURM would not read."""
        _check_amounts(self.time, self.memory)
        _check_names(account=self.account, partition=self.partition)
        _check_names(**{f"modules {place}": module for place, module in enumerate(self.modules, 1)})
        if self.conda is not None and self.venv is not None:
            raise ValueError("conda and venv: activate one of them")
        for key, text in (("conda", self.conda), ("venv", self.venv)):
            if text is not None and (not text.strip() or text.startswith("-") or _CONTROL.search(text)):
                raise ValueError(f"{key} {text!r}: it is neither a name nor a path")
        for option in self.options:
            if not _OPTION.fullmatch(option):
                raise ValueError(f"options: {option!r} is none of sbatch; write it as --name=value, each by itself")

    def of(self, job: Job) -> SlurmConfig:
        """Return the settings with those of one job applied to them."""
        own = {key: value for key, value in dataclasses.asdict(job).items() if key != "run" and value is not None}
        return dataclasses.replace(self, jobs=[job], **own)


_ADAPTER: TypeAdapter[SlurmConfig] = TypeAdapter(SlurmConfig)


def parse_slurm(values: dict[str, Any], *, origin: str, overrides: dict[str, Any]) -> SlurmConfig:
    """Validate the table ``[slurm]`` of a run file.

    Parameters
    ----------
    values
        The whole run file.
    overrides
        Settings of the command line, applied to those of the table and of every job.

    Raises
    ------
    InputError
        Lists every fault with its path.
    """
    table = values.get("slurm")
    if not isinstance(table, dict):
        raise InputError(f"{origin}: slurm: a table [slurm] with at least one of [[slurm.jobs]] is needed")
    overrides = {key: value for key, value in overrides.items() if value is not None}
    try:
        config = _ADAPTER.validate_python(table | overrides)
    except ValidationError as error:
        faults = "\n".join(f"  {_fault(dict(item))}" for item in error.errors())
        raise InputError(f"{origin}:\n{faults}") from None
    over = {key: value for key, value in overrides.items() if key in Job.__dataclass_fields__}
    config = dataclasses.replace(config, jobs=[dataclasses.replace(job, **over) for job in config.jobs])
    for number, job in enumerate(config.jobs, 1):
        own = config.of(job)
        if job.verb == "fit" and own.gpus and (own.tasks or 0) > own.gpus:
            raise InputError(
                f"{origin}: slurm.jobs {number}: {own.tasks} tasks cannot share {own.gpus} graphics cards of a node; "
                "leave tasks out for one each"
            )
    return config


def _check_names(**names: str | None) -> None:
    for key, text in names.items():
        if text is not None and not _NAME.fullmatch(text):
            raise ValueError(f"{key} {text!r}: letters, digits and . , _ - + / = @ : are allowed, and no spaces")


def _check_amounts(time: str | None, memory: str | None) -> None:
    if time is not None and not _TIME.fullmatch(time):
        raise ValueError(f"time {time!r}: write it as minutes, hours:minutes:seconds or days-hours")
    if memory is not None and not _MEMORY.fullmatch(memory):
        raise ValueError(f"memory {memory!r}: write it as megabytes or with a unit, such as 64G")


def _fault(error: dict[str, Any]) -> str:
    """Return one validation error in a line: the path, what is wrong, and the nearest valid name."""
    location = [str(part) for part in error["loc"]]
    path = ".".join(["slurm", *location])
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        known = [field.name for field in dataclasses.fields(Job if location[0] == "jobs" else SlurmConfig)]
        near = difflib.get_close_matches(location[-1], known, n=1)
        return f"{path}: unknown key; {f'did you mean {near[0]!r}?' if near else 'known keys: ' + ', '.join(known)}"
    if error["type"] == "missing":
        wanted = "add [[slurm.jobs]] with run = 'fit cube.zarr -o model'" if path == "slurm.jobs" else "is needed"
        return f"{path}: {wanted}"
    message, given = error["msg"].removeprefix("Value error, "), error["input"]
    shown = reprlib.repr(given)
    return f"{path}: {message}" if isinstance(given, dict) else f"{path}: {message} (got {shown})"
