import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from dask.delayed import delayed

import sereno
from sereno.config import RunConfig, configure
from sereno.cube import DIMS, make_cube
from sereno.errors import InputError
from sereno.io.stores.prepared import write_cube
from sereno.reconstruct.anomaly import AnomalyReconstructor
from sereno.workflow.fill import product_of
from sereno.workflow.models import Model

EARLY, LATER = ":2019-02-28", "2019-03-10:"
"""The days that models are fitted on, and those that they are scored on."""
SCORES = {
    "rmse",
    "bias",
    "std",
    "mae",
    "r2",
    "crps",
    "coverage_1sigma",
    "coverage_2sigma",
    "z_mean",
    "z_std",
    "rmse_per_image",
    "effective_resolution",
    "gradient_rmse",
    "gradient_bias",
    "gradient_pixels",
    "rmse_interval",
    "bias_interval",
    "crps_interval",
    "rmse_per_image_interval",
    "ratio",
    "seconds",
}


def quick(method: str = "interpolation", **settings: Any) -> RunConfig:  # noqa: ANN401
    return configure(method, **settings)


def with_window(method: str, window: int) -> RunConfig:
    config = configure(method)
    return replace(config, model=replace(config.model, window=window))


@pytest.fixture(scope="module")
def model(sea: xr.Dataset) -> Model:
    return sereno.fit(sea, replace(with_window("interpolation", 7), train=EARLY))


@pytest.fixture(scope="module")
def benchmark(sea: xr.Dataset) -> xr.Dataset:
    """The sea with a tenth of the observations of its five clearest days moved to a variable of their own."""
    shown = (sea["sst"].notnull() & sea["water"]).values
    chosen = shown & (np.random.default_rng(0).random(shown.shape) < 0.1)
    clearest = np.argsort(shown.sum(axis=(1, 2)))[-5:]
    chosen[np.setdiff1d(np.arange(len(chosen)), clearest)] = False
    held = xr.DataArray(chosen, dims=DIMS, coords=sea["sst"].coords)
    return sea.assign(sst=sea["sst"].where(~held), sst_withheld=sea["sst"].where(held))


Given = list[tuple[xr.Dataset, np.ndarray]]


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Given:
    """What every reconstruction is handed from here on: the cube, in memory, and the days."""
    noted: Given = []
    honest = AnomalyReconstructor.reconstruct

    def reconstruct(
        self: AnomalyReconstructor, cube: xr.Dataset, days: np.ndarray, *, nrt: bool = False
    ) -> xr.Dataset:
        noted.append((cube.copy(deep=True).compute(), days))
        return honest(self, cube, days, nrt=nrt)

    monkeypatch.setattr(AnomalyReconstructor, "reconstruct", reconstruct)
    return noted


def without_seconds(table: dict[str, Any]) -> dict[str, Any]:
    return {name: {key: value for key, value in row.items() if key != "seconds"} for name, row in table.items()}


def flat_sea(days: int, *, start: str = "2010-01-01", shape: tuple[int, int] = (9, 10)) -> xr.Dataset:
    """A long record of an annual cycle under noise, half of it missing: cheap where dynamics do not matter."""
    rng = np.random.default_rng(0)
    time = pd.date_range(start, periods=days)
    cycle = 5 * np.cos(2 * np.pi * time.day_of_year.values / 365.25)
    values = 290 + cycle[:, None, None] + rng.normal(0, 0.3, size=(days, *shape))
    values[rng.random(values.shape) < 0.5] = np.nan
    lat, lon = 40 + 0.05 * np.arange(shape[0]), 0.05 * np.arange(shape[1])
    return make_cube(values.astype(np.float32), time=time, lat=lat, lon=lon, water=np.ones(shape, bool))


# fit


