"""Kills, signals and pairs of processes: afterwards the same command gives the same output, and no litter."""

from __future__ import annotations

import json
import shutil
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fuzz.children import HUNG, Outcome, Running, call, run, start
from fuzz.layouts import ostia
from fuzz.verdict import NOISE, Failure, tree
from fuzz.writing import write

TASKS: dict[str, list[str]] = {
    "prepare .zarr": ["prepare", "in", "-o", "out.zarr", "--workers", "1"],
    "prepare .nc": ["prepare", "in", "-o", "out.nc", "--workers", "1"],
    "prepare by two": ["prepare", "in", "-o", "out.zarr", "--workers", "2"],
    "fill .nc": ["fill", "in", "-m", "linear", "-o", "out.nc"],
    "fill .zarr": ["fill", "in", "-m", "linear", "-o", "out.zarr"],
    "fill folder": ["fill", "in", "-m", "linear", "-o", "out"],
    "fill climatology": ["fill", "in", "-m", "climatology", "-o", "out.nc"],
    "fill by two": ["fill", "in", "-m", "linear", "-o", "out", "--workers", "2"],
    "update": ["fill", "in", "-m", "linear", "-o", "out", "--update"],
    "climatology .nc": ["climatology", "in", "-o", "out.nc"],
    "climatology .zarr": ["climatology", "in", "-o", "out.zarr"],
    "fit": ["fit", "in", "-m", "linear", "-o", "out"],
    "describe": ["describe", "in", "-o", "out"],
    "evaluate": ["evaluate", "in", "-m", "linear", "-o", "out"],
}
LIKELY = {"fill .nc": 3, "fill .zarr": 3, "fill folder": 4, "prepare .zarr": 4, "prepare by two": 2, "update": 3}
"""Tasks that are drawn more often than the others."""
SIGNALS = {"kill": signal.SIGKILL, "Ctrl-C": signal.SIGINT, "SIGTERM": signal.SIGTERM, "SIGHUP": signal.SIGHUP}
ENDS = (0, 130, 143, 129, -signal.SIGTERM, -signal.SIGHUP, -signal.SIGINT)
"""Exit codes of a command that a signal has ended; the negative ones if it came before the command had begun."""
PAIRS = (
    ("fill .nc", "fill .nc"), ("fill .zarr", "fill .zarr"), ("fill folder", "fill folder"), ("update", "update"),
    ("prepare .zarr", "prepare .zarr"), ("prepare .nc", "prepare .nc"), ("fill .nc", "fill climatology"),
    ("fill folder", "update"), ("fill .zarr", "prepare .zarr"), ("climatology .nc", "fill .nc"), ("fit", "fit"),
    ("climatology .zarr", "climatology .zarr"), ("fill folder", "fit"), ("describe", "describe"),
    ("prepare by two", "prepare .zarr"),
)  # fmt: skip


@dataclass
class Reference:
    """What a task leaves that nobody disturbs."""

    seconds: float
    names: set[str]
    content: dict[str, Any]


@dataclass
class Disturbed:
    """Tasks that are disturbed, below one folder."""

    folder: Path
    seed: int
    _references: dict[str, Reference] = field(default_factory=dict)

    def root(self, number: int | str) -> Path:
        """Return the folder of a case."""
        return self.folder / f"{self.seed}-{number}"

    def place(self, number: int | str) -> Path:
        """Lay the input of a case in its folder."""
        root = self.root(number)
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        source = self.folder / "source"
        if not source.exists():
            call(lambda: write(ostia(0, count=24), source), self.folder / "source.log")
            _split(source / "in", self.folder / "source.log")
        shutil.copytree(source / "in", root / "in")
        return root

    def reference(self, task: str) -> Reference:
        """Run a task undisturbed, once."""
        if task not in self._references:
            root = self.place(f"reference-{task.replace(' ', '-')}")
            outcome = run(TASKS[task], root, memory=None)
            if outcome.code:
                raise RuntimeError(f"{task}: {outcome.err}")
            content = call(lambda: read_all(root), root.with_name("reading.log"))
            self._references[task] = Reference(outcome.seconds, tree(root), content)
        return self._references[task]

    def kill(self, number: int) -> tuple[str, list[Failure]]:
        """End a task at a random moment, once or twice, and run it again."""
        rng = np.random.default_rng([self.seed, number, 1])
        chances = np.array([LIKELY.get(name, 1) for name in TASKS], float)
        task = str(rng.choice(list(TASKS), p=chances / chances.sum()))
        reference = self.reference(task)
        root, title, found = self.place(number), task, []
        for _ in range(1 + (rng.random() < 0.25)):
            how = str(rng.choice(list(SIGNALS), p=[0.55, 0.15, 0.2, 0.1]))
            alone = bool(rng.random() < 0.5)
            moment = rng.uniform(0.02, 1.0) * reference.seconds
            title += f", {how} after {moment:.2f} s"
            before = tree(root)
            outcome = _ended(start(TASKS[task], root, memory=None), SIGNALS[how], moment, alone)
            if how != "kill":
                found += _after_signal(outcome, tree(root) - before)
        again = run(TASKS[task], root, memory=None)
        return title, [*found, *self.compare(task, root, again)]

    def compare(self, task: str, root: Path, outcome: Outcome) -> list[Failure]:
        """Compare what lies in a folder with the output of the task undisturbed."""
        reference = self.reference(task)
        if outcome.code:
            return [Failure("not resumed", f"exit {outcome.code}: {outcome.err.strip()[-400:]}")]
        found = [Failure("noise", outcome.err[-300:])] if NOISE.search(outcome.err) else []
        names = tree(root)
        if names != reference.names:
            apart = sorted(names ^ reference.names)
            found.append(Failure("litter", ", ".join(apart[:5])))
        try:
            content = call(lambda: read_all(root), root.with_name("reading.log"))
        except RuntimeError as error:
            return [*found, Failure("output cannot be read", str(error)[-300:])]
        return [*found, *differences(content, reference.content)]

    def pair(self, number: int) -> tuple[str, list[Failure]]:
        """Run two tasks on one output at once; one at least ends well, and the output is that of one of them."""
        rng = np.random.default_rng([self.seed, number, 2])
        tasks = PAIRS[rng.integers(len(PAIRS))]
        first, second = (self.reference(task) for task in tasks)
        apart = rng.uniform(0, 1.0) * min(first.seconds, 1.5 * second.seconds)
        root = self.place(number)
        begun = []
        for index, task in enumerate(tasks):
            begun.append(start(TASKS[task], root, memory=None, log=root.with_name(f"{root.name}-{index}.log")))
            time.sleep(apart if index == 0 else 0)
        outcomes = [running.wait() for running in begun]
        title = f"{tasks[0]} and, {apart:.2f} s later, {tasks[1]}"
        return title, self._of_pair(tasks, outcomes, root)

    def _of_pair(self, tasks: tuple[str, str], outcomes: list[Outcome], root: Path) -> list[Failure]:
        found = []
        for task, outcome in zip(tasks, outcomes, strict=True):
            errors = [line for line in outcome.err.splitlines() if line.startswith("error:")]
            if outcome.code not in (0, 2) or NOISE.search(outcome.err):
                found.append(Failure("exit code", f"{task}: {outcome.code}: {outcome.err.strip()[-300:]}"))
            elif outcome.code == 2 and len(errors) != 1:
                found.append(Failure("not one error", f"{task}: {outcome.err.strip()[-300:]}"))
        good = [task for task, outcome in zip(tasks, outcomes, strict=True) if outcome.code == 0]
        if not good:
            told = " | ".join(outcome.err.strip()[-200:] for outcome in outcomes)
            return [*found, Failure("none ended well", told)]
        tries = [self.compare(task, root, Outcome(0, "", "")) for task in good]
        return [*found, *min(tries, key=len)]


