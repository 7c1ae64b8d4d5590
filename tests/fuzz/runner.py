"""Cases one after the other, in processes of their own, on as many processors as are asked for."""

from __future__ import annotations

import gc
import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fuzz.cases import Case, draw, untouched
from fuzz.children import Outcome, call, run
from fuzz.layouts import ostia
from fuzz.mutations.models import FITTED, KINDS
from fuzz.processes import Disturbed
from fuzz.resources import scarce
from fuzz.sea import Expect
from fuzz.verdict import Failure, Maps, judge, read_maps, tree
from fuzz.writing import write


@dataclass
class Result:
    """How a case ended."""

    number: int
    title: str
    families: list[str]
    layout: str
    verb: str
    expect: str
    code: int
    seconds: float
    failures: list[Failure] = field(default_factory=list)


@dataclass
class Runner:
    """Cases of one seed, below one folder."""

    folder: Path
    seed: int
    profile: str = "all"
    keep: bool = False
    _same: dict[str, Maps | None] = field(default_factory=dict)

    def case(self, number: int) -> Result:
        """Run one case and judge it; what is left of one that is right is removed."""
        case = draw(self.seed, number, self.profile)
        root = self.folder / f"{self.seed}-{number}"
        outcome, before = self._run(case, root)
        same = self._without_change(case) if case.expect is Expect.SAME and outcome.code == 0 else None
        failures = call(lambda: judge(case, outcome, root, before, same), self._own_log(root))
        families = [change.split(".")[0] for change in case.changes]
        result = Result(number, case.title, families, case.inputs.layout, case.verb, case.expect.name,
                        outcome.code, outcome.seconds, failures)  # fmt: skip
        if not failures and not self.keep:
            self._remove(root)
        return result

    def _log(self, root: Path) -> Path:
        return root.with_name(root.name + ".log")

    def _own_log(self, root: Path) -> Path:
        return root.with_name(root.name + ".fuzzer")

    def _remove(self, root: Path) -> None:
        shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(self._log(root), ignore_errors=True)
        shutil.rmtree(self._own_log(root), ignore_errors=True)

    def _run(self, case: Case, root: Path) -> tuple[Outcome, set[str]]:
        self._remove(root)
        root.mkdir(parents=True)

        def lay() -> set[str]:
            write(case.inputs, root)
            for change in case.inputs.after:
                change(root)
            return tree(root)

        before = call(lay, self._own_log(root))
        return run(case.command, root, log=self._log(root)), before

    def _without_change(self, case: Case) -> Maps | None:
        """Return what the command writes for the inputs without the change; made once for each."""
        if case.verb not in ("fill", "model"):
            return None
        plain = untouched(case)
        key = f"{plain.sea} {plain.inputs.layout} {' '.join(plain.command)}"
        if key not in self._same:
            root = self.folder / f"same-{os.getpid()}-{len(self._same)}"
            outcome, _ = self._run(plain, root)
            good = outcome.code == 0
            self._same[key] = call(lambda: read_maps(root / plain.output), self._own_log(root)) if good else None
            self._remove(root)
        return self._same[key]


def fit_models(folder: Path, kinds: set[str]) -> None:
    """Fit the models that cases tamper with, on a longer record of the same sea, unless they are there."""
    root = folder / FITTED
    if kinds and not root.exists():
        root.mkdir(parents=True)
        call(lambda: write(ostia(0, count=24), root), root.with_name("models.log"))
    for kind in sorted(kinds):
        if not (root / kind).exists():
            outcome = run(["fit", "in", "-o", kind, *KINDS[kind]], root)
            if outcome.code:
                raise RuntimeError(f"no model to tamper with: {outcome.err}")


@dataclass
class Disturber:
    """Processes that are disturbed: kills, pairs, scarce resources."""

    folder: Path
    seed: int
    kind: str
    keep: bool = False
    _places: Disturbed | None = None

    def case(self, number: int) -> Result:
        """Disturb one task, or two, and judge what is left."""
        self._places = self._places or Disturbed(self.folder / f"{self.kind}-{os.getpid()}", self.seed)
        began = time.monotonic()
        title, failures = DISTURBANCES[self.kind](self._places, number)
        root = self._places.root(number)
        if not failures and not self.keep:
            shutil.rmtree(root, ignore_errors=True)
        verb = title.split()[0]
        return Result(number, title, [title.rsplit(", ", 1)[-1].split(" after")[0]], "", verb, "", 0,
                      time.monotonic() - began, failures)  # fmt: skip


DISTURBANCES: dict[str, Callable[[Disturbed, int], tuple[str, list[Failure]]]] = {
    "kills": Disturbed.kill,
    "pairs": Disturbed.pair,
    "resources": scarce,
}


def warm() -> None:
    """Import what commands import, so that it need not be imported for each."""
    import sereno.cli
    import sereno.evaluation.evaluate
    import sereno.io.inputs.cube
    import sereno.reconstruct.climatology
    import sereno.reconstruct.interpolation.method
    import sereno.reconstruct.linear
    import sereno.report.input_tables
    import sereno.report.page
    import sereno.workflow.fill_to
    import sereno.workflow.models
    import sereno.workflow.prepare  # noqa: F401

    gc.freeze()


def run_all(numbers: Iterable[int], runner: Runner | Disturber, jobs: int) -> list[Result]:
    """Run cases in `jobs` processes, which share them out."""
    numbers = list(numbers)
    runner.folder.mkdir(parents=True, exist_ok=True)
    if isinstance(runner, Runner):
        drawn = (draw(runner.seed, number, runner.profile) for number in numbers)
        fit_models(runner.folder, {case.inputs.model for case in drawn} - {None})
    pids, files = [], []
    for job in range(jobs):
        file = runner.folder / f"results-{job}.jsonl"
        files.append(file)
        pid = os.fork()
        if pid:
            pids.append(pid)
            continue
        code = 1
        try:
            _work(numbers[job::jobs], runner, file)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    if any(codes):
        raise RuntimeError("the fuzzer itself failed; see above")
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return sorted((_result(line) for line in lines), key=lambda result: result.number)


def _work(numbers: list[int], runner: Runner | Disturber, file: Path) -> None:
    with file.open("w") as out:
        for number in numbers:
            began = time.monotonic()
            result = runner.case(number)
            out.write(json.dumps(asdict(result) | {"seconds": time.monotonic() - began}) + "\n")
            out.flush()
            if result.failures:
                kinds = "; ".join(f"{f.kind}: {f.detail}" for f in result.failures)
                print(f"{number} {result.title}\n    {kinds}", flush=True)


def _result(line: dict[str, Any]) -> Result:
    return Result(**(line | {"failures": [Failure(**failure) for failure in line["failures"]]}))