@pytest.mark.parametrize(
    ("train", "valid"),
    [
        ("2019-01-01:2019-03-01", "2019-03-08:2019-04-30"),  # seven days on, and the window is seven days
        ("2019-03-08:2019-04-30", "2019-01-01:2019-03-01"),
        ("2019-01-01:2019-03-20", "2019-03-10:2019-04-30"),
        ("2019-01-01:2019-04-30", "2019-02-01:2019-02-28"),
    ],
)
def test_validation_within_a_window_of_training_is_refused(sea: xr.Dataset, train: str, valid: str) -> None:
    with pytest.raises(InputError, match=r"must be more than the window of 7 days apart"):
        sereno.fit(sea, replace(with_window("climatology", 7), train=train, valid=valid))


@pytest.mark.parametrize(
    ("train", "valid"),
    [
        ("2019-01-01:2019-03-01", "2019-03-09:2019-04-30"),
        ("2019-03-09:2019-04-30", "2019-01-01:2019-03-01"),
    ],
)
def test_validation_just_beyond_a_window_is_accepted(sea: xr.Dataset, train: str, valid: str) -> None:
    fitted = sereno.fit(sea, replace(with_window("climatology", 7), train=train, valid=valid))
    assert fitted.description.training_period == train


def test_a_fit_sees_its_training_period_alone(sea: xr.Dataset) -> None:
    config = replace(with_window("interpolation", 7), train="2019-01-01:2019-03-31")
    outside = sea["time"] > np.datetime64("2019-03-31")
    other = sea.assign(sst=sea["sst"].where(~outside, sea["sst"] + 5))
    one, two = (sereno.fit(cube, config).reconstructor.state() for cube in (sea, other))
    assert one.values == two.values
    xr.testing.assert_identical(one.fields, two.fields)


