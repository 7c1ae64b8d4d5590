"""An evaluation: baselines, scores with zeros, strata, the gallery, ratios, near real time, what is refused."""

import json
from dataclasses import fields, is_dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import sereno
from sereno.climatology.heatwaves import heatwave_days
from sereno.config import RunConfig, configure
from sereno.cube import make_cube
from sereno.errors import InputError
from sereno.evaluation.examples import gallery_days, step_of
from sereno.evaluation.metrics import scores_with_zeros, sums_with_zeros
from sereno.evaluation.results import OF_THE_STD
from sereno.evaluation.scoring import rounds
from sereno.evaluation.strata import COUNTS, STRATA
from sereno.evaluation.sums import Block, Tally, tally
from sereno.io.outputs.withheld import read_withheld
from sereno.reconstruct.interpolation.method import Interpolation
from sereno.workflow.models import Model

EARLY, LATER = ":2019-02-28", "2019-03-10:2019-04-12"
"""The days that models are fitted on, and those that they are scored on."""
PROTOCOLS = pytest.mark.parametrize("protocol", ["clouds", "hidden-day"])


def with_window(method: str, window: int, **climatology: Any) -> RunConfig:  # noqa: ANN401
    config = configure(method, train=EARLY)
    settings = replace(config.climatology, **climatology)
    return replace(config, model=replace(config.model, window=window), climatology=settings)


@pytest.fixture(scope="module")
def model(sea: xr.Dataset) -> Model:
    return sereno.fit(sea, with_window("interpolation", 7))


@pytest.fixture(scope="module")
def climatology(sea: xr.Dataset) -> Model:
    return sereno.fit(sea, with_window("climatology", 7))


ONLY_OF_METHODS = {"seconds", "effective_resolution", "gradient_rmse", "gradient_bias", "gradient_pixels"}


# Baselines


@PROTOCOLS
def test_the_baseline_scores_as_the_climatology_does(
    sea: xr.Dataset, model: Model, climatology: Model, protocol: str
) -> None:
    alone = sereno.evaluate(sea, {"mine": model}, protocol=protocol, days=LATER).scores
    beside = sereno.evaluate(sea, {"mine": model, "clim": climatology}, protocol=protocol, days=LATER).scores
    for part in (lambda scores: scores, lambda scores: scores["truth"]):
        expected = part(beside)["methods"]["clim"]
        assert part(alone)["baselines"].keys() == part(beside)["baselines"].keys() == {"climatology"}
        for row in (part(alone)["baselines"]["climatology"], part(beside)["baselines"]["climatology"]):
            assert row.keys() == expected.keys() - ONLY_OF_METHODS
            for name, value in row.items():
                if name.removesuffix("_interval") not in OF_THE_STD | {"ratio"}:  # the method's is calibrated
                    assert flat(value) == pytest.approx(flat(expected[name]), rel=1e-9), name
    assert alone["fitted"]["mine"]["baseline"] == "climatology"


def test_methods_of_different_climatologies_have_a_baseline_each(
    sea: xr.Dataset, model: Model, climatology: Model
) -> None:
    bare = sereno.fit(sea, with_window("climatology", 7, recent_days=0))
    result = sereno.evaluate(sea, {"mine": model, "bare": bare, "clim": climatology}, days=LATER).scores
    assert list(result["baselines"]) == ["climatology of mine, clim", "climatology of bare"]
    assert result["baselines"]["climatology of bare"]["rmse"] == pytest.approx(result["methods"]["bare"]["rmse"])
    assert result["fitted"]["clim"]["baseline"] == "climatology of mine, clim"
    assert list(result["truth"]["baselines"]) == list(result["baselines"])


def test_the_bias_is_prediction_less_observation(sea: xr.Dataset, climatology: Model) -> None:
    warm = sea.assign(sst=sea["sst"] + 2)
    cold = sereno.fit(sea, with_window("climatology", 7, recent_days=0))
    before, after = (
        sereno.evaluate(cube, {"cold": cold}, days=LATER).scores["baselines"]["climatology"] for cube in (sea, warm)
    )
    assert after["bias"] == pytest.approx(before["bias"] - 2, abs=1e-4)


# With zeros


