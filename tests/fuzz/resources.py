"""Scarce resources: full disks, few handles, little memory, closed streams, folders that may not be written to."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from fuzz.children import HUNG, Outcome, run
from fuzz.processes import TASKS, Disturbed
from fuzz.verdict import NOISE, Failure, tree

NOBODY = 65534
Prepare = Callable[[], None]


def few_handles(rng: np.random.Generator) -> Prepare:
    most = int(rng.integers(5, 40))
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def little_memory(rng: np.random.Generator) -> Prepare:
    """A little more address space than is in use."""
    more = int(rng.choice([1, 8, 32, 128, 512])) * 2**20

    def limit() -> None:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + more, used + more))

    return limit


def small_files(rng: np.random.Generator) -> Prepare:
    most = int(rng.choice([4000, 20000, 60000]))
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def no_output(rng: np.random.Generator) -> Prepare:
    streams = [(1,), (2,), (0, 1, 2)][rng.integers(3)]

    def close() -> None:
        for number in streams:
            os.close(number)

    return close


def full_output(rng: np.random.Generator) -> Prepare:
    number = int(rng.choice([1, 2]))

    def redirect() -> None:
        target = os.open("/dev/full", os.O_WRONLY)
        os.dup2(target, number)

    return redirect


def broken_pipe(rng: np.random.Generator) -> Prepare:
    def redirect() -> None:
        reading, writing = os.pipe()
        os.close(reading)
        os.dup2(writing, 1)

    return redirect


def ascii_streams(rng: np.random.Generator) -> Prepare:
    def limit() -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(encoding="ascii", errors="strict")
        os.environ |= {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}

    return limit


def no_temporary_folder(rng: np.random.Generator) -> Prepare:
    def limit() -> None:
        os.environ |= {"TMPDIR": "/nowhere", "HOME": "/nowhere", "XDG_CACHE_HOME": "/nowhere"}

    return limit


def no_working_folder(rng: np.random.Generator) -> Prepare:
    def limit() -> None:
        place = Path.cwd() / "gone"
        place.mkdir()
        os.chdir(place)
        place.rmdir()

    return limit


def read_only(rng: np.random.Generator) -> Prepare:
    """A folder in which a user without rights may not write."""

    def limit() -> None:
        Path.cwd().chmod(0o555)
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)

    return limit


WAYS = (few_handles, little_memory, small_files, no_output, full_output, broken_pipe, ascii_streams,
        no_temporary_folder, no_working_folder, read_only)  # fmt: skip
RESUMED = ("fill", "prepare")
"""Verbs that may leave what they go on with when they are run again."""
SILENT = ("no_output", "full_output", "broken_pipe")
"""Ways in which an error cannot be told, or need not be."""


def scarce(places: Disturbed, number: int) -> tuple[str, list[Failure]]:
    """Run a task with something scarce: it ends well with the right output, or with one error and nothing left."""
    rng = np.random.default_rng([places.seed, number, 3])
    task = str(rng.choice(list(TASKS)))
    places.reference(task)
    root = places.place(number)
    if rng.random() < 0.25 and os.geteuid() == 0:
        kilobytes = int(rng.choice([0, 4, 16, 64, 150, 300]))
        outcome, title = _on_full_disk(places, task, root, kilobytes), f"{task}, disk of {kilobytes} KiB"
        return title, _verdict(places, task, root, outcome, silent=False)
    way = WAYS[rng.integers(len(WAYS))]
    if way is read_only and os.geteuid() != 0:
        way = few_handles
    outcome = run(TASKS[task], root, memory=None, prepare=way(rng))
    root.chmod(0o755)
    return f"{task}, {way.__name__}", _verdict(places, task, root, outcome, silent=way.__name__ in SILENT)


def _verdict(places: Disturbed, task: str, root: Path, outcome: Outcome, *, silent: bool) -> list[Failure]:
    if outcome.code == HUNG:
        return [Failure("hang", "not ended after its time")]
    found = []
    if "Traceback" in outcome.err:
        found.append(Failure("traceback", outcome.err.strip()[-300:]))
    elif NOISE.search(outcome.err):
        found.append(Failure("noise", outcome.err.strip()[-300:]))
    if outcome.code == 0:
        return [*found, *places.compare(task, root, outcome)]
    if outcome.code != 2 and not silent:
        return [*found, Failure("exit code", f"{outcome.code}: {outcome.err.strip()[-300:]}")]
    if outcome.code < 0:
        return [*found, Failure("crash", f"signal {-outcome.code}")]
    errors = [line for line in outcome.err.splitlines() if line.startswith("error:")]
    if len(errors) != 1 and not silent:
        found.append(Failure("not one error", outcome.err.strip()[-300:]))
    left = sorted(name for name in tree(root) if name != "in" and not name.startswith("in/"))
    if silent and tree(root) == places.reference(task).names:  # all was done but for saying so
        found += places.compare(task, root, replace(outcome, code=0))
    elif left and TASKS[task][0] not in RESUMED:
        found.append(Failure("litter", ", ".join(left[:5])))
    return [*found, *places.compare(task, root, run(TASKS[task], root, memory=None))]


def _on_full_disk(places: Disturbed, task: str, root: Path, kilobytes: int) -> Outcome:
    """Run a task whose output goes to a disk of a few kilobytes besides the input."""
    disk = root / "disk"
    disk.mkdir()
    source = root / "in"
    size = sum(path.stat().st_size for path in source.rglob("*")) // 1024 + 4 * len(list(source.rglob("*")))
    options = f"size={kilobytes + size + 200}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(disk)], check=True)
    try:
        shutil.copytree(source, disk / "in")
        _fill_up(disk, kilobytes)
        outcome = run(TASKS[task], disk, memory=None, log=root.with_name(f"{root.name}.log"))
        (disk / "ballast").unlink()
        shutil.rmtree(source)
        for path in disk.iterdir():
            (shutil.copytree if path.is_dir() else shutil.copy)(path, root / path.name)
        return outcome
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
        with suppress(OSError):
            disk.rmdir()


def _fill_up(disk: Path, left: int) -> None:
    """Write until so many kilobytes are left."""
    state = os.statvfs(disk)
    free = state.f_bavail * state.f_frsize - 1024 * left
    with suppress(OSError), (disk / "ballast").open("wb") as ballast:
        ballast.write(bytes(max(0, free)))
