"""Cases of fixed seeds, in the minute that the suite has; `make fuzz` runs any number of others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.cases import draw

SEED = 2026
PARTS, EACH = 4, 50
FEW = 5
"""Cases that every run of the tests tries."""


def fuzz(folder: Path, *options: str) -> str:
    paths = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "fuzz", "--jobs", "1", "--folder", str(folder), *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.mark.parametrize(
    ("first", "count"),
    [(0, FEW), *(pytest.param(first, EACH, marks=pytest.mark.thorough) for first in range(0, PARTS * EACH, EACH))],
)
def test_every_input_ends_in_a_right_output_or_in_one_clear_error(tmp_path: Path, first: int, count: int) -> None:
    assert not fuzz(tmp_path, "--profile", "quick", "--seed", str(SEED), "--first", str(first), "-n", str(count))


@pytest.mark.thorough
@pytest.mark.parametrize(("kind", "count"), [("kills", 3), ("pairs", 2), ("resources", 4)])
def test_a_disturbed_command_leaves_no_litter_and_gives_the_same_when_run_again(
    tmp_path: Path, kind: str, count: int
) -> None:
    assert not fuzz(tmp_path, "--kind", kind, "--seed", str(SEED), "-n", str(count))


def test_a_number_and_a_seed_give_the_same_case() -> None:
    first, again = (draw(SEED, 7) for _ in range(2))
    assert first.title == again.title
    assert [file.variables.keys() for file in first.inputs.files] == [
        file.variables.keys() for file in again.inputs.files
    ]
    values = [[var.values.tobytes() for var in case.inputs.fields()] for case in (first, again)]
    assert values[0] == values[1]
    assert len({draw(SEED, number).title for number in range(40)}) > 30