def test_with_zeros_is_a_direct_computation_over_all_cells(sea: xr.Dataset, model: Model) -> None:
    result = sereno.evaluate(sea, {"mine": model}, protocol="hidden-day", share=0.05, days=LATER)
    days = result.withheld["time"].values
    analysis = {
        day: sereno.fill(sea.assign(sst=sea["sst"].where(sea["time"] != day)), model, days=str(day)[:10]).compute()
        for day in days
    }
    predicted, observed = [], []
    for day in days:
        base = analysis[day]["climatology"].values[0].astype(float)
        shown = result.withheld.sel(time=day).values
        predicted.append(np.where(shown, analysis[day]["mean"].values[0] - base, 0.0))
        observed.append(np.where(shown, sea["sst"].sel(time=day).values - base, 0.0))
    prediction, anomaly = np.stack(predicted), np.stack(observed)
    residual, total = ((prediction - anomaly) ** 2).sum(), ((anomaly - anomaly.mean()) ** 2).sum()
    row = result.scores["methods"]["mine"]
    assert row["rmse_with_zeros"] == pytest.approx(np.sqrt(residual / anomaly.size), rel=1e-5)
    assert row["r2_with_zeros"] == pytest.approx(1 - residual / total, rel=1e-5)
    assert row["rmse_with_zeros"] < row["rmse"]
    baseline = result.scores["baselines"]["climatology"]
    assert baseline["rmse_with_zeros"] == pytest.approx(np.sqrt((anomaly**2).mean()), rel=1e-5)
    assert baseline["r2_with_zeros"] == pytest.approx(1 - (anomaly**2).sum() / total, rel=1e-5, abs=1e-7)


def test_only_hidden_days_are_scored_with_zeros(sea: xr.Dataset, model: Model) -> None:
    result = sereno.evaluate(sea, {"mine": model}, days="2019-04").scores
    rows = [*result["methods"].values(), *result["baselines"].values()]
    assert not any("zeros" in name for row in rows for name in row)


def test_what_nobody_observed_flatters_the_scores_with_zeros() -> None:
    rng = np.random.default_rng(0)
    reference, scored = rng.normal(290, 1, (2, 4, 4)), np.ones((2, 4, 4), bool)
    mean, base = reference + 0.5, np.full(reference.shape, 290.0)
    whole = scores_with_zeros(sums_with_zeros(mean, reference, base, scored))
    scored[:, :2] = False
    half = scores_with_zeros(sums_with_zeros(mean, reference, base, scored))
    assert whole.rmse_with_zeros == pytest.approx(0.5)
    assert half.rmse_with_zeros == pytest.approx(0.5 / np.sqrt(2))


# The result


def test_attributes_dictionary_tables_and_files_say_the_same(sea: xr.Dataset, model: Model, tmp_path: Path) -> None:
    made = sereno.evaluate(sea, {"mine": model, "bare": "linear"}, share=0.1, days=LATER)
    table = made.results.truth
    assert table is not None
    assert made.results.judge == ("truth", table)
    assert table.best == min(("mine", "bare"), key=lambda label: table.methods[label].rmse)
    assert made.scores == made.to_dict()
    found = made.scores["truth"]["methods"]["mine"]
    assert found["rmse"] == table.methods["mine"].rmse
    assert found["ratio"]["crps_interval"] == list(table.methods["mine"].ratio.crps_interval)
    assert made.scores["fitted"]["bare"]["fitted_here"] is made.results.fitted["bare"].fitted_here is True
    paths = made.save(tmp_path / "scores")
    written = json.loads(paths[0].read_text())
    assert written.keys() == made.scores.keys()
    assert written["truth"]["methods"]["mine"]["rmse_interval"] == found["rmse_interval"]
    for name in ("scores", "strata", "daily"):
        pd.testing.assert_frame_equal(
            pd.read_csv(tmp_path / "scores" / f"{name}.csv"), made.to_dataframe(name), check_dtype=False
        )
    assert repr(made).startswith("<Evaluation of mine, bare: ")
    for text in (f"{table.methods['mine'].rmse:.3f}", "withheld observations", "truth", "bare"):
        assert text in made._repr_html_()


# Merging, rounds


