import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sereno.cube import make_cube
from sereno.errors import InputError
from sereno.io.models.model_folder import FORMAT_VERSION, ModelDescription, check_fits, load_model, save_model
from sereno.methods import State

CONFIG = {"model": {"method": "interpolation", "window": 15}, "seed": 3}


@pytest.fixture
def cube() -> xr.Dataset:
    values = np.full((5, 4, 6), 290.0, dtype="float32")
    lat, lon = np.linspace(36, 36.3, 4), np.linspace(-5, -4.5, 6)
    time = pd.date_range("2017-05-01", periods=5)
    return make_cube(values, time=time, lat=lat, lon=lon, water=np.ones((4, 6), dtype=bool))


@pytest.fixture
def state() -> State:
    rng = np.random.default_rng(0)
    tensors = {
        "float32": rng.normal(size=(3, 4)).astype("float32"),
        "float64": rng.normal(size=5),
        "int64": np.arange(4),
        "bool": np.array([True, False]),
        "scalar": np.float32(2.5).reshape(()),
        "transposed": np.arange(6.0).reshape(2, 3).T,
    }
    fields = xr.Dataset(
        {
            "climatology": (("harmonic", "lat", "lon"), rng.normal(size=(5, 4, 6)).astype("float32")),
            "scale": (("lat", "lon"), rng.normal(size=(4, 6))),
            "count": (("lat", "lon"), rng.integers(0, 2**40, (4, 6))),
            "water": (("lat", "lon"), rng.random((4, 6)) > 0.5),
            "table": ("lag", np.array([1.0, np.nan, -0.0])),
        },
        coords={"lat": np.linspace(36, 36.3, 4), "lon": np.linspace(-5, -4.5, 6)},
    )
    return State({"scale": 0.1 + 0.2, "lags": [1, 2], "array": np.float32(0.5)}, tensors, fields)


@pytest.fixture
def model(tmp_path: Path, cube: xr.Dataset, state: State) -> Path:
    return save_model(tmp_path / "model", state, ModelDescription.of(cube, CONFIG, scores={"rmse": 0.3}))


def test_round_trip_is_exact(model: Path, cube: xr.Dataset, state: State) -> None:
    loaded, description = load_model(model)
    assert loaded.values == {"scale": 0.1 + 0.2, "lags": [1, 2], "array": 0.5}
    assert loaded.tensors.keys() == state.tensors.keys()
    for name, tensor in state.tensors.items():
        assert loaded.tensors[name].dtype == tensor.dtype
        np.testing.assert_array_equal(loaded.tensors[name], tensor)
    xr.testing.assert_identical(loaded.fields, state.fields)
    assert all(loaded.fields[name].dtype == state.fields[name].dtype for name in state.fields)
    assert description == ModelDescription.of(cube, CONFIG, scores={"rmse": 0.3})
    assert description.versions["sereno"]
    assert description.training_period == "2017-05-01:2017-05-05"


def test_packaged_weights_are_told_to_be_of_simulated_seas(cube: xr.Dataset) -> None:
    network = {"model": {"method": "unet", "weights": "packaged"}, "seed": 0}
    assert ModelDescription.of(cube, network).summary()["weights_from"].startswith("the package of sereno")
    trained = network | {"model": {"method": "unet", "weights": "fine-tuned"}}
    assert ModelDescription.of(cube, trained).weights_from == ""


def test_the_packing_of_a_source_file_is_not_inherited(tmp_path: Path, cube: xr.Dataset) -> None:
    fields = xr.Dataset({"anomaly": ("x", np.array([0.001, 0.002]))})
    fields["anomaly"].encoding = {"dtype": "int16", "scale_factor": 0.01}
    save_model(tmp_path / "m", State(fields=fields), ModelDescription.of(cube, CONFIG))
    np.testing.assert_array_equal(load_model(tmp_path / "m")[0].fields["anomaly"], [0.001, 0.002])


def test_a_state_without_tensors_or_fields_is_one_file(tmp_path: Path, cube: xr.Dataset) -> None:
    folder = save_model(tmp_path / "bare", State({"a": 1}), ModelDescription.of(cube, CONFIG, grid_bound=True))
    assert [path.name for path in folder.iterdir()] == ["model.json"]
    loaded, description = load_model(folder)
    assert loaded == State({"a": 1})
    assert description.lat == tuple(cube["lat"].values)
    assert "lat" not in json.loads(json.dumps(description.summary()))


