from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from anomaly_cubes import SMALL, moving_blobs

from sereno.cube import BEYOND_SUPPORT, FILLED, OBSERVED
from sereno.methods import State, method_class
from sereno.reconstruct.convlstm import ConvLSTMReconstructor

CONFIG = replace(SMALL, hidden=8, steps_per_epoch=30, validation_windows=16)


@pytest.fixture(scope="module")
def cube() -> xr.Dataset:
    return moving_blobs()


@pytest.fixture(scope="module")
def fitted(cube: xr.Dataset) -> ConvLSTMReconstructor:
    return ConvLSTMReconstructor.fit(cube, CONFIG)


def test_the_table_of_methods_knows_it() -> None:
    assert method_class("convlstm") is ConvLSTMReconstructor


def test_gaps_are_filled_better_than_by_the_climatology_and_the_std_says_how_well(
    fitted: ConvLSTMReconstructor, cube: xr.Dataset
) -> None:
    days = cube["time"].values[60:80]
    analysis = fitted.reconstruct(cube, days)
    assert all(variable.chunks is not None for variable in analysis.data_vars.values())
    analysis = analysis.compute()
    chosen = cube.sel(time=days)
    for name in ("mean", "std"):
        np.testing.assert_array_equal(np.isfinite(analysis[name]).all("time"), cube["water"])
    assert (analysis["std"].where(cube["water"], 1) > 0).all()
    gap = chosen["anomaly"].isnull() & cube["water"]
    np.testing.assert_array_equal((analysis["source"] == OBSERVED), chosen["anomaly"].notnull())
    assert analysis["source"].where(gap, FILLED).isin([FILLED, BEYOND_SUPPORT]).all()
    error = (analysis["mean"] - chosen["truth"]).where(gap)
    assert (error**2).mean() < 0.3 * (chosen["truth"].where(gap) ** 2).mean()
    assert 0.6 < float(((error / analysis["std"]) ** 2).mean()) < 1.6


def test_bfloat16_errs_as_float32_does(fitted: ConvLSTMReconstructor, cube: xr.Dataset) -> None:
    days = cube["time"].values[40:80]
    gap = cube["anomaly"].sel(time=days).isnull() & cube["water"]
    rmse = []
    for precision in ("float32", "bfloat16"):
        config = replace(CONFIG, precision=precision)
        mean = ConvLSTMReconstructor.from_state(config, fitted.state()).reconstruct(cube, days)["mean"]
        rmse.append(float(np.sqrt(((mean - cube["truth"].sel(time=days)).where(gap) ** 2).mean())))
    assert rmse[0] != rmse[1]
    assert rmse[1] == pytest.approx(rmse[0], rel=0.01)


def test_a_network_trained_elsewhere_is_taken_as_it_is(fitted: ConvLSTMReconstructor, cube: xr.Dataset) -> None:
    state = fitted.state()
    weights = {name: tensor for name, tensor in state.tensors.items() if not name.startswith("spread.")}
    trained = State({"scale": state.values["scale"], "history": []}, weights)
    taken = ConvLSTMReconstructor.fit(cube, CONFIG, trained=trained)
    days = cube["time"].values[60:62]
    gap = cube["anomaly"].sel(time=days).isnull()
    one, other = (each.reconstruct(cube, days).compute() for each in (fitted, taken))
    xr.testing.assert_identical(one["mean"].where(gap), other["mean"].where(gap))
    assert 0.6 < float((other["std"] / one["std"]).where(gap).mean()) < 1.6
    unknown = replace(trained, values={"scale": 0.0, "history": []})
    values = cube["anomaly"].where(cube["water"]).values.astype(float)
    assert ConvLSTMReconstructor.fit(cube, CONFIG, trained=unknown).scale == pytest.approx(np.nanstd(values))


def test_a_map_depends_neither_on_the_other_days_asked_for_nor_on_the_chunks(
    fitted: ConvLSTMReconstructor, cube: xr.Dataset
) -> None:
    days = cube["time"].values
    whole = fitted.reconstruct(cube, days).compute()
    for chosen in (days[[0]], days[[7, 8, 50]], days[-3:]):
        part = fitted.reconstruct(cube.chunk(time=7, lat=5), chosen).compute()
        xr.testing.assert_identical(part, whole.sel(time=chosen))


def test_a_fitted_method_survives_its_state(fitted: ConvLSTMReconstructor, cube: xr.Dataset) -> None:
    state = fitted.state()
    assert all(array.flags.c_contiguous for array in state.tensors.values())
    before = torch.get_rng_state()
    again = ConvLSTMReconstructor.from_state(CONFIG, state)
    assert torch.equal(before, torch.get_rng_state())
    assert again.history == fitted.history
    days = cube["time"].values[[30, 31]]
    xr.testing.assert_identical(again.reconstruct(cube, days).compute(), fitted.reconstruct(cube, days).compute())


def test_where_nothing_was_seen_the_climatology_answers(fitted: ConvLSTMReconstructor, cube: xr.Dataset) -> None:
    empty = cube.assign(anomaly=cube["anomaly"] * np.float32(np.nan))
    analysis = fitted.reconstruct(empty, cube["time"].values[:3]).compute()
    assert (analysis["mean"].where(cube["water"], 0) == 0).all()
    np.testing.assert_array_equal(
        analysis["std"].values, np.broadcast_to(cube["climatology_std"].where(cube["water"]), analysis["std"].shape)
    )
    assert (analysis["source"] == BEYOND_SUPPORT).where(cube["water"], True).all()


def test_any_grid_will_do_and_tiles_leave_no_seam(fitted: ConvLSTMReconstructor, cube: xr.Dataset) -> None:
    small = cube.isel(lat=slice(5, 14), lon=slice(10, 19))
    assert np.isfinite(fitted.reconstruct(small, cube["time"].values[50:52])["mean"]).all()

    days = cube["time"].values[60:70]
    tiled = replace(CONFIG, tile=(8, 8), halo=4)
    tiles = ConvLSTMReconstructor.from_state(tiled, fitted.state()).reconstruct(cube, days)["mean"].compute()
    whole_config = replace(CONFIG, tile=(64, 64))
    whole = ConvLSTMReconstructor.from_state(whole_config, fitted.state()).reconstruct(cube, days)["mean"].compute()
    assert not tiles.equals(whole)
    truth = cube["truth"].sel(time=days)
    assert float(((tiles - whole) ** 2).mean()) < 0.2 * float((truth**2).mean())
    # A seam would be a step larger than any between two cells of the map made in one piece.
    steps, smooth = (np.abs(mean.diff("lon")).mean(("time", "lat")) for mean in (tiles, whole))
    assert steps.max() <= smooth.max()