def block(seed: int = 0, days: int = 6, shape: tuple[int, int] = (9, 40)) -> tuple[Block, np.ndarray]:
    """An analysis of some days, a reference beside it, and random bins."""
    rng = np.random.default_rng(seed)
    water = np.ones(shape, bool)
    water[3:5, 5:8] = False
    reference = np.where(water, rng.normal(290, 1, (days, *shape)), np.nan)
    made = {
        "days": np.datetime64("2020-01-01", "ns") + np.arange(days) * np.timedelta64(3, "D"),
        "lat": 40 + 0.1 * np.arange(shape[0]),
        "lon": 0.1 * np.arange(shape[1]),
        "mean": reference + rng.normal(0, 0.3, reference.shape),
        "std": rng.uniform(0.1, 0.5, reference.shape),
        "climatology": np.full(reference.shape, 290.0),
        "spread": np.ones(shape),
        "scored": water & (rng.random(reference.shape) < 0.9),
        "bins": {n: rng.integers(0, k, reference.shape) for n, k in COUNTS.items()},
        "water": water,
    }
    return Block(**made), reference


def summed(part: Block, reference: np.ndarray) -> Tally:
    return tally(part, reference, noise_variance=0.01, whole_maps=False, segment_cells=16)


def flat(value: Any) -> list[float]:  # noqa: ANN401
    """All numbers of a tally in order."""
    if is_dataclass(value):
        return [x for each in fields(value) for x in flat(getattr(value, each.name))]
    if isinstance(value, dict):
        return [x for each in value.values() for x in flat(each)]
    if isinstance(value, list):
        return [x for each in value for x in flat(each)]
    return np.ravel(value).astype(float).tolist()


