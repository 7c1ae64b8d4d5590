"""The model that a fill keeps beside its output, used again for the same images and settings alone."""

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sereno.cli.filling import report_lines
from sereno.config import ClimatologyConfig, RunConfig, configure
from sereno.errors import InputError
from sereno.io.stores.checksums import Images
from sereno.workflow import kept_model
from sereno.workflow.climatology import make_climatology
from sereno.workflow.fill_to import Filled, Shard, fill_to
from sereno.workflow.fit import fit
from sereno.workflow.kept_model import RECORD, fitted_or_kept, place_of
from sereno.workflow.models import Model, load

Change = Callable[[Path, xr.Dataset], xr.Dataset]
Ask = Callable[..., bool]
CONFIG = configure("linear", model={"method": "linear", "window": 5})
DAYS = "2019-01-20:2019-01-22"


@pytest.fixture(scope="module")
def small(cube: xr.Dataset) -> xr.Dataset:
    return cube.isel(time=slice(0, 30)).load()


@pytest.fixture(scope="module")
def made(small: xr.Dataset) -> Model:
    return fit(small, CONFIG)


@pytest.fixture
def reused(made: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Ask for a model, and tell whether one was reused; what would be fitted is always the same one."""
    monkeypatch.setattr(kept_model, "model_for", lambda *_, **__: made)

    def ask(cube: xr.Dataset, config: RunConfig = CONFIG, *, days: str = DAYS, nrt: bool = False) -> bool:
        options = {"days": days, "nrt": nrt, "images": Images(cube), "keep": True, "progress": lambda *_: None}
        found = fitted_or_kept(cube, config, tmp_path / "out.nc", **options)  # type: ignore[arg-type]
        assert found.kept == place_of(tmp_path / "out.nc")
        assert repr(found.model) == repr(made)
        return found.reused

    return ask


@pytest.mark.parametrize("name", ["out.nc", "days"])
def test_the_model_is_kept_and_fills_other_days_as_one_that_is_fitted_for_them(
    small: xr.Dataset, tmp_path: Path, name: str
) -> None:
    first = fill_to(small, CONFIG, tmp_path / name, days=DAYS)
    assert (first.kept_model, first.reused) == (tmp_path / f"{name}.model", False)
    stages: set[str] = set()

    def note(stage: str, fraction: float) -> None:
        stages.add(stage)

    again = fill_to(small, CONFIG, tmp_path / name, days="2019-01-25", overwrite=True, progress=note)
    assert (again.kept_model, again.reused) == (tmp_path / f"{name}.model", True)
    assert stages <= {"fill", "write"}
    if name == "out.nc":
        fill_to(small, load(tmp_path / "out.nc.model"), tmp_path / "new.nc", days="2019-01-25")
        with xr.open_dataset(tmp_path / name) as mine, xr.open_dataset(tmp_path / "new.nc") as theirs:
            xr.testing.assert_equal(mine.load(), theirs.load())


def one_value(place: Path, cube: xr.Dataset) -> xr.Dataset:
    values = cube["sst"].values.copy()
    values[np.unravel_index(np.flatnonzero(np.isfinite(values))[0], values.shape)] += 0.01
    return cube.assign(sst=cube["sst"].copy(data=values))


def stated_errors(place: Path, cube: xr.Dataset) -> xr.Dataset:
    return cube.assign(sst_error=xr.full_like(cube["sst"], 0.3))


def less_water(place: Path, cube: xr.Dataset) -> xr.Dataset:
    water = cube["water"].values.copy()
    water[tuple(np.argwhere(water)[0])] = False
    return cube.assign(water=cube["water"].copy(data=water))


def moved(place: Path, cube: xr.Dataset) -> xr.Dataset:
    return cube.assign_coords(lat=cube["lat"] + 0.01)


def fewer_days(place: Path, cube: xr.Dataset) -> xr.Dataset:
    return cube.isel(time=slice(1, None))


def cut_weights(place: Path, cube: xr.Dataset) -> xr.Dataset:
    weights = place / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    return cube


def another_number(place: Path, cube: xr.Dataset) -> xr.Dataset:
    path = place / "model.json"
    model = json.loads(path.read_text())
    model["values"]["noise_variance"] = model["values"]["noise_variance"] + 0.5
    path.write_text(json.dumps(model))
    return cube


def no_model(place: Path, cube: xr.Dataset) -> xr.Dataset:
    (place / "model.json").unlink()
    return cube


def no_record(place: Path, cube: xr.Dataset) -> xr.Dataset:
    (place / RECORD).write_bytes(b"\x00{")
    return cube


CHANGES = [one_value, stated_errors, less_water, moved, fewer_days, cut_weights, another_number, no_model, no_record]


@pytest.mark.parametrize("change", CHANGES)
def test_for_another_input_or_where_it_is_damaged_a_model_is_fitted(
    small: xr.Dataset, tmp_path: Path, reused: Ask, change: Change
) -> None:
    assert not reused(small)
    assert reused(small)
    cube = change(tmp_path / "out.nc.model", small)
    assert not reused(cube)
    assert reused(cube)  # it took the place of the other


def test_other_settings_and_another_version_fit_their_own(
    small: xr.Dataset, reused: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    reused(small)
    assert reused(small, configure("linear", model={"method": "linear", "window": 5}))
    assert not reused(small, configure("linear", model={"method": "linear", "window": 5}, seed=1))
    assert not reused(small, configure("persistence"))
    assert not reused(small, configure("persistence"), nrt=True)
    assert reused(small, configure("persistence"), nrt=True)
    monkeypatch.setattr(kept_model, "version", lambda name: "99.0")
    assert not reused(small, configure("persistence"), nrt=True)


def test_in_near_real_time_a_model_is_of_the_images_up_to_the_first_day(small: xr.Dataset, reused: Ask) -> None:
    assert not reused(small.sel(time=slice(None, "2019-01-25")), days="2019-01-25", nrt=True)
    assert reused(small, days="2019-01-25", nrt=True)
    assert not reused(small, days="2019-01-26", nrt=True)


def test_a_climatology_that_changed_under_its_name_fits_anew(small: xr.Dataset, tmp_path: Path, reused: Ask) -> None:
    make_climatology(small, tmp_path / "climatology.nc", ClimatologyConfig())
    config = configure("linear", climatology={"file": str(tmp_path / "climatology.nc")})
    assert not reused(small, config)
    assert reused(small, config)
    make_climatology(small.assign(sst=small["sst"] + 0.1), tmp_path / "climatology.nc", ClimatologyConfig())
    assert not reused(small, config)


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "No space left on device"), InputError("no permission")])
def test_what_cannot_be_kept_does_not_stop_the_fill(
    small: xr.Dataset, made: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def full(*_: object) -> None:
        raise fault

    monkeypatch.setattr(kept_model, "model_for", lambda *_, **__: made)
    monkeypatch.setattr(kept_model, "save", full)
    done = fill_to(small, CONFIG, tmp_path / "out.nc", days=DAYS)
    assert done.finished
    assert done.kept_model is None
    assert [path.name for path in tmp_path.iterdir()] == ["out.nc"]


def test_of_a_fill_that_is_refused_nothing_stays(small: xr.Dataset, tmp_path: Path) -> None:
    cube = small.assign(sst=small["sst"] - 200)  # values that no sea has, which the guard refuses
    with pytest.raises(InputError, match="values on water"):
        fill_to(cube, CONFIG, tmp_path / "out.nc", days=DAYS)
    assert list(tmp_path.iterdir()) == []


def test_something_else_in_its_place_is_left_alone(
    small: xr.Dataset, made: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_model, "model_for", lambda *_, **__: made)
    (tmp_path / "out.nc.model").mkdir()
    (tmp_path / "out.nc.model" / "thesis.txt").write_text("mine")
    assert fill_to(small, CONFIG, tmp_path / "out.nc", days=DAYS).kept_model is None
    assert (tmp_path / "out.nc.model" / "thesis.txt").read_text() == "mine"


def test_shards_use_a_model_that_is_there_and_keep_none(
    small: xr.Dataset, made: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_model, "model_for", lambda *_, **__: made)
    assert fill_to(small, CONFIG, tmp_path / "out.zarr", days=DAYS, shard=Shard(1, 2)).kept_model is None
    assert not (tmp_path / "out.zarr.model").exists()
    place = fill_to(small, CONFIG, tmp_path / "other.zarr", days=DAYS).kept_model
    assert place is not None
    shutil.copytree(place, tmp_path / "third.zarr.model")
    assert fill_to(small, CONFIG, tmp_path / "third.zarr", days=DAYS, shard=Shard(1, 2)).reused


def test_a_model_that_is_given_is_neither_kept_nor_looked_for(small: xr.Dataset, made: Model, tmp_path: Path) -> None:
    done = fill_to(small, made, tmp_path / "new.nc", days=DAYS)
    assert (done.kept_model, done.reused) == (None, False)
    assert [path.name for path in tmp_path.iterdir()] == ["new.nc"]


def test_the_command_line_says_in_a_line_that_it_was_kept_or_reused(tmp_path: Path) -> None:
    place = tmp_path / "out.nc.model"
    kept = Filled(tmp_path / "out.nc", 3, 3, "linear", finished=True, kept_model=place)
    assert report_lines(kept)[0] == f"kept the model in {place}: filling these images again will reuse it"
    again = Filled(tmp_path / "out.nc", 3, 3, "linear", finished=True, kept_model=place, reused=True)
    assert report_lines(again)[0].startswith(f"reused the model in {place}: ")