def test_a_method_is_handed_the_field_its_error_and_the_water_alone(
    benchmark: xr.Dataset, model: Model, given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    cubes: list[xr.Dataset] = []

    def fit(cube: xr.Dataset, *_: object, valid: xr.Dataset, **__: object) -> AnomalyReconstructor:
        cubes.extend([cube, valid])
        return model.reconstructor

    monkeypatch.setattr(AnomalyReconstructor, "fit", fit)
    rich = benchmark.assign(sst_error=benchmark["sst"] * 0, analysis_of_another=benchmark["truth"])
    sereno.fit(rich, quick(train="2019-01-01:2019-02-28", valid="2019-03-20:2019-04-30"))
    sereno.fill(rich, model, days="2019-02-01")
    cubes.extend(cube for cube, _ in given)
    assert len(cubes) == 3
    assert all(set(cube.data_vars) == {"sst", "sst_error", "water"} for cube in cubes)


def test_a_period_without_days_or_without_observations_is_refused(sea: xr.Dataset) -> None:
    with pytest.raises(InputError, match="holds no day of the input, which spans 2019-01-01:2019-04-30"):
        sereno.fit(sea, quick(train="2018-01-01:2018-12-31"))
    blind = sea.assign(sst=sea["sst"].where(sea["time"] > np.datetime64("2019-02-28")))
    with pytest.raises(InputError, match=r"the training period 2019-01-01:2019-02-28 holds no observation"):
        sereno.fit(blind, quick(train="2019-01-01:2019-02-28"))
    config = replace(with_window("climatology", 7), train="2019-03-15:2019-04-30", valid="2019-01-01:2019-02-28")
    with pytest.raises(InputError, match=r"the validation period 2019-01-01:2019-02-28 holds no observation"):
        sereno.fit(blind, config)


@pytest.mark.parametrize("use", [lambda cube: sereno.fit(cube, "climatology"), lambda cube: sereno.fill(cube, "x")])
def test_what_is_not_a_cube_is_refused_with_all_its_faults(
    sea: xr.Dataset, use: Callable[[xr.Dataset], object]
) -> None:
    broken = sea.isel(lat=slice(None, None, -1), time=[0, 1, 5])
    with pytest.raises(InputError, match="not a valid cube") as caught:
        use(broken)
    assert "lat: must ascend" in str(caught.value)
    assert "days are missing" in str(caught.value)


def test_an_unknown_method_is_refused_by_its_name(sea: xr.Dataset) -> None:
    with pytest.raises(InputError, match="kriging"):
        sereno.fill(sea, "kriging")


# fill


def test_a_name_is_fitted_on_the_cube_itself(sea: xr.Dataset) -> None:
    by_name = sereno.fill(sea, "climatology", days="2019-02-01:2019-02-03").compute()
    by_model = sereno.fill(sea, sereno.fit(sea, "climatology"), days="2019-02-01:2019-02-03").compute()
    xr.testing.assert_identical(by_name, by_model)
    with pytest.raises(InputError, match="needs training"):
        sereno.fill(sea, "convlstm")


@pytest.mark.parametrize(
    "other_grid",
    [
        lambda cube: cube.isel(lat=slice(1, None)),
        lambda cube: cube.assign_coords(lon=cube["lon"] + 1 / 32),
        lambda cube: cube.isel(lat=slice(None, None, 2), lon=slice(None, None, 2)),
        lambda cube: cube.rename(sst="chl").assign_attrs(field="chl"),
    ],
)
def test_a_model_of_another_grid_or_field_is_refused(
    sea: xr.Dataset, model: Model, other_grid: Callable[[xr.Dataset], xr.Dataset]
) -> None:
    elsewhere = other_grid(sea)
    with pytest.raises(InputError, match="does not fit the input"):
        sereno.fill(elsewhere, model)
    with pytest.raises(InputError, match="does not fit the input"):
        sereno.evaluate(elsewhere, {"model": model})


def watched(sea: xr.Dataset) -> tuple[xr.Dataset, list[int]]:
    """Return a cube whose images are read when they are needed, and the list that each is put down in."""
    read: list[int] = []

    def image(position: int) -> np.ndarray:
        read.append(position)
        return np.asarray(sea["sst"].values[position : position + 1])

    shape = (1, *sea["water"].shape)
    images = [da.from_delayed(delayed(image, pure=False)(day), shape, np.float32) for day in range(120)]
    return sea.assign(sst=(DIMS, da.concatenate(images), sea["sst"].attrs)), read


def test_the_images_of_a_small_sea_are_not_read_over_and_over_for_a_fit(sea: xr.Dataset) -> None:
    lazy, read = watched(sea)
    sereno.fit(lazy, "climatology")
    assert max(map(read.count, range(120))) <= 2  # to see that there is something, and to fit


def test_cells_whose_coordinates_are_rounded_otherwise_are_filled_the_same(sea: xr.Dataset, model: Model) -> None:
    day = str(sea["time"].values[20])[:10]
    rounded = sea.assign_coords({dim: (sea[dim] + 1e-9).assign_attrs(sea[dim].attrs) for dim in ("lat", "lon")})
    as_fitted, analysis = (sereno.fill(cube, model, days=day).compute() for cube in (sea, rounded))
    xr.testing.assert_identical(analysis, as_fitted.assign_coords(lat=rounded["lat"], lon=rounded["lon"]))


def test_filling_reads_nothing_until_computed_and_then_what_bears_on_the_day(sea: xr.Dataset, model: Model) -> None:
    lazy, read = watched(sea)
    analysis = sereno.fill(lazy, model, days=str(sea["time"].values[60])[:10])
    analysis["mean"].compute()
    reach = model.reconstructor.reach
    assert 3 + 15 <= reach < 40  # half the window, and the recent mean of each of its days
    assert set(read) == set(range(60 - reach, 60 + reach + 1))


@pytest.mark.thorough
def test_another_field_is_filled_under_its_own_name_and_unit(sea: xr.Dataset) -> None:
    chlorophyll = sea.rename(sst="chl").assign_attrs(field="chl").drop_vars("truth")
    chlorophyll["chl"] = (0.01 * (sea["sst"] - 280)).assign_attrs(units="mg m-3")
    fitted = sereno.fit(chlorophyll, with_window("interpolation", 7))
    analysis = sereno.fill(chlorophyll, fitted, days="2019-02-10", keep_observed=True).compute()
    assert analysis.attrs["field"] == "chl"
    assert analysis["mean"].attrs["units"] == "mg m-3"
    truth = 0.01 * (sea["truth"].sel(time=analysis["time"]) - 280)
    assert float(abs(analysis["mean"] - truth).max()) < 0.03
    result = sereno.evaluate(chlorophyll, {"chl": fitted.config}).scores
    assert result["units"] == "mg m-3"
    assert result["methods"]["chl"]["rmse"] < 0.01


# evaluate


def test_the_table_has_the_promised_keys_and_survives_json(sea: xr.Dataset, model: Model) -> None:
    result = sereno.evaluate(sea, {"mine": model, "clim": "climatology"}, days=LATER).scores
    assert result["protocol"] == "clouds"
    assert set(result["methods"]) == set(result["truth"]["methods"]) == {"mine", "clim"}
    for table in (result["methods"], result["truth"]["methods"]):
        for row in table.values():
            assert set(row) == SCORES
            numbers = [value for name, value in row.items() if name not in ("ratio", "effective_resolution")]
            assert np.isfinite(np.hstack([*numbers, *row["ratio"].values()])).all()
            for name in ("rmse", "bias", "crps", "rmse_per_image"):
                low, high = row[f"{name}_interval"]
                assert low < row[name] < high
    assert result["n_pixels"] == result["truth"]["n_pixels"] > 100
    assert result["units"] == "kelvin"
    assert json.loads(json.dumps(result)) == result
    assert result["methods"]["mine"]["rmse"] < 0.7 * result["methods"]["clim"]["rmse"]
    assert result["truth"]["methods"]["mine"]["rmse"] < result["methods"]["mine"]["rmse"]


def test_without_a_truth_there_is_no_score_against_it(sea: xr.Dataset, model: Model) -> None:
    assert "truth" not in sereno.evaluate(sea.drop_vars("truth"), {"mine": model}, days=LATER).scores


def test_scores_are_those_of_the_filled_maps(benchmark: xr.Dataset, model: Model) -> None:
    given = benchmark["sst_withheld"]
    analysis = sereno.fill(benchmark, model).compute()
    error = (analysis["mean"] - given).values.astype(float)
    known = np.isfinite(error)
    row = sereno.evaluate(benchmark, {"mine": model}).scores["methods"]["mine"]
    assert row["rmse"] == pytest.approx(np.sqrt((error[known] ** 2).mean()), rel=1e-6)
    assert row["mae"] == pytest.approx(np.abs(error[known]).mean(), rel=1e-6)
    sigma = np.sqrt(analysis["std"].values[known].astype(float) ** 2 + model.reconstructor.noise_variance)
    assert row["coverage_1sigma"] == pytest.approx((np.abs(error[known]) < sigma).mean())
    told = sereno.evaluate(benchmark, {"mine": model}, observation_noise=0.5).scores["methods"]["mine"]
    sigma = np.sqrt(analysis["std"].values[known].astype(float) ** 2 + 0.25)
    assert told["coverage_1sigma"] == pytest.approx((np.abs(error[known]) < sigma).mean())
    assert told["rmse"] == row["rmse"]


def test_exactly_the_withheld_pixels_of_the_input_are_scored(benchmark: xr.Dataset, model: Model) -> None:
    given = benchmark["sst_withheld"].notnull()
    result = sereno.evaluate(benchmark, {"mine": model})
    assert result.scores["n_pixels"] == int(given.sum())
    assert result.scores["n_days"] == 5
    np.testing.assert_array_equal(result.withheld, given.sel(time=result.withheld["time"]))
    first, second = (str(day)[:10] for day in result.withheld["time"].values[:2])
    part = sereno.evaluate(benchmark, {"mine": model}, days=f"{first}:{second}")
    assert part.scores["n_pixels"] == int(given.sel(time=slice(first, second)).sum()) > 0
    before = str(result.withheld["time"].values[0] - np.timedelta64(1, "D"))[:10]
    with pytest.raises(InputError, match="sst_withheld holds no pixel on the days to score"):
        sereno.evaluate(benchmark, {"mine": model}, days=f":{before}")


def test_a_withheld_pixel_left_in_the_field_is_hidden_all_the_same(benchmark: xr.Dataset, model: Model) -> None:
    run = {"mine": model.config}  # a model fitted before on such a field is refused
    expected = sereno.evaluate(benchmark, run).scores["methods"]
    for leaked in (benchmark["sst_withheld"], benchmark["sst_withheld"] + 3):
        cube = benchmark.assign(sst=benchmark["sst"].fillna(leaked))
        found = sereno.evaluate(cube, run).scores["methods"]
        assert without_seconds(found) == without_seconds(expected)


@pytest.mark.parametrize("protocol", ["clouds", "hidden-day"])
def test_no_method_is_given_a_withheld_value_or_the_truth(
    sea: xr.Dataset, model: Model, given: Given, protocol: str
) -> None:
    withheld = sereno.evaluate(sea, {"mine": model}, protocol=protocol, days=LATER).withheld
    assert given
    for seen, days in given:
        assert set(seen.data_vars) == {"sst", "water"}
        hidden = withheld.sel(time=days)
        assert seen["sst"].sel(time=days).where(hidden).isnull().all()
        # All else is there: nothing is hidden without need.
        np.testing.assert_array_equal(
            seen["sst"].sel(time=days).where(~hidden), sea["sst"].sel(time=days).where(~hidden)
        )
    scored = np.concatenate([days for _, days in given])
    np.testing.assert_array_equal(np.sort(scored), withheld["time"].values)


def test_neighbours_of_a_hidden_day_stay_in_sight(sea: xr.Dataset, model: Model, given: Given) -> None:
    withheld = sereno.evaluate(sea, {"mine": model}, protocol="hidden-day", share=0.8, days=LATER).withheld
    every_day = withheld["time"].values
    assert (np.diff(every_day) == np.timedelta64(1, "D")).any()  # neighbours are scored, but not hidden together
    reach = np.timedelta64(model.reconstructor.reach, "D")
    for seen, days in given:
        assert seen["sst"].sel(time=days).isnull().all()
        for day in days:
            around = slice(day - reach, day + reach)
            visible, original = (cube["sst"].sel(time=around).where(cube["time"] != day) for cube in (seen, sea))
            np.testing.assert_array_equal(visible, original)


def test_a_method_that_would_cheat_learns_nothing_from_garbage(sea: xr.Dataset, model: Model, given: Given) -> None:
    first = sereno.evaluate(sea, {"mine": model}, days=LATER)
    seen_first, number = list(given), len(given)
    everywhere = first.withheld.reindex(time=sea["time"], fill_value=False)
    spoilt = sea.assign(sst=sea["sst"].where(~everywhere, 350), truth=sea["truth"] - 40)
    second = sereno.evaluate(spoilt, {"mine": model}, days=LATER)
    assert second.withheld.equals(first.withheld)
    for (seen, days), (seen_spoilt, days_spoilt) in zip(seen_first, given[number:], strict=True):
        xr.testing.assert_identical(seen_spoilt, seen)
        np.testing.assert_array_equal(days_spoilt, days)
    # The reference alone has changed.
    truth, moved = (e.scores["truth"]["methods"]["mine"] for e in (first, second))
    assert moved["bias"] == pytest.approx(truth["bias"] + 40, abs=1e-4)
    assert moved["std"] == pytest.approx(truth["std"], abs=1e-4)


@pytest.mark.parametrize("protocol", ["clouds", "hidden-day"])
def test_a_method_fitted_for_scoring_never_sees_what_is_withheld(sea: xr.Dataset, protocol: str) -> None:
    methods = {"mine": with_window("interpolation", 7)}
    first = sereno.evaluate(sea, methods, protocol=protocol, days="2019-02-01:2019-03-31")
    everywhere = first.withheld.reindex(time=sea["time"], fill_value=False)
    spoilt = sea.assign(sst=sea["sst"].where(~everywhere, 350), truth=sea["truth"] - 40)
    second = sereno.evaluate(spoilt, methods, protocol=protocol, days="2019-02-01:2019-03-31")
    one, two = (e.models["mine"].reconstructor.state() for e in (first, second))
    assert one.values == two.values
    xr.testing.assert_identical(one.fields, two.fields)


@pytest.mark.parametrize("protocol", ["clouds", "hidden-day"])
def test_the_same_pixels_are_scored_whatever_the_chunks_and_the_methods(
    sea: xr.Dataset, model: Model, protocol: str
) -> None:
    told = {"protocol": protocol, "seed": 4, "days": LATER}
    one = sereno.evaluate(sea, {"mine": model}, **told)
    other = sereno.evaluate(sea.chunk(time=11), {"clim": "climatology", "mine": model}, relative_to="mine", **told)
    xr.testing.assert_identical(one.withheld, other.withheld)
    mine, same = (e.scores["methods"]["mine"] for e in (one, other))
    assert (mine["effective_resolution"] is None) == (same["effective_resolution"] is None)
    for name in mine.keys() - {"seconds", "ratio", "effective_resolution"}:
        assert mine[name] == pytest.approx(same[name], rel=1e-9), name


def test_the_record_tells_whether_the_training_held_scored_days(sea: xr.Dataset) -> None:
    early = sereno.fit(sea, replace(with_window("climatology", 7), train="2019-01-01:2019-02-28"))
    result = sereno.evaluate(sea, {"early": early, "here": "climatology"}, days="2019-03-10:2019-04-30")
    result = result.scores["fitted"]
    told = {
        name: (entry["training_period_holds_scored_days"], entry["fitted_here"], entry["training_period"])
        for name, entry in result.items()
    }
    everything = "2019-01-01:2019-04-30"
    assert told == {
        "early": (False, False, "2019-01-01:2019-02-28"),
        "here": (True, True, everything),
    }
    assert result["early"]["config"]["train"] == "2019-01-01:2019-02-28"


def test_a_method_fitted_for_scoring_keeps_to_the_years_before_where_they_suffice() -> None:
    cube = flat_sea(4 * 365)
    late = sereno.evaluate(cube, {"clim": "climatology"}, days="2013-01-01:2013-12-31")
    entry = late.scores["fitted"]["clim"]
    first = late.withheld["time"].values[0]
    assert not entry["training_period_holds_scored_days"]
    assert np.datetime64(entry["training_period"].split(":")[1]) == first.astype("datetime64[D]") - 15
    early = sereno.evaluate(cube, {"clim": "climatology"}, days="2011-01-01:2011-12-31")
    assert early.scores["fitted"]["clim"]["training_period_holds_scored_days"]
    given = sereno.evaluate(cube, {"clim": quick("climatology", train="2010:2011")}, days="2013")
    assert given.scores["fitted"]["clim"]["training_period"] == "2010-01-01:2011-12-31"


def test_a_method_that_needs_training_is_not_fitted_for_scoring_by_name(sea: xr.Dataset) -> None:
    with pytest.raises(InputError, match="convlstm needs training"):
        sereno.evaluate(sea, {"net": "convlstm"})


def test_progress_of_scoring_ends_at_one(sea: xr.Dataset, model: Model) -> None:
    told: dict[str, list[float]] = {}
    sereno.evaluate(
        sea,
        {"mine": model},
        protocol="hidden-day",
        days=LATER,
        progress=lambda stage, done: told.setdefault(stage, []).append(done),
    )
    assert told["score mine"] == sorted(told["score mine"])
    assert told["score mine"][-1] == 1


# prepare, save


@pytest.mark.parametrize("name", ["cube.zarr", "cube.nc"])
def test_a_prepared_cube_is_read_back_as_it_was(benchmark: xr.Dataset, tmp_path: Path, name: str) -> None:
    path = write_cube(benchmark.chunk(time=50), tmp_path / name)
    again = sereno.open_cube(path)
    assert again.sizes == benchmark.sizes
    for variable in ("sst", "truth", "sst_withheld", "water"):
        np.testing.assert_array_equal(again[variable], benchmark[variable], err_msg=variable)
        assert again[variable].dtype == benchmark[variable].dtype
    for dim in DIMS:
        np.testing.assert_array_equal(again[dim], benchmark[dim])
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_scores_of_a_prepared_cube_are_those_of_the_cube(benchmark: xr.Dataset, model: Model, tmp_path: Path) -> None:
    again = sereno.open_cube(write_cube(benchmark, tmp_path / "cube.zarr"))
    before, after = (sereno.evaluate(cube, {"mine": model}).scores["methods"] for cube in (benchmark, again))
    assert without_seconds(after) == without_seconds(before)


def test_preparing_what_is_not_a_cube_writes_nothing(sea: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lat: must ascend"):
        write_cube(sea.isel(lat=slice(None, None, -1)), tmp_path / "cube.zarr")
    assert not list(tmp_path.iterdir())


def test_a_model_of_another_version_is_refused_in_words(model: Model, tmp_path: Path) -> None:
    folder = sereno.save(model, tmp_path / "model")
    description = json.loads((folder / "model.json").read_text())
    del description["values"]["method"]["time_scale"]
    (folder / "model.json").write_text(json.dumps(description))
    with pytest.raises(InputError, match=r"model.*time_scale.*fit it again"):
        sereno.load(folder)


def test_whoever_may_read_the_model_may_read_its_weights(model: Model, tmp_path: Path) -> None:
    folder = sereno.save(model, tmp_path / "model")
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1


def test_near_real_time_does_not_fit_a_method_on_a_handful_of_days(sea: xr.Dataset) -> None:
    window = configure("interpolation").model.window
    first = str(sea["time"].values[window - 1])[:10]
    with pytest.raises(InputError, match=rf"the days up to .*fill days from {first} on, or give a fitted model"):
        sereno.fill(sea, "interpolation", nrt=True)
    with pytest.raises(InputError, match=f"give {window} days of input, or give a fitted model"):
        sereno.fill(sea.isel(time=slice(0, 3)), "interpolation", nrt=True)


def test_a_period_observed_on_land_alone_is_no_training_period(sea: xr.Dataset) -> None:
    dry = sea.assign(sst=sea["sst"].where(~sea["water"], np.nan).fillna(290.0).where(~sea["water"]))
    with pytest.raises(InputError, match="holds no observation"):
        sereno.fit(dry, "climatology")


def test_the_output_names_the_institution_of_the_input(sea: xr.Dataset, model: Model) -> None:
    assert product_of(sea.assign_attrs(institution="CNR"), model).attributes == {"institution": "CNR"}
    assert product_of(sea, model).attributes == {}


def test_a_file_of_an_analysis_records_what_made_it(sea: xr.Dataset, model: Model, tmp_path: Path) -> None:
    """As one that `fill_to`, and so the command line, writes does."""
    made_of = sea.assign_attrs(
        sst_type="subskin", institution="an institute", variable="sst_dtime", water_from="a file"
    )
    analysis = sereno.fill(made_of, model, days="2019-04-01:2019-04-02", nrt=True)
    [ours] = sereno.write_analysis(analysis.isel(time=[1]), tmp_path / "ours.nc")
    sereno.fill_to(made_of, model, tmp_path / "theirs.nc", days="2019-04-02", nrt=True)
    with xr.open_dataset(ours) as own, xr.open_dataset(tmp_path / "theirs.nc") as other:
        assert own.attrs.keys() == other.attrs.keys() - {"sereno_fill"}
        for name in own.attrs.keys() - {"uuid", "date_created", "history"}:
            assert own.attrs[name] == other.attrs[name], name
        assert json.loads(own.attrs["sereno_input"]) == {
            "variable": "sst_dtime",
            "water_from": "a file",
            "period": "2019-01-01:2019-04-30",
        }
        assert "near real time" in own.attrs["history"]
        assert own["analysed_sst"].attrs["standard_name"] == "sea_surface_subskin_temperature"


def test_an_analysis_of_another_maker_is_written_without_a_record(
    sea: xr.Dataset, model: Model, tmp_path: Path
) -> None:
    analysis = sereno.fill(sea, model, days="2019-04-01")
    [path] = sereno.write_analysis(analysis.drop_attrs(), tmp_path / "plain.nc")
    with xr.open_dataset(path) as written:
        assert (written.attrs["sereno_config"], json.loads(written.attrs["sereno_model"])) == ("", {})
    with pytest.raises(InputError, match="sereno_model"):
        sereno.write_analysis(analysis.assign_attrs(sereno_model="{"), tmp_path / "torn.nc")
