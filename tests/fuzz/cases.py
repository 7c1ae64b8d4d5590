"""A case: inputs of one layout with changes, and the command run on them; all drawn from a seed and a number."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import numpy as np

from fuzz.layouts import LAYOUTS
from fuzz.mutations import FAMILIES, mutations
from fuzz.sea import Expect, Inputs, NotApplicableError

CHANGES = mutations()
VERBS: dict[str, list[tuple[list[str], str]]] = {
    "check": [([], "")],
    "prepare": [(["--workers", "1"], "out.zarr"), (["--workers", "1"], "out.nc")],
    "fill": [
        (["-m", "climatology", "--keep-observed"], "out.nc"),
        (["-m", "linear", "--keep-observed"], "out.nc"),
        (["-m", "linear", "--keep-observed", "--unpacked"], "out.zarr"),
        (["-m", "climatology", "--keep-observed"], "out"),
        (["-m", "interpolation", "--keep-observed"], "out.nc"),
        (["-m", "persistence", "--keep-observed"], "out.zarr"),
        (["-m", "linear", "--keep-observed", "--update"], "out"),
    ],
    "model": [
        (["-m", "model", "--keep-observed"], "out.nc"),
        (["-m", "model", "--keep-observed"], "out.zarr"),
        (["-m", "model", "--keep-observed", "--nrt"], "out.nc"),
    ],
    "describe": [([], "out")],
    "climatology": [([], "out.nc"), (["--harmonics", "1"], "out.zarr")],
    "evaluate": [(["-m", "linear", "-m", "climatology"], "out")],
    "fit": [(["-m", "linear"], "out")],
}
"""What follows a verb and its input, and the name of its output; ``model`` stands for a fill by a fitted model."""
WEIGHTS = {
    "quick": {"check": 0.5, "prepare": 0.35, "fill": 0.1, "climatology": 0.03, "fit": 0.02},
    "all": {"check": 0.25, "prepare": 0.25, "fill": 0.35, "describe": 0.04, "climatology": 0.04, "evaluate": 0.03,
            "fit": 0.04},
}  # fmt: skip
"""How often each verb is drawn: in the suite of tests, which has a minute, and by hand."""
SKIPPING = ("check", "prepare", "fill")
"""Verbs that can leave out bad files."""
SEAS = 3


@dataclass
class Case:
    """One input and one command."""

    seed: int
    number: int
    sea: int
    inputs: Inputs
    changes: list[str]
    """Families and names of the changes, as ``values.minus_999``."""
    expect: Expect
    verb: str
    arguments: list[str]
    output: str

    @property
    def command(self) -> list[str]:
        """The command line after ``sereno``."""
        verb = "fill" if self.verb == "model" else self.verb
        output = ["-o", self.output] if self.output else []
        return [verb, self.inputs.source, *output, *self.arguments, *self.inputs.options]

    @property
    def skips(self) -> bool:
        """Tell whether bad files may be left out, as an update does unasked."""
        return "--skip-bad" in self.arguments or "--update" in self.arguments

    @property
    def title(self) -> str:
        """One line that says what the case is."""
        return f"{self.inputs.layout} + {', '.join(self.changes) or 'nothing'}: {' '.join(self.command)}"


def draw(seed: int, number: int, profile: str = "all") -> Case:
    """Draw a case; the same numbers give the same case."""
    rng = np.random.default_rng([seed, number])
    while True:
        sea = int(rng.integers(SEAS))
        inputs = LAYOUTS[str(rng.choice(list(LAYOUTS)))](sea)
        try:
            changes, expect = _changed(inputs, rng)
            if profile == "quick" and inputs.model == "network":
                continue  # whose fit takes longer than all else
            verb, arguments, output = _verb(inputs, rng, WEIGHTS[profile])
        except NotApplicableError:
            continue
        if inputs.output is not None and verb != "check":
            output = inputs.output
        return Case(seed, number, sea, inputs, changes, expect, verb, list(arguments), output)


def _changed(inputs: Inputs, rng: np.random.Generator) -> tuple[list[str], Expect]:
    """Make one change to the inputs, or two, or none, in the order of their families."""
    count = int(rng.choice([0, 1, 2], p=[0.04, 0.8, 0.16]))
    chances = np.array([3.0 if family == "models" else 1.0 for family in FAMILIES])  # only some layouts have a model
    families = sorted(rng.choice(len(FAMILIES), count, replace=False, p=chances / chances.sum()))
    changes, expect = [], Expect.SAME
    for family in (FAMILIES[index] for index in families):
        name = str(rng.choice(list(CHANGES[family])))
        try:
            expect = max(expect, CHANGES[family][name](inputs, rng))
        except (LookupError, ValueError, TypeError, AttributeError):
            if not changes:
                raise
            raise NotApplicableError from None  # the first change took away what the second needs
        changes.append(f"{family}.{name}")
    if count == 2 and Expect.SAME < expect < Expect.REFUSE:
        expect = max(expect, Expect.EITHER)
    return changes, expect


def _verb(inputs: Inputs, rng: np.random.Generator, weights: dict[str, float]) -> tuple[str, list[str], str]:
    verbs = inputs.verbs or tuple(weights)
    chances = np.array([weights.get(verb, 0.05) for verb in verbs])
    verb = str(rng.choice(list(verbs), p=chances / chances.sum()))
    arguments, output = VERBS[verb][rng.integers(len(VERBS[verb]))]
    if "--config" in inputs.options:
        arguments = []
    if inputs.bad and inputs.daily and verb in SKIPPING and "--update" not in arguments and rng.random() < 0.5:
        arguments = [*arguments, "--skip-bad"]
    return verb, arguments, output


def untouched(case: Case) -> Case:
    """Return the same command on the same inputs without a change."""
    inputs = LAYOUTS[case.inputs.layout](case.sea)
    changed = deepcopy(case)
    changed.inputs, changed.changes, changed.expect = inputs, [], Expect.ACCEPT
    return changed
