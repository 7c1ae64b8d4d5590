"""Baselines, scores with zeros and strata of an evaluation."""

from collections.abc import Callable
from dataclasses import astuple, replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import xarray as xr

import sereno
from sereno.config import RunConfig, configure
from sereno.metrics import Sums, SumsWithZeros, scores_with_zeros, sums_with_zeros
from sereno.scoring import Tally, rounds
from sereno.strata import COUNTS, STRATA
from sereno.workflow import Model

PROTOCOLS = pytest.mark.parametrize("protocol", ["clouds", "hidden-day"])


def with_window(method: str, window: int, **climatology: Any) -> RunConfig:  # noqa: ANN401
    config = configure(method)
    settings = replace(config.climatology, **climatology)
    return replace(config, model=replace(config.model, window=window), climatology=settings)


@pytest.fixture(scope="module")
def model(sea: xr.Dataset) -> Model:
    return sereno.fit(sea, with_window("interpolation", 7))


@pytest.fixture(scope="module")
def climatology(sea: xr.Dataset) -> Model:
    return sereno.fit(sea, with_window("climatology", 7))


def without(row: dict[str, float], *names: str) -> dict[str, float]:
    return {name: value for name, value in row.items() if name not in names}


# Baselines


@PROTOCOLS
def test_the_baseline_scores_as_the_climatology_does(
    sea: xr.Dataset, model: Model, climatology: Model, protocol: str
) -> None:
    alone = sereno.evaluate(sea, {"mine": model}, protocol=protocol).scores
    beside = sereno.evaluate(sea, {"mine": model, "clim": climatology}, protocol=protocol).scores
    for part in (lambda scores: scores, lambda scores: scores["truth"]):
        expected = without(part(beside)["methods"]["clim"], "seconds")
        assert part(alone)["baselines"].keys() == part(beside)["baselines"].keys() == {"climatology"}
        assert part(alone)["baselines"]["climatology"] == pytest.approx(expected, rel=1e-9)
        assert part(beside)["baselines"]["climatology"] == pytest.approx(expected, rel=1e-9)
    assert alone["fitted"]["mine"]["baseline"] == "climatology"


def test_methods_of_different_climatologies_have_a_baseline_each(
    sea: xr.Dataset, model: Model, climatology: Model
) -> None:
    bare = sereno.fit(sea, with_window("climatology", 7, recent_days=0))
    result = sereno.evaluate(sea, {"mine": model, "bare": bare, "clim": climatology}).scores
    assert list(result["baselines"]) == ["climatology of mine, clim", "climatology of bare"]
    assert result["baselines"]["climatology of bare"]["rmse"] == pytest.approx(result["methods"]["bare"]["rmse"])
    assert result["fitted"]["clim"]["baseline"] == "climatology of mine, clim"
    assert list(result["truth"]["baselines"]) == list(result["baselines"])


def test_the_bias_is_prediction_less_observation(sea: xr.Dataset, climatology: Model) -> None:
    warm = sea.assign(sst=sea["sst"] + 2)
    cold = sereno.fit(sea, with_window("climatology", 7, recent_days=0))
    row = sereno.evaluate(warm, {"cold": cold}).scores["baselines"]["climatology"]
    assert -2.5 < row["bias"] < -1.5


# With zeros


def test_with_zeros_is_a_direct_computation_over_all_cells(sea: xr.Dataset, model: Model) -> None:
    result = sereno.evaluate(sea, {"mine": model}, protocol="hidden-day", share=0.05)
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
    result = sereno.evaluate(sea, {"mine": model}, days="2019-02").scores
    rows = [*result["methods"].values(), *result["baselines"].values()]
    assert not any("zeros" in name for row in rows for name in row)


