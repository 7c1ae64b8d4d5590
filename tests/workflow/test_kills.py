"""Runs that are killed, and two at once, as a cron job and the queue of a cluster have them."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr
from stores import maps

from sereno.workflow.models import Model, save

SCRIPT = Path(__file__).with_name("killed.py")
KILLS = 4


@pytest.fixture(scope="module")
def given(cube: xr.Dataset, model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("given")
    (folder / "cube.pickle").write_bytes(pickle.dumps(cube.isel(time=slice(0, 25))))
    save(model, folder / "model")
    return folder


def contents(output: Path) -> dict[str, bytes]:
    """Return all values of an output, by file."""
    if output.suffix == ".zarr":
        return maps(output)
    files = sorted(output.iterdir()) if output.is_dir() else [output]
    values = {}
    for file in files:
        with xr.open_dataset(file, decode_times=False, mask_and_scale=False) as opened:
            values |= {
                f"{file.stem if output.is_dir() else ''} {name}": v.values.tobytes() for name, v in opened.items()
            }
    return values


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["out.nc", "out.zarr", "days"])
def test_runs_that_were_killed_are_continued_to_the_same_bytes_and_leave_nothing(
    given: Path, tmp_path: Path, name: str
) -> None:
    output = tmp_path / name
    command = [sys.executable, str(SCRIPT), str(given), str(output), "7", str(KILLS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    status, killed = map(int, done.stdout.split())
    assert status == 0, done.stderr
    assert killed > 0
    timed = output.with_name(f"timed{output.suffix}")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, timed.name])
    assert contents(output) == contents(timed)
    assert not [path for path in output.rglob("*") if path.suffix in (".part", ".partial")]
