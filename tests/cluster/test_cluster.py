"""Runs on a real SLURM."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from safetensors.numpy import load_file

from sereno.synthetic import TwinSeaConfig, twin_sea

SERENO = Path(sys.executable).parent / "sereno"
MODEL = """
train = ":2019-04-10"
calibration_days = 8

[model]
method = "convlstm"
window = 5
hidden = 4
kernel = 3
layers = 1
head = 8
tile = [12, 12]
halo = 4
batch_size = {batch}
steps_per_epoch = {steps}
max_epochs = 2
validation_windows = 6
precision = "float32"

[climatology]
recent_days = 0
"""


@pytest.fixture(scope="session")
def cube(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sea") / "cube.nc"
    sea = twin_sea(TwinSeaConfig(days=120, shape=(20, 24)))
    sea[["sst", "water"]].to_netcdf(path)
    return path


def run_file(folder: Path, job: str, *, slurm: str = "", batch: int = 4, steps: int = 6) -> Path:
    path = folder / "run.toml"
    path.write_text(f'[slurm]\n{slurm}\n[[slurm.jobs]]\nrun = "{job}"\n')
    # Keys of the run itself stand before the first table.
    text = MODEL.format(batch=batch, steps=steps)
    head, model = text.split("[model]", 1)
    path.write_text(f"{head}\n{path.read_text()}\n[model]{model}")
    return path


def submit(path: Path) -> dict[str, str]:
    done = subprocess.run([SERENO, "submit", path], cwd=path.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    numbers: dict[str, str] = json.loads((path.with_suffix(".slurm") / "jobs.json").read_text())
    return numbers


def status(path: Path) -> str:
    done = subprocess.run([SERENO, "submit", path, "--status"], capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]


def wait(path: Path, *, seconds: float = 200, until: tuple[str, ...] = ("COMPLETED",)) -> None:
    for _ in range(int(seconds)):
        state = status(path)
        if state in until:
            return
        assert state in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "REQUEUED"), f"{state}\n{logs(path)}"
        time.sleep(1)
    pytest.fail(f"{state} after {seconds} s\n{logs(path)}")


def logs(path: Path) -> str:
    return "\n".join(log.read_text() for log in sorted(path.with_suffix(".slurm").glob("*.log")))


def weights(folder: Path) -> dict[str, np.ndarray]:
    held: dict[str, np.ndarray] = load_file(folder / "model" / "weights.safetensors")
    return held


def fit_here(path: Path, cube: Path) -> None:
    subprocess.run(
        [SERENO, "fit", cube, "--config", path, "-o", path.parent / "model"], check=True, capture_output=True
    )


def test_two_tasks_train_as_one_with_the_batch_of_both(cluster: Path, cube: Path, tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("one", "two")]
    for place in places:
        place.mkdir()
    two = run_file(places[1], f"fit {cube} -o model", slurm="tasks = 2", batch=2)
    submit(two)
    fit_here(run_file(places[0], f"fit {cube} -o model", batch=4), cube)
    wait(two)
    assert "wrote" in logs(two)
    assert logs(two).count("wrote model") == 1
    one, other = map(weights, places)
    for name, array in one.items():
        np.testing.assert_allclose(other[name], array, rtol=1e-3, atol=1e-4, err_msg=name)


def test_a_training_that_makes_way_is_queued_again_and_ends_the_same(
    cluster: Path, cube: Path, tmp_path: Path
) -> None:
    places = [tmp_path / name for name in ("whole", "parts")]
    for place in places:
        place.mkdir()
    # So many steps that the signal comes amid them, however fast the machine is.
    fit_here(run_file(places[0], f"fit {cube} -o model", steps=1000), cube)
    parts = run_file(places[1], f"fit {cube} -o model", steps=1000)
    (number,) = submit(parts).values()
    for _ in range(300):
        if "training:" in logs(parts):
            break
        time.sleep(0.1)
    subprocess.run(["scancel", "--signal=USR1", number], check=True)
    wait(parts)
    assert "stopped early" in logs(parts)
    whole, other = map(weights, places)
    assert all(np.array_equal(other[name], array) for name, array in whole.items())


def test_a_cancelled_job_leaves_nothing_half_written(cluster: Path, cube: Path, tmp_path: Path) -> None:
    path = run_file(tmp_path, f"fit {cube} -o model", steps=5000)
    (number,) = submit(path).values()
    for _ in range(100):
        if "training:" in logs(path):
            break
        time.sleep(0.3)
    subprocess.run(["scancel", number], check=True)
    wait(path, until=("CANCELLED",))
    time.sleep(3)
    left = {entry.name for entry in tmp_path.iterdir()}
    assert left <= {"run.toml", "run.slurm", "model.training"}
    held = {entry.name for entry in (tmp_path / "model.training").rglob("*")}
    assert held <= {"best.ckpt", "last.ckpt", "metrics.csv"}


def test_a_shared_fill_is_that_of_one_job(cluster: Path, cube: Path, tmp_path: Path) -> None:
    days = "--days 2019-04-01:2019-04-06 -m climatology"
    path = run_file(tmp_path, f"fill {cube} {days} -o shared.nc", slurm="shards = 2")
    submit(path)
    alone = ["fill", cube, *days.split(), "-o", tmp_path / "alone.nc"]
    subprocess.run([SERENO, *alone], check=True, capture_output=True)
    wait(path)
    with xr.open_dataset(tmp_path / "shared.nc") as shared, xr.open_dataset(tmp_path / "alone.nc") as serial:
        xr.testing.assert_equal(shared, serial)


def test_names_with_spaces_quotes_and_signs_reach_the_job_as_they_are(
    cluster: Path, cube: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "a 'b' \"c\" 50%j #1 $(touch PWNED) ü"
    folder.mkdir()
    run = folder / "run.toml"
    output = "'clim $HOME.nc'"
    comment = "options = ['--comment=a #b \"c\" --hold']"
    run.write_text(f'[slurm]\n{comment}\n[[slurm.jobs]]\nrun = "climatology {cube} -o {output}"\n')
    number = submit(run)["1-climatology"]
    wait(run)
    names = {"run.toml", "run.slurm", "clim $HOME.nc"}
    assert {path.name for path in folder.iterdir()} == names
    assert {path.name for path in (folder / "run.slurm").iterdir()} == {
        "1-climatology.sbatch",
        f"1-climatology-{number}.log",
        "jobs.json",
    }
    shown = subprocess.run(["scontrol", "show", "job", number], capture_output=True, text=True, check=True).stdout
    assert 'Comment=a #b "c" --hold' in shown