def test_tallies_merge_in_any_order() -> None:
    whole, reference = block()
    pieces = [slice(0, 2), slice(2, 3), slice(3, 6)]
    parts = [summed(whole.part(piece), reference[piece]) for piece in pieces]
    expected = flat(summed(whole, reference))
    assert parts[0].spectrum.segments > 0
    assert parts[0].gradient.pixels > 0
    for one, two, three in permutations(parts):
        np.testing.assert_allclose(flat((one + two) + three), expected, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(flat(one + (two + three)), expected, rtol=1e-9, atol=1e-9)
    assert flat(parts[0] + Tally()) == flat(Tally() + parts[0]) == flat(parts[0])


def test_a_round_keeps_hidden_days_out_of_each_others_reach() -> None:
    days = np.datetime64("2020-01-01") + np.array([0, 1, 2, 5, 9, 10, 30])
    parted = rounds(days, protocol="hidden-day", reach=4)
    np.testing.assert_array_equal(np.sort(np.concatenate(parted)), days)
    assert all((np.diff(part) > np.timedelta64(4, "D")).all() for part in parted)
    assert len(rounds(days, protocol="clouds", reach=4)) == 1


# Strata


@PROTOCOLS
def test_strata_hold_every_scored_pixel_once_for_every_method(
    sea: xr.Dataset, model: Model, climatology: Model, protocol: str
) -> None:
    result = sereno.evaluate(sea, {"mine": model, "clim": climatology}, protocol=protocol, share=0.1, days=LATER)
    result = result.scores
    for part in (result, result["truth"]):
        assert set(part["strata"]) == set(STRATA) - {"marine_heatwave"}  # four months tell no percentile
        for rows in part["strata"].values():
            for method in ("mine", "clim"):
                counts = [row[method]["n_pixels"] for row in rows.values()]
                assert sum(counts) == result["n_pixels"]
                squares = [row[method]["rmse"] ** 2 * row[method]["n_pixels"] for row in rows.values()]
                pooled = np.sqrt(sum(squares) / sum(counts))
                assert pooled == pytest.approx(part["methods"][method]["rmse"], rel=1e-9)
    if protocol == "hidden-day":
        assert list(result["strata"]["cloud_cover"]) == ["100 %"]
        assert list(result["strata"]["distance_to_observation"]) == ["nothing visible"]
        assert "1 day" in result["strata"]["days_since_observation"]  # neighbours stay in sight


@PROTOCOLS
def test_values_under_withheld_pixels_move_scores_through_the_reference_alone(
    sea: xr.Dataset, model: Model, protocol: str
) -> None:
    # Under hidden-day the scored days see each other, so a single one is scored, the clearest.
    shown = sea["sst"].sel(time=slice("2019-03-10", None)).notnull().sum(("lat", "lon"))
    days = str(shown["time"].values[int(shown.values.argmax())])[:10] if protocol == "hidden-day" else LATER
    first = sereno.evaluate(sea, {"mine": model}, protocol=protocol, share=0.2, days=days)
    everywhere = first.withheld.reindex(time=sea["time"], fill_value=False)
    spoilt = sea.assign(sst=sea["sst"].where(~everywhere, sea["sst"] + 7))
    second = sereno.evaluate(spoilt, {"mine": model}, protocol=protocol, share=0.2, days=days)
    one, two = (e.scores["truth"] for e in (first, second))
    assert two["strata"] == one["strata"]  # the truth has not moved, so nothing has
    assert two["baselines"] == one["baselines"]
    for name, rows in first.scores["strata"].items():
        moved = second.scores["strata"][name]
        assert list(moved) == list(rows)
        for label, row in rows.items():
            assert moved[label]["mine"]["n_pixels"] == row["mine"]["n_pixels"]
            assert moved[label]["mine"]["bias"] == pytest.approx(row["mine"]["bias"] - 7, abs=1e-4)
            assert moved[label]["mine"]["std"] == pytest.approx(row["mine"]["std"], abs=1e-4)
    for variable in ("mean", "std", "climatology"):
        np.testing.assert_array_equal(second.examples["mine"][variable], first.examples["mine"][variable])


@PROTOCOLS
def test_strata_do_not_depend_on_chunks(sea: xr.Dataset, model: Model, protocol: str) -> None:
    one, other = (
        sereno.evaluate(cube, {"mine": model}, protocol=protocol, share=0.05, seed=3, days=LATER).scores["strata"]
        for cube in (sea, sea.chunk(time=7))
    )
    for name, rows in one.items():
        assert list(rows) == list(other[name])
        for label, row in rows.items():
            assert row["mine"] == pytest.approx(other[name][label]["mine"], rel=1e-6)


# The gallery, maps and days


@PROTOCOLS
def test_the_gallery_holds_the_analysis_of_scored_days_the_middling_one_among_them(
    sea: xr.Dataset, model: Model, protocol: str
) -> None:
    result = sereno.evaluate(sea, {"mine": model}, protocol=protocol, share=0.9, days=LATER)
    example, days = result.examples["mine"], result.withheld["time"]
    assert days.size > example.sizes["time"] == 8
    assert (np.diff(example["time"].values) > np.timedelta64(0)).all()
    covered = ((sea["sst"].notnull() & sea["water"]).sum(("lat", "lon")) / sea["water"].sum()).sel(time=days)
    chosen = covered.sel(time=example.attrs["middling_day"])
    assert float(abs(chosen - covered.median())) == float(abs(covered - covered.median()).min())
    assert np.datetime64(example.attrs["middling_day"]) in example["time"].values
    np.testing.assert_allclose(example["coverage"], covered.sel(time=example["time"]))
    for name, expected in (("target", sea["sst"]), ("truth", sea["truth"]), ("withheld", result.withheld)):
        np.testing.assert_array_equal(example[name], expected.sel(time=example["time"]))
    seen = sea.assign(sst=sea["sst"].where(~result.withheld.reindex(time=sea["time"], fill_value=False)))
    for day in example["time"].values[[0, -1]]:
        if protocol == "hidden-day":
            seen = sea.assign(sst=sea["sst"].where(sea["time"] != day))
        expected = sereno.fill(seen, model, days=str(day)[:10]).compute()
        for name in ("mean", "std", "climatology"):
            np.testing.assert_allclose(example[name].sel(time=[day]), expected[name], atol=1e-4)


def test_the_gallery_spreads_over_the_record_and_over_coverage() -> None:
    days = np.datetime64("2020-01-01", "ns") + np.arange(400) * np.timedelta64(1, "D")
    covered = np.random.default_rng(0).random(400)
    chosen = gallery_days(days, covered)
    assert len(np.unique(chosen)) == len(chosen) == 8
    at = np.searchsorted(days, chosen)
    bands = np.searchsorted(np.quantile(covered, np.arange(1, 7) / 7), covered[at])
    assert len(np.unique(bands)) == 7
    assert np.diff(at).max() < 150
    np.testing.assert_array_equal(gallery_days(days[:5], covered[:5]), days[:5])


def test_a_large_grid_is_thinned_for_the_gallery() -> None:
    assert step_of(xr.DataArray(np.ones((10, 1000)))) == 1
    assert step_of(xr.DataArray(np.ones((2001, 10)))) == 3


def test_maps_and_days_are_those_of_the_filled_maps(sea: xr.Dataset, model: Model) -> None:
    for cube, against in ((sea, "truth"), (sea.drop_vars("truth"), "sst")):
        result = sereno.evaluate(cube, {"mine": model}, days=LATER)
        mask = result.withheld
        seen = sea.assign(sst=sea["sst"].where(~mask.reindex(time=sea["time"], fill_value=False)))
        analysis = sereno.fill(seen, model)["mean"].sel(time=mask["time"]).compute()
        error = (analysis.astype(float) - sea[against].sel(time=mask["time"])).where(mask)
        assert result.maps.attrs["against"] == {"truth": "truth", "sst": "observations"}[against]
        for found, dim in ((result.maps, "time"), (result.daily, ("lat", "lon"))):
            mine = found.sel({"method": "mine"})  # by a mapping: sel has a keyword of that name
            np.testing.assert_allclose(mine["rmse"], np.sqrt((error**2).mean(dim)), atol=1e-4)
            np.testing.assert_allclose(mine["bias"], error.mean(dim), atol=1e-4)
            np.testing.assert_array_equal(mine["pixels"], mask.sum(dim))
        table = result.scores["truth"] if against == "truth" else result.scores
        crps = (result.daily["crps"] * result.daily["pixels"]).sum() / mask.sum()
        assert float(crps) == pytest.approx(table["methods"]["mine"]["crps"])


# Ratios and near real time


def test_ratios_are_to_the_method_that_is_named(sea: xr.Dataset, model: Model, climatology: Model) -> None:
    methods = {"mine": model, "clim": climatology}
    default = sereno.evaluate(sea, methods, days=LATER).scores
    assert default["relative_to"] == "climatology"
    told = sereno.evaluate(sea, methods, days=LATER, relative_to="mine").scores
    assert told["relative_to"] == "mine"
    for part in (told, told["truth"]):
        rows = part["methods"]
        assert rows["mine"]["ratio"] == {"rmse": 1, "rmse_interval": [1, 1], "crps": 1, "crps_interval": [1, 1]}
        for name in ("rmse", "crps"):
            ratio = rows["clim"]["ratio"]
            assert ratio[name] == pytest.approx(rows["clim"][name] / rows["mine"][name])
            assert ratio[f"{name}_interval"][0] < ratio[name] < ratio[f"{name}_interval"][1]
    assert told["methods"]["mine"]["rmse_interval"] == default["methods"]["mine"]["rmse_interval"]
    with pytest.raises(InputError, match=r"relative to 'moon'.*one of the methods \(mine, clim\)"):
        sereno.evaluate(sea, methods, days=LATER, relative_to="moon")


@PROTOCOLS
def test_near_real_time_sees_nothing_of_the_days_to_come(sea: xr.Dataset, model: Model, protocol: str) -> None:
    days = "2019-04-01:2019-04-20"
    told = {"protocol": protocol, "nrt": True, "days": days}
    result = sereno.evaluate(sea, {"mine": model}, **told)
    assert result.scores["nrt"] is True
    squares, errors = 0.0, 0
    everywhere = result.withheld.reindex(time=sea["time"], fill_value=False)
    for day in result.withheld["time"].values:
        hidden = everywhere if protocol == "clouds" else everywhere & (sea["time"] == day)
        seen = sea.assign(sst=sea["sst"].where(~hidden)).sel(time=slice(None, day))
        analysis = sereno.fill(seen, model, days=str(day)[:10], nrt=True).compute()
        error = (analysis["mean"] - sea["sst"].sel(time=[day])).where(result.withheld.sel(time=[day]))
        squares, errors = squares + float((error.astype(float) ** 2).sum()), errors + int(error.notnull().sum())
    assert result.scores["methods"]["mine"]["rmse"] == pytest.approx(np.sqrt(squares / errors), rel=1e-5)
    after = sea.assign(sst=sea["sst"].where(sea["time"] <= np.datetime64("2019-04-20"), 350))
    assert sereno.evaluate(after, {"mine": model}, **told).scores["strata"] == result.scores["strata"]


# An index read again


@PROTOCOLS
def test_an_index_read_again_gives_the_same_scores(
    sea: xr.Dataset, model: Model, protocol: str, tmp_path: Path
) -> None:
    first = sereno.evaluate(sea, {"mine": model}, protocol=protocol, seed=5, share=0.2, days=LATER)
    first.save(tmp_path)
    again = sereno.evaluate(sea, {"mine": model}, withheld=read_withheld(tmp_path / "withheld.nc"))
    xr.testing.assert_identical(again.withheld, first.withheld)
    ours, theirs = ({**e.scores, "methods": {}, "truth": {}, "withheld": ""} for e in (again, first))
    assert ours == theirs
    assert (again.scores["protocol"], again.scores["seed"]) == (protocol, 5)
    assert again.scores["withheld"] == f"read from {tmp_path / 'withheld.nc'}"
    part = sereno.evaluate(sea, {"mine": model}, withheld=first.withheld, days="2019-04")
    assert part.withheld.equals(first.withheld.sel(time="2019-04"))


def test_an_index_that_does_not_fit_is_refused(sea: xr.Dataset, model: Model) -> None:
    good = (sea["sst"].notnull() & sea["water"]).isel(time=slice(80, 90), drop=False)
    strange = {
        "3 of its days, 2018-12-29 first, are not days of the input": good.assign_coords(
            time=np.datetime64("2018-12-29", "ns") + np.arange(10) * np.timedelta64(1, "D")
        ),
        "its lat is not that of the input": good.assign_coords(lat=good["lat"] + 0.01),
        "its lon is not that of the input": good.isel(lon=slice(1, None)),
        "are not observed in the input": xr.ones_like(good),
        "no pixel is marked": xr.zeros_like(good),
        "its dimensions are": good.isel(time=0, drop=True),
        "its protocol is 'moon'": good.assign_attrs(protocol="moon"),
    }
    for message, index in strange.items():
        with pytest.raises(InputError, match=f"withheld: .*{message}"):
            sereno.evaluate(sea, {"mine": model}, withheld=index)
    one = good.copy(data=np.zeros(good.shape, bool))
    land = np.argwhere(~sea["water"].values)[0]
    one[4, land[0], land[1]] = True
    with pytest.raises(InputError, match="1 of 1 marked pixels, 2019-03-26 first, are not observed"):
        sereno.evaluate(sea, {"mine": model}, withheld=one)


def test_a_file_that_is_no_index_is_refused(sea: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_withheld(tmp_path / "gone.nc")
    (tmp_path / "text.nc").write_text("not NetCDF")
    with pytest.raises(InputError, match=r"text.nc: cannot be read as NetCDF"):
        read_withheld(tmp_path / "text.nc")
    sea[["sst"]].to_netcdf(tmp_path / "sea.nc")
    with pytest.raises(InputError, match="holds no index of withheld pixels"):
        read_withheld(tmp_path / "sea.nc")


# Days on which a method fails


@pytest.mark.parametrize("how", ["raises", "leaves a gap", "raises at once", "other days"])
def test_a_method_that_errs_says_on_which_day(
    sea: xr.Dataset, model: Model, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = "2019-04-01:2019-04-20"
    scored = sereno.evaluate(sea, {"mine": model}, days=days, share=1).withheld["time"].values
    bad, honest = scored[3], Interpolation.reconstruct

    def spoilt(cube: xr.Dataset, wanted: np.ndarray) -> xr.Dataset:
        if how == "raises at once" and bad in wanted:
            raise ValueError("singular matrix")
        analysis = honest(model.reconstructor.inner, cube, wanted)
        if how == "other days":
            return analysis.assign_coords(time=analysis["time"] + np.timedelta64(1, "D"))

        def spoil(values: np.ndarray, at: np.ndarray) -> np.ndarray:
            if how == "raises" and (at == bad).any():
                raise ValueError("singular matrix")
            return np.where((at == bad) & (how == "leaves a gap"), np.nan, values).astype(np.float32)

        at = xr.DataArray(wanted, dims="time", coords={"time": wanted}).chunk(time=analysis.chunksizes["time"])
        mean = xr.apply_ufunc(spoil, analysis["mean"], at, dask="parallelized", output_dtypes=[np.float32])
        return analysis.assign(mean=mean.transpose(*analysis["std"].dims))

    monkeypatch.setattr(Interpolation, "reconstruct", lambda _self, cube, wanted: spoilt(cube, wanted))
    reasons = {"leaves a gap": "is not finite", "other days": "its analysis is not of the time that was asked for"}
    named = "" if how == "other days" else f"{str(bad)[:10]}"
    with pytest.raises(InputError, match=f"mine: .*{named}.*{reasons.get(how, 'ValueError: singular matrix')}"):
        sereno.evaluate(sea, {"mine": model}, days=days, share=1)


# What a saved model has seen


@PROTOCOLS
def test_a_model_that_was_fitted_on_what_is_withheld_is_refused(sea: xr.Dataset, protocol: str) -> None:
    whole = replace(with_window("climatology", 7), train=None)
    seen = sereno.fit(sea, whole)
    with pytest.raises(InputError, match=r"mine: it was fitted on 2019-01-01:2019-04-30.*`train`.*by its name"):
        sereno.evaluate(sea, {"mine": seen}, protocol=protocol)
    chosen = replace(whole, train="2019-01-01:2019-02-20", valid="2019-03-10:2019-04-30")
    with pytest.raises(InputError, match="mine: it was selected on 2019-03-10:2019-04-30"):
        sereno.evaluate(sea, {"mine": sereno.fit(sea, chosen)}, protocol=protocol, days=LATER)
    assert sereno.evaluate(sea, {"mine": whole}, protocol=protocol).scores["fitted"]["mine"]["fitted_here"]


def test_a_model_may_have_been_fitted_on_days_whose_withheld_pixels_the_input_keeps_apart(sea: xr.Dataset) -> None:
    shown = sea["sst"].notnull() & sea["water"] & (sea["time"].dt.day == 20)
    hidden = shown & (xr.zeros_like(sea["lon"]) + np.arange(sea.sizes["lon"]) % 3 == 0)
    apart = sea.assign(sst=sea["sst"].where(~hidden), sst_withheld=sea["sst"].where(hidden))
    fitted = sereno.fit(apart, replace(with_window("climatology", 7), train=None))
    result = sereno.evaluate(apart, {"mine": fitted})
    assert result.scores["fitted"]["mine"]["training_period_holds_scored_days"]
    again = sereno.evaluate(apart, {"mine": fitted}, withheld=result.withheld)
    assert again.scores["methods"]["mine"]["rmse"] == result.scores["methods"]["mine"]["rmse"]
    with pytest.raises(InputError, match="mine: it was fitted on"):
        sereno.evaluate(sea, {"mine": fitted}, withheld=result.withheld)


# Marine heatwaves


def test_heatwaves_are_a_stratum_where_the_truth_is_long_enough() -> None:
    rng = np.random.default_rng(0)
    time = pd.date_range("2010-01-01", periods=6 * 365)
    truth = 290 + 5 * np.cos(2 * np.pi * time.day_of_year.values / 365.25)[:, None, None] + np.zeros((1, 6, 8))
    truth += np.cumsum(rng.normal(0, 0.3, len(time)))[:, None, None]
    values = np.where(rng.random(truth.shape) < 0.5, truth, np.nan).astype(np.float32)
    grid = {"lat": 40 + 0.1 * np.arange(6), "lon": 0.1 * np.arange(8), "water": np.ones((6, 8), bool)}
    cube = make_cube(values, time=time, **grid, extra={"truth": truth.astype(np.float32)})
    result = sereno.evaluate(cube, {"clim": "climatology"}, days="2010:2015", share=0.1)
    days = result.withheld["time"].values
    expected = heatwave_days(cube["truth"], days)
    assert expected is not None
    counts = {label: row["clim"]["n_pixels"] for label, row in result.scores["strata"]["marine_heatwave"].items()}
    hot = int((expected & result.withheld.values).sum())
    assert hot > 0
    assert counts == {"none": result.scores["n_pixels"] - hot, "heatwave": hot}