def test_what_nobody_observed_flatters_the_scores_with_zeros() -> None:
    rng = np.random.default_rng(0)
    reference, scored = rng.normal(290, 1, (2, 4, 4)), np.ones((2, 4, 4), bool)
    mean, base = reference + 0.5, np.full(reference.shape, 290.0)
    whole = scores_with_zeros(sums_with_zeros(mean, reference, base, scored))
    scored[:, :2] = False
    half = scores_with_zeros(sums_with_zeros(mean, reference, base, scored))
    assert whole["rmse_with_zeros"] == pytest.approx(0.5)
    assert half["rmse_with_zeros"] == pytest.approx(0.5 / np.sqrt(2))


# Merging, rounds


def tally(seed: int) -> Tally:
    rng = np.random.default_rng(seed)

    def drawn(kind: Callable[..., Any]) -> Any:  # noqa: ANN401
        return kind(*rng.normal(size=len(astuple(kind()))))

    zeros = (drawn(SumsWithZeros), drawn(SumsWithZeros))
    return Tally(drawn(Sums), drawn(Sums), *zeros, {n: [drawn(Sums) for _ in range(k)] for n, k in COUNTS.items()})


def flat(one: Tally) -> list[float]:
    first = [one.method, one.baseline, one.method_with_zeros, one.baseline_with_zeros]
    return [value for part in [*first, *(s for n in STRATA for s in one.strata[n])] for value in astuple(part)]


def test_tallies_merge_in_any_order() -> None:
    parts = [tally(seed) for seed in range(3)]
    expected = np.sum([flat(part) for part in parts], axis=0)
    for order in permutations(parts):
        one, two, three = order
        np.testing.assert_allclose(flat((one + two) + three), expected, atol=1e-12)
        np.testing.assert_allclose(flat(one + (two + three)), expected, atol=1e-12)
    assert flat(parts[0] + Tally()) == flat(parts[0])


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
    result = sereno.evaluate(sea, {"mine": model, "clim": climatology}, protocol=protocol, share=0.1).scores
    for part in (result, result["truth"]):
        assert list(part["strata"]) == list(STRATA)
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
    clearest = sea["time"].values[int(sea["sst"].notnull().sum(("lat", "lon")).values.argmax())]
    days = str(clearest)[:10] if protocol == "hidden-day" else None
    first = sereno.evaluate(sea, {"mine": model}, protocol=protocol, share=0.1, days=days)
    everywhere = first.withheld.reindex(time=sea["time"], fill_value=False)
    spoilt = sea.assign(sst=sea["sst"].where(~everywhere, sea["sst"] + 7))
    second = sereno.evaluate(spoilt, {"mine": model}, protocol=protocol, share=0.1, days=days)
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
        sereno.evaluate(cube, {"mine": model}, protocol=protocol, share=0.05, seed=3).scores["strata"]
        for cube in (sea, sea.chunk(time=7))
    )
    for name, rows in one.items():
        assert list(rows) == list(other[name])
        for label, row in rows.items():
            assert row["mine"] == pytest.approx(other[name][label]["mine"], rel=1e-6)


# The example


@PROTOCOLS
def test_the_example_is_a_scored_day_of_middling_coverage(sea: xr.Dataset, model: Model, protocol: str) -> None:
    result = sereno.evaluate(sea, {"mine": model}, protocol=protocol)
    example = result.examples["mine"]
    days = result.withheld["time"]
    covered = (sea["sst"].notnull() & sea["water"]).sum(("lat", "lon")).sel(time=days)
    chosen = covered.sel(time=example["time"].values[0])
    assert float(abs(chosen - covered.median())) == float(abs(covered - covered.median()).min())
    np.testing.assert_array_equal(example["target"], sea["sst"].sel(time=example["time"]))
    seen = sea.assign(sst=sea["sst"].where(~result.withheld.reindex(time=sea["time"], fill_value=False)))
    if protocol == "hidden-day":
        seen = sea.assign(sst=sea["sst"].where(sea["time"] != example["time"].values[0]))
    expected = sereno.fill(seen, model, days=str(example["time"].values[0])[:10]).compute()
    np.testing.assert_allclose(example["mean"], expected["mean"], atol=1e-4)
    np.testing.assert_allclose(example["climatology"], expected["climatology"], atol=1e-4)