def _split(folder: Path, log: Path) -> None:
    """Cut the one file of a folder into a file for each day."""

    def work() -> None:
        (path,) = folder.iterdir()
        with xr.open_dataset(path, decode_cf=False) as opened:
            for index in range(opened.sizes["time"]):
                opened.isel(time=[index]).to_netcdf(folder / f"day_{index:02d}.nc")
        path.unlink()

    call(work, log)


def _ended(running: Running, number: int, moment: float, alone: bool) -> Outcome:
    """Send a signal to a command at a moment: to it alone or to all that it has started."""
    time.sleep(max(0.0, running.began + moment - time.monotonic()))
    running.kill(number, alone=alone)
    return running.wait()


def _after_signal(outcome: Outcome, new: set[str]) -> list[Failure]:
    if outcome.code == HUNG:
        return [Failure("hang", "after a signal")]
    found = []
    if outcome.code not in ENDS:
        found.append(Failure("exit code", f"{outcome.code} after a signal: {outcome.err.strip()[-300:]}"))
    if NOISE.search(outcome.err):
        found.append(Failure("traceback", outcome.err.strip()[-300:]))
    litter = [name for name in new if ".part" in Path(name).suffixes or name.endswith(".lock")]
    if litter and outcome.code > 0:
        found.append(Failure("litter", ", ".join(sorted(litter)[:5])))
    return found


def read_all(root: Path) -> dict[str, Any]:
    """Read every output in a folder: the values of data, the numbers of JSON; dates and identifiers aside."""
    content: dict[str, Any] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if name.startswith("in") or ".zarr/" in name:
            continue
        if path.suffix == ".zarr":
            content[name] = _values(xr.open_zarr(path, decode_times=False))
        elif path.suffix == ".nc":
            content[name] = _values(xr.open_dataset(path, decode_times=False))
        elif path.name == "scores.json":
            content[name] = json.loads(path.read_text()).get("scores")
    return content


def _values(dataset: xr.Dataset) -> dict[str, np.ndarray]:
    with dataset:
        return {str(name): var.values for name, var in dataset.variables.items()}


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[Failure]:
    """Compare two contents, value by value."""
    found = []
    for name in sorted({*ours, *theirs}):
        if name not in ours or name not in theirs:
            found.append(Failure("not the same", f"{name} is in one of them"))
        elif isinstance(ours[name], dict) and all(isinstance(v, np.ndarray) for v in ours[name].values()):
            found += _apart(name, ours[name], theirs[name])
        elif json.dumps(ours[name], sort_keys=True) != json.dumps(theirs[name], sort_keys=True):
            found.append(Failure("not the same", name))
    return found[:3]


def _apart(name: str, ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> list[Failure]:
    if set(ours) != set(theirs):
        return [Failure("not the same", f"{name}: {sorted(set(ours) ^ set(theirs))}")]
    return [
        Failure("not the same", f"{name}: {key}")
        for key in ours
        if ours[key].shape != theirs[key].shape or not _equal(ours[key], theirs[key])
    ]


def _equal(ours: np.ndarray, theirs: np.ndarray) -> bool:
    return np.array_equal(ours, theirs, equal_nan=ours.dtype.kind == "f")
