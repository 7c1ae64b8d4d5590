"""The method `unet`: its first guess, its samples, its weights."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

import sereno
from sereno.climatology import fit_climatology
from sereno.config import ClimatologyConfig, ConvLSTMUNet, UNet, parse_config
from sereno.config import GriddedInterpolation as GriddedInterpolationConfig
from sereno.errors import InputError
from sereno.grids.cells import cell_size
from sereno.nets.corrector import corrector
from sereno.reconstruct.day_blocks import by_block
from sereno.reconstruct.oi_grid import method as oi_grid_method
from sereno.reconstruct.oi_grid import regions as gridded_windows
from sereno.reconstruct.oi_grid.covariance import GriddedCovariance
from sereno.reconstruct.oi_grid.method import GriddedInterpolation
from sereno.reconstruct.oi_grid.regions import RUN, Region, runs
from sereno.reconstruct.oi_grid.solver import Term
from sereno.reconstruct.uncertainty.spread import Spread
from sereno.reconstruct.unet import method as unet_method
from sereno.reconstruct.unet.day_windows import days_solved, margin, placed
from sereno.reconstruct.unet.ensemble import packaged
from sereno.reconstruct.unet.first_guess import FirstGuess, spread_of, window_scalars
from sereno.reconstruct.unet.method import UNetReconstructor
from sereno.reconstruct.unet.samples import Pool, days_drawn, pool, turned
from sereno.training.archive import Archive
from sereno.training.samples import CorrectorSample
from sereno.training.train import train_on
from sereno.training.windows import Drawn

WINDOW = 7
TERMS = (Term(0.7, 60.0, 5.0), Term(0.3, 20.0, 3.0), Term(0.04, 90.0, 0.0, False))


@pytest.fixture(scope="module")
def anomalies(sea: xr.Dataset) -> xr.Dataset:
    climatology = fit_climatology(sea, ClimatologyConfig())
    return climatology.anomalies(sea).compute()


CONFIGS = [UNet(window=WINDOW, tile=(16, 16), network=network) for network in ("all-days", "central-day")]


def drawn(anomalies: xr.Dataset, count: int, config: UNet = CONFIGS[0]) -> list[Any]:
    windows = Drawn(Archive.of(anomalies), replace(config, window=days_drawn(config)), 1, count)
    return [window for window in windows.of_epoch(0) if window.hidden.any()]


def test_the_numbers_of_a_window_follow_from_the_covariance() -> None:
    numbers = window_scalars(
        [Term(1.0, 20.0, 2.0), Term(0.09, 50.0, 0.0, False)], noise=0.2, side=5.0, day_of_year=365.25 / 4
    )
    correlations = [np.exp(-0.5 * (cells * 5 / 20) ** 2) for cells in (2, 8, 24)]
    times = [(1 + lag) * np.exp(-lag) for lag in np.sqrt(3) * np.array([1, 4]) / 2]
    assert np.allclose(numbers, [0.2, 0.3, 1.0, *correlations, *times, np.log(5) / 3, 1, 0], atol=1e-6)


def test_first_guess_takes_stated_errors_at_their_word(anomalies: xr.Dataset) -> None:
    """A pixel whose error is stated to be huge is as good as not seen."""
    region, guess = Region.of(anomalies), FirstGuess(TERMS, 0.15, typical_error=0.15)
    values = anomalies["anomaly"].values[40 : 40 + WINDOW].copy()
    solver, error = guess.solver(region, WINDOW), np.full(values.shape, 0.15, np.float32)
    plain = guess.analyse(solver, values, region)
    assert np.array_equal(guess.analyse(solver, values, region, error), plain)
    error[:, ::2], hidden = 1e4, values.copy()
    hidden[:, ::2] = np.nan
    doubted, unseen = guess.analyse(solver, values, region, error), guess.analyse(solver, hidden, region)
    assert np.std(doubted - unseen) < 0.2 * np.std(plain - unseen)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.network)
def test_samples_show_nothing_of_what_is_hidden(anomalies: xr.Dataset, config: UNet) -> None:
    windows, region = drawn(anomalies, 6, config), Region.of(anomalies)
    guess = FirstGuess(TERMS, 0.15)
    samples = pool(windows, guess, region, config=replace(config, past_fraction=0.5), seed=3)
    days = [int(sample.day) for sample in samples]
    assert set(days) == {WINDOW // 2} if config.network == "central-day" else {WINDOW // 2, WINDOW - 1}
    for window, sample, day in zip(windows, samples, days, strict=True):
        values, first, truth = sample.values, sample.guess, sample.truth
        assert values.shape == first.shape == (WINDOW, 16, 16)
        assert np.isnan(values[day][window.hidden]).all()
        seen = np.isfinite(window.values[len(window.values) // 2])
        assert np.array_equal(np.isfinite(values[day]), seen)
        assert np.array_equal(sample.weight > 0, window.hidden)
        scale = region.scale[window.crop]
        assert np.allclose(truth[window.hidden], (window.truth / scale)[window.hidden])
        other = window._replace(truth=np.where(window.hidden, 99.0, window.truth))
        again = pool([other], guess, region, config=replace(config, past_fraction=0.0), seed=3)[0]
        if day == WINDOW // 2 and np.isfinite(values[day + 1 :]).any():
            assert np.array_equal(again.guess, first)
        assert np.array_equal(sample.spread, spread_of(region.part(*window.crop)))
        assert sample.water.shape == truth.shape
        assert sample.noise == pytest.approx((0.15 / region.part(*window.crop).mean_scale) ** 2 + 0.04, rel=1e-5)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.network)
def test_some_samples_have_no_future(anomalies: xr.Dataset, config: UNet) -> None:
    windows, region = drawn(anomalies, 6, config), Region.of(anomalies)
    for fraction, expected in ((0.0, True), (1.0, False)):
        samples = pool(
            windows, FirstGuess(TERMS, 0.15), region, config=replace(config, past_fraction=fraction), seed=3
        )
        assert any(np.isfinite(sample.values[int(sample.day) + 1 :]).any() for sample in samples) is expected
        if config.network == "all-days":
            assert sum(np.isfinite(sample.values[0]).any() for sample in samples) >= 3  # it has as many days as ever


def test_a_turned_sample_is_turned_as_a_whole() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((WINDOW, 8, 8)).astype(np.float32)
    water, weight = values[0] > -1, np.ones((8, 8), np.float32)
    scalars, noise, day = np.zeros(3), np.array(0, np.float32), np.array(2)
    sample = CorrectorSample(values, values + 1, water, values[1], scalars, values[2], weight, noise, day)
    seen = set()
    for _ in range(60):
        other = turned(sample, rng)
        one, guess, sea, spread, truth = other.values, other.guess, other.water, other.spread, other.truth
        sign = np.sign(one[2] * truth).mean()
        assert sign == 1
        assert np.array_equal(one[2], truth)
        change = guess - one
        assert np.allclose(change, change.flat[0], atol=1e-6)
        assert np.array_equal(one[0] * change.flat[0] > -1, sea)
        assert np.allclose(one[1] * change.flat[0], spread, atol=1e-6)
        seen.add(one.tobytes())
    assert len(seen) == 16


def test_a_pool_draws_the_same_again() -> None:
    maps = [np.full((WINDOW, 4, 4), float(n), np.float32) for n in range(9)]
    sea = np.ones((4, 4), bool)
    none, day = np.array(0, np.float32), np.array(0)
    samples = [CorrectorSample(m, m, sea, m[0], np.zeros(1), m[0], m[0], none, day) for m in maps]
    one, other, later = (
        [sample.values[0, 0, 0] for sample in Pool(samples, 20, 5).of_epoch(epoch)] for epoch in (0, 0, 1)
    )
    assert one == other != later
    assert [sample.values[0, 0, 0] for sample in Pool(samples).of_epoch(3)] == list(range(9))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.network)
def test_a_training_of_few_steps_is_kept(anomalies: xr.Dataset, config: UNet) -> None:
    short = {"batch_size": 2, "steps_per_epoch": 2, "max_epochs": 3, "precision": "float32"}
    config = replace(config, widths=(4, 8), **short)
    samples = pool(drawn(anomalies, 6, config), FirstGuess(TERMS, 0.15), Region.of(anomalies), config=config, seed=3)
    start = corrector(config).state_dict()
    trained = train_on(Pool(samples, 4, 1), Pool(samples), config, scale=1.0, weights=start)
    assert len({epoch["valid_loss"] for epoch in trained.history}) == 3
    (name,) = (name for name in start if name.endswith("leave.weight"))
    assert not torch.equal(trained.weights[name], start[name])


def test_packaged_weights_fit_the_default_networks() -> None:
    plain, recurrent = packaged(UNet()), packaged(ConvLSTMUNet())
    assert set(plain) < set(recurrent)
    assert all(np.array_equal(plain[name], recurrent[name]) for name in plain)
    assert sum(tensor.numel() * 4 for tensor in plain.values()) < 10e6


def test_the_package_holds_one_network() -> None:
    with pytest.raises(InputError, match="the package holds one network"):
        parse_config({"model": {"method": "unet", "weights": "packaged", "members": 2}})


@pytest.mark.parametrize("settings", [{"window": 7}, {"widths": [8, 16]}])
def test_packaged_weights_of_another_size_are_refused(sea: xr.Dataset, settings: dict[str, Any]) -> None:
    model = {"method": "unet", "weights": "packaged", "tuning_steps": 1} | settings
    with pytest.raises(InputError, match=r"window 15 and widths \[48, 80, 128, 160\]"):
        sereno.fit(sea, parse_config({"model": model}))


SMALL = UNet(
    window=WINDOW,
    widths=(4, 8),
    weights="fresh",
    tile=(16, 16),
    tuning_steps=1,
    windows_kept=8,
    validation_windows=4,
    batch_size=4,
    steps_per_epoch=1,
    max_epochs=1,
    members=2,
    precision="float32",
)


def stages(anomalies: xr.Dataset, config: UNet, folder: Path, **more: object) -> tuple[UNetReconstructor, list[str]]:
    """Train, and return the stages gone through, in their order."""
    seen: dict[str, float] = {}
    return UNetReconstructor.fit(anomalies, config, folder=folder, progress=seen.__setitem__, **more), list(seen)


@pytest.mark.thorough
def test_a_training_is_resumed_without_its_preparation(anomalies: xr.Dataset, tmp_path: Path) -> None:
    whole, stages_done = stages(anomalies, replace(SMALL, max_epochs=2), tmp_path / "whole")
    assert stages_done == [
        "tuning",
        *(f"{stage}, member {number} of 2" for number in (1, 2) for stage in ("first guesses", "training")),
    ]
    stages(anomalies, replace(SMALL, max_epochs=2), tmp_path / "halves", max_minutes=1e-9)
    resumed, stages_done = stages(anomalies, replace(SMALL, max_epochs=2), tmp_path / "halves", resume=True)
    assert stages_done == ["training, member 1 of 2", "training, member 2 of 2"]
    assert resumed.history == whole.history
    one, other = (each.state() for each in (resumed, whole))
    assert one.values == other.values
    assert all(np.array_equal(one.tensors[name], other.tensors[name]) for name in other.tensors)


@pytest.mark.thorough
def test_a_training_that_was_killed_before_its_first_epoch_keeps_what_was_tuned(
    anomalies: xr.Dataset, tmp_path: Path
) -> None:
    stages(anomalies, SMALL, tmp_path)
    shutil.rmtree(tmp_path / "member-1")
    (tmp_path / "member-0" / "samples.npz").unlink()
    _, stages_done = stages(anomalies, SMALL, tmp_path, resume=True)
    assert "tuning" not in stages_done
    assert "first guesses, member 1 of 2" in stages_done


def test_a_record_too_short_is_refused_before_anything_is_tuned(anomalies: xr.Dataset, tmp_path: Path) -> None:
    few = anomalies.isel(time=slice(0, 11))
    reported: dict[str, float] = {}
    with pytest.raises(InputError, match="11 days; a network with a window of 15 days needs 45"):
        UNetReconstructor.fit(few, UNet(), folder=tmp_path / "model.training", progress=reported.__setitem__)
    assert not reported
    assert not (tmp_path / "model.training").exists()


def test_other_settings_or_data_are_not_resumed(anomalies: xr.Dataset, tmp_path: Path) -> None:
    stages(anomalies, SMALL, tmp_path)
    with pytest.raises(InputError, match=r"not the same as before: model\.past_fraction, seed$"):
        stages(anomalies, replace(SMALL, past_fraction=0.5), tmp_path, resume=True, seed=1)
    with pytest.raises(InputError, match=r"not the same as before: the training data$"):
        stages(anomalies.assign(anomaly=2 * anomalies["anomaly"]), SMALL, tmp_path, resume=True)
    with pytest.raises(InputError, match=r"not the same as before: the training data$"):
        stages(anomalies.isel(time=slice(1, None)), SMALL, tmp_path, resume=True)


@pytest.mark.thorough
def test_a_training_begun_anew_forgets_the_members_of_an_older_one(anomalies: xr.Dataset, tmp_path: Path) -> None:
    stages(anomalies, SMALL, tmp_path)
    stages(anomalies, replace(SMALL, members=1), tmp_path)
    assert not (tmp_path / "member-1").exists()


def test_a_network_of_all_days_is_trained_kept_and_used(anomalies: xr.Dataset) -> None:
    config = replace(SMALL, network="all-days", members=1)
    method = UNetReconstructor.fit(anomalies, config)
    state = method.state()
    assert {name: array.shape for name, array in state.tensors.items()} == UNetReconstructor.weights(config)
    days = anomalies["time"].values[30:37]
    again = UNetReconstructor.from_state(config, state)
    one, other = (each.reconstruct(anomalies, days).compute() for each in (method, again))
    xr.testing.assert_identical(one, other)
    assert one["mean"].where(anomalies["water"]).notnull().sum() == 7 * int(anomalies["water"].sum())


def untrained(anomalies: xr.Dataset, config: UNet = CONFIGS[0]) -> UNetReconstructor:
    """Return a method whose network corrects something."""
    config = replace(config, widths=(4, 8), weights="fresh")
    guess = FirstGuess((Term(1.0, 1.5 * max(cell_size(anomalies)), 3.0),), 0.15)
    torch.manual_seed(0)
    network = corrector(config)
    (leaving,) = (weight for name, weight in network.named_parameters() if name.endswith("leave.weight"))
    torch.nn.init.normal_(leaving, std=0.02)  # a fresh one corrects nothing
    return UNetReconstructor(config, guess, (network.eval(),), [])


@pytest.mark.parametrize("name", ["oi-grid", "unet"])
def test_blocks_of_days_are_worked_on_one_at_a_time(
    anomalies: xr.Dataset, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    covariance = GriddedCovariance((1.0,), (60.0,), (3.0,), 0.15, 0.1, 90.0)
    spread = Spread(np.array([0.0, 1.0]), np.array([1.0, 0.01]))
    gridded_method = GriddedInterpolation(GriddedInterpolationConfig(window=WINDOW), covariance, spread)
    method = gridded_method if name == "oi-grid" else untrained(anomalies)
    at_work, most, blocks, analyse = 0, 0, 0, gridded_windows.Parts.analyse

    def counting(*args: Any, **more: Any) -> np.ndarray:  # noqa: ANN401
        nonlocal at_work, most, blocks
        at_work, blocks = at_work + 1, blocks + 1
        most = max(most, at_work)
        found = analyse(*args, **more)
        at_work -= 1
        return found

    monkeypatch.setattr(gridded_windows.Parts, "analyse", counting)
    for module in (oi_grid_method, unet_method):
        monkeypatch.setattr(module, "by_block", partial(by_block, block_days=WINDOW + 2 * RUN))
    method.reconstruct(anomalies, anomalies["time"].values[20:30]).compute(scheduler="threads", num_workers=4)
    assert (blocks > 1, most) == (True, 1)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.network)
def test_the_parts_of_a_large_map_show_no_seam(
    anomalies: xr.Dataset, config: UNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = untrained(anomalies, config)
    days = anomalies["time"].values[40:42]
    whole = method.reconstruct(anomalies, days).compute()
    for name, value in {"WHOLE_CELLS": 100, "TILE": 12, "HALO": 10}.items():
        monkeypatch.setattr(gridded_windows, name, value)
    parts = method.reconstruct(anomalies, days).compute()
    for name in ("mean", "std"):
        # Not to the last bit: each part has its own scales.
        assert float(abs(parts[name] - whole[name]).max()) < 0.02 * float(abs(whole[name]).max())
        assert parts[name].notnull().equals(whole[name].notnull())
    # The bytes do not depend on which days a process fills.
    xr.testing.assert_identical(method.reconstruct(anomalies, days[1:]).compute(), parts.isel(time=slice(1, None)))


ALL_DAYS = UNet(network="all-days")
REACH = ALL_DAYS.window // 2 + margin(ALL_DAYS)
"""Days before and after those asked for that are handed over."""
DAYS_ASKED = np.datetime64("2020-01-01") + np.arange(10)


def placing(
    days: np.ndarray, seen: np.ndarray, config: UNet = ALL_DAYS
) -> dict[np.datetime64, tuple[int, int, tuple[int, int]]]:
    """Return of each day the first one of its window, counted from it, its slot, and what its first guess knows."""
    reach = config.window // 2 + margin(config)
    placed_days = {}
    for run in runs(days, window=config.window):
        for part in placed(run, seen, config):
            for at, slot, window in zip(part.at, part.slots, part.windows, strict=True):
                assert part.context.stop - part.context.start == days_solved(config)
                assert 0 <= part.context.start < part.context.stop <= len(seen)
                assert 0 <= window.start < window.stop <= days_solved(config)
                first = part.context.start + window.start - (at + reach)
                assert first + slot == 0
                known = (part.context.start - at - reach, part.context.stop - 1 - at - reach)
                placed_days[days[at]] = (first, int(slot), known)
    return placed_days


def test_five_days_are_answered_by_the_middle_of_one_window() -> None:
    for day, (first, slot, known) in placing(DAYS_ASKED, np.ones(2 * REACH + 10, bool)).items():
        assert slot == 5 + day.astype("datetime64[D]").astype(int) % RUN
        assert known == (first - 5, first + 19)


def test_in_near_real_time_a_day_is_answered_as_the_last() -> None:
    for number in range(10):
        asked = DAYS_ASKED[number : number + 1]
        seen = np.arange(2 * REACH + 1) <= REACH
        assert placing(asked, seen)[asked[0]] == (-14, 14, (-24, 0))


def test_at_the_end_of_a_record_a_window_ends_with_it() -> None:
    """The last image is of the sixth day asked for: no window holds an empty day after it without need."""
    last = REACH + 5
    places = placing(DAYS_ASKED, np.arange(2 * REACH + 10) <= last)
    for number, day in enumerate(DAYS_ASKED):
        end = max(number + REACH, min(last, number + REACH - day.astype("datetime64[D]").astype(int) % RUN + 9))
        first, _, (_, latest) = places[day]
        assert number + REACH + first + 14 == end
        assert number + REACH + latest == max(end, min(last, end + 5))


def test_the_window_of_a_day_does_not_hang_on_what_else_is_asked_for() -> None:
    seen = np.random.default_rng(2).random(2 * REACH + 10) < 0.4
    seen[REACH + 16 :] = False
    whole = placing(DAYS_ASKED, seen)
    for start in range(10):
        for stop in range(start + 1, 11):
            part = placing(DAYS_ASKED[start:stop], seen[start : stop + 2 * REACH])
            assert part == {day: whole[day] for day in part}


def test_a_short_window_has_its_day_in_the_middle() -> None:
    config = UNet(window=7, widths=(4, 8), network="all-days")
    seen = np.ones(10 + 2 * (3 + margin(config)), bool)
    assert set(placing(DAYS_ASKED, seen, config).values()) == {(-3, 3, (-8, 8))}


def test_near_real_time_is_the_record_without_later_days(anomalies: xr.Dataset) -> None:
    """A day whose later images are hidden is filled as by a record that ends with it."""
    method = untrained(anomalies)
    hidden = anomalies.assign(anomaly=anomalies["anomaly"].where(anomalies["time"] <= anomalies["time"][30]))
    day = anomalies["time"].values[30:31]
    ended = anomalies.isel(time=slice(0, 31))
    one, other = (method.reconstruct(cube, day).compute() for cube in (hidden, ended))
    xr.testing.assert_allclose(one["mean"], other["mean"], atol=1e-5)