def test_saving_again_replaces_the_model_and_nothing_else(model: Path, cube: xr.Dataset, tmp_path: Path) -> None:
    save_model(model, State({"a": 2}), ModelDescription.of(cube, CONFIG))
    assert load_model(model)[0] == State({"a": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("")
    with pytest.raises(InputError, match="other content"):
        save_model(tmp_path / "photos", State(), ModelDescription.of(cube, CONFIG))


def test_a_failure_while_saving_leaves_the_old_model(model: Path, cube: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(AttributeError):
        save_model(model, State({"a": object()}), ModelDescription.of(cube, CONFIG))
    assert load_model(model)[1].scores == {"rmse": 0.3}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("name", ["weights.safetensors", "fields.nc"])
def test_truncated_and_missing_files_are_named(model: Path, name: str) -> None:
    content = (model / name).read_bytes()
    (model / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=rf"{name}: truncated or damaged"):
        load_model(model)
    (model / name).unlink()
    with pytest.raises(InputError, match=rf"{name}: missing"):
        load_model(model)


def test_damaged_json_is_named(model: Path) -> None:
    path = model / "model.json"
    document = json.loads(path.read_text())
    for text, fault in [
        ("{", "not valid JSON"),
        ("[]", "states no format"),
        (json.dumps({k: v for k, v in document.items() if k != "values"}), "'values' is missing"),
        (json.dumps({k: v for k, v in document.items() if k != "method"}), "method"),
        (json.dumps(document | {"seed": "x"}), "seed"),
    ]:
        path.write_text(text)
        with pytest.raises(InputError, match=r"model\.json: damaged") as caught:
            load_model(model)
        assert fault in str(caught.value)


def test_missing_model_and_newer_format(model: Path, tmp_path: Path) -> None:
    for absent in (tmp_path / "nothing", model / "model.json"):
        with pytest.raises(InputError, match="no model there"):
            load_model(absent)
    document = json.loads((model / "model.json").read_text()) | {"format": FORMAT_VERSION + 1}
    (model / "model.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="newer than this sereno reads"):
        load_model(model)


def test_a_model_fits_its_own_cube_and_another_place_of_like_spacing(cube: xr.Dataset) -> None:
    check_fits(ModelDescription.of(cube, CONFIG, grid_bound=True), cube)
    elsewhere = cube.assign_coords(lat=cube["lat"] + 2, lon=cube["lon"] + 20)
    check_fits(ModelDescription.of(cube, CONFIG), elsewhere)
    check_fits(ModelDescription.of(cube, CONFIG), cube.isel(lat=[0], time=[0]))
    single = cube.assign_coords(lat=cube["lat"].astype("float32"))
    check_fits(ModelDescription.of(cube, CONFIG, grid_bound=True), single)


def test_every_mismatch_is_listed_at_once(cube: xr.Dataset) -> None:
    description = ModelDescription.of(cube, CONFIG, grid_bound=True)
    other = cube.rename(sst="chlorophyll").assign_attrs(field="chlorophyll")
    other["chlorophyll"].attrs["units"] = "mg m-3"
    other = other.assign_coords(lat=36 + (other["lat"] - 36) * 1.2, lon=other["lon"] * 1.2)
    with pytest.raises(InputError) as caught:
        check_fits(replace(description, time_step_days=7.0), other)
    lines = str(caught.value).splitlines()[1:-1]
    subjects = [line.split(":")[0].strip() for line in lines]
    spacings = ["grid spacing along latitude", "grid spacing along longitude"]
    assert subjects == ["field", "units", "time step", *spacings, "lat", "lon"]


def test_a_shifted_grid_does_not_fit_a_model_bound_to_its_own(cube: xr.Dataset) -> None:
    shifted = cube.assign_coords(lon=cube["lon"] + 0.05)
    check_fits(ModelDescription.of(cube, CONFIG), shifted)
    with pytest.raises(InputError, match="lon: the model holds maps of 6 cells"):
        check_fits(ModelDescription.of(cube, CONFIG, grid_bound=True), shifted)
