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
from sereno.features import Archive
from sereno.grid import cell_size
from sereno.nets.corrector import corrector
from sereno.nets.gridded import Term
from sereno.reconstruct.blocks import by_block
from sereno.reconstruct.oi_grid import method as oi_grid_method
from sereno.reconstruct.oi_grid import windows as gridded_windows
from sereno.reconstruct.oi_grid.covariance import GriddedCovariance
from sereno.reconstruct.oi_grid.method import GriddedInterpolation
from sereno.reconstruct.oi_grid.windows import RUN, Region
from sereno.reconstruct.spread import Spread
from sereno.reconstruct.unet import method as unet_method
from sereno.reconstruct.unet.guess import FirstGuess, spread_of, told
from sereno.reconstruct.unet.members import packaged
from sereno.reconstruct.unet.method import UNetReconstructor
from sereno.reconstruct.unet.pool import Pool, pool, turned
from sereno.training import train_on
from sereno.windows import Drawn

WINDOW = 7
TERMS = (Term(0.7, 60.0, 5.0), Term(0.3, 20.0, 3.0), Term(0.04, 90.0, 0.0, False))


@pytest.fixture(scope="module")
def anomalies(sea: xr.Dataset) -> xr.Dataset:
    climatology = fit_climatology(sea, ClimatologyConfig())
    return climatology.anomalies(sea).compute()


def drawn(anomalies: xr.Dataset, count: int) -> list[Any]:
    windows = Drawn(Archive.of(anomalies), UNet(window=WINDOW, tile=(16, 16)), 1, count)
    return [window for window in windows.of_epoch(0) if window.hidden.any()]


def test_told_is_what_the_covariance_says() -> None:
    numbers = told([Term(1.0, 20.0, 2.0), Term(0.09, 50.0, 0.0, False)], noise=0.2, side=5.0, day_of_year=365.25 / 4)
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


def test_samples_show_nothing_of_what_is_hidden(anomalies: xr.Dataset) -> None:
    windows, region = drawn(anomalies, 6), Region.of(anomalies)
    guess = FirstGuess(TERMS, 0.15)
    for window, sample in zip(windows, pool(windows, guess, region, past_fraction=0.5, seed=3), strict=True):
        values, first, water, spread, _, truth, weight, noise = sample
        assert np.isnan(values[WINDOW // 2][window.hidden]).all()
        assert np.array_equal(weight > 0, window.hidden)
        scale = region.scale[window.crop]
        assert np.allclose(truth[window.hidden], (window.truth / scale)[window.hidden])
        other = window._replace(truth=np.where(window.hidden, 99.0, window.truth))
        again = pool([other], guess, region, past_fraction=0.0, seed=3)[0]
        if np.isfinite(values[WINDOW // 2 + 1 :]).any():
            assert np.array_equal(again[1], first)
        assert np.array_equal(spread, spread_of(region.part(*window.crop)))
        assert water.shape == truth.shape
        assert noise == pytest.approx((0.15 / region.part(*window.crop).mean_scale) ** 2 + 0.04, rel=1e-5)


def test_some_samples_have_no_future(anomalies: xr.Dataset) -> None:
    windows, region = drawn(anomalies, 6), Region.of(anomalies)
    for fraction, expected in ((0.0, True), (1.0, False)):
        samples = pool(windows, FirstGuess(TERMS, 0.15), region, past_fraction=fraction, seed=3)
        assert any(np.isfinite(sample[0][WINDOW // 2 + 1 :]).any() for sample in samples) is expected


def test_a_turned_sample_is_turned_as_a_whole() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((WINDOW, 8, 8)).astype(np.float32)
    water, weight = values[0] > -1, np.ones((8, 8), np.float32)
    sample = (values, values + 1, water, values[1], np.zeros(3), values[2], weight, np.float32(0))
    seen = set()
    for _ in range(60):
        one, guess, sea, spread, _, truth, _, _ = turned(sample, rng)
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
    samples = [(m, m, sea, m[0], np.zeros(1), m[0], m[0], np.float32(0)) for m in maps]
    one, other, later = (
        [sample[0][0, 0, 0] for sample in Pool(samples, 20, 5).of_epoch(epoch)] for epoch in (0, 0, 1)
    )
    assert one == other != later
    assert [sample[0][0, 0, 0] for sample in Pool(samples).of_epoch(3)] == list(range(9))


def test_a_training_of_few_steps_is_kept(anomalies: xr.Dataset) -> None:
    config = UNet(window=WINDOW, widths=(4, 8), batch_size=2, steps_per_epoch=2, max_epochs=3, precision="float32")
    samples = pool(drawn(anomalies, 6), FirstGuess(TERMS, 0.15), Region.of(anomalies), past_fraction=0.0, seed=3)
    start = corrector(config).state_dict()
    trained = train_on(Pool(samples, 4, 1), Pool(samples), config, scale=1.0, weights=start)
    assert len({epoch["valid_loss"] for epoch in trained.history}) == 3
    assert not torch.equal(trained.weights["network.leave.weight"], start["network.leave.weight"])


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


def test_a_training_is_resumed_without_its_preparation(anomalies: xr.Dataset, tmp_path: Path) -> None:
    whole, told = stages(anomalies, replace(SMALL, max_epochs=2), tmp_path / "whole")
    assert told == [
        "tuning",
        *(f"{stage}, member {number} of 2" for number in (1, 2) for stage in ("first guesses", "training")),
    ]
    stages(anomalies, replace(SMALL, max_epochs=2), tmp_path / "halves", max_minutes=1e-9)
    resumed, told = stages(anomalies, replace(SMALL, max_epochs=2), tmp_path / "halves", resume=True)
    assert told == ["training, member 1 of 2", "training, member 2 of 2"]
    assert resumed.history == whole.history
    one, other = (each.state() for each in (resumed, whole))
    assert one.values == other.values
    assert all(np.array_equal(one.tensors[name], other.tensors[name]) for name in other.tensors)


def test_a_training_that_was_killed_before_its_first_epoch_keeps_what_was_tuned(
    anomalies: xr.Dataset, tmp_path: Path
) -> None:
    stages(anomalies, SMALL, tmp_path)
    shutil.rmtree(tmp_path / "member-1")
    (tmp_path / "member-0" / "samples.npz").unlink()
    _, told = stages(anomalies, SMALL, tmp_path, resume=True)
    assert "tuning" not in told
    assert "first guesses, member 1 of 2" in told


def test_a_record_too_short_is_refused_before_anything_is_tuned(anomalies: xr.Dataset, tmp_path: Path) -> None:
    few = anomalies.isel(time=slice(0, 11))
    told: dict[str, float] = {}
    with pytest.raises(InputError, match="11 days; a network with a window of 15 days needs 45"):
        UNetReconstructor.fit(few, UNet(), folder=tmp_path / "model.training", progress=told.__setitem__)
    assert not told
    assert not (tmp_path / "model.training").exists()


def test_other_settings_or_data_are_not_resumed(anomalies: xr.Dataset, tmp_path: Path) -> None:
    stages(anomalies, SMALL, tmp_path)
    with pytest.raises(InputError, match=r"not the same as before: model\.past_fraction, seed$"):
        stages(anomalies, replace(SMALL, past_fraction=0.5), tmp_path, resume=True, seed=1)
    with pytest.raises(InputError, match=r"not the same as before: the training data$"):
        stages(anomalies.assign(anomaly=2 * anomalies["anomaly"]), SMALL, tmp_path, resume=True)
    with pytest.raises(InputError, match=r"not the same as before: the training data$"):
        stages(anomalies.isel(time=slice(1, None)), SMALL, tmp_path, resume=True)


def test_a_training_begun_anew_forgets_the_members_of_an_older_one(anomalies: xr.Dataset, tmp_path: Path) -> None:
    stages(anomalies, SMALL, tmp_path)
    stages(anomalies, replace(SMALL, members=1), tmp_path)
    assert not (tmp_path / "member-1").exists()


def untrained(anomalies: xr.Dataset) -> UNetReconstructor:
    """Return a method whose network corrects something."""
    config = UNet(window=WINDOW, widths=(4, 8), weights="fresh")
    guess = FirstGuess((Term(1.0, 1.5 * max(cell_size(anomalies)), 3.0),), 0.15)
    torch.manual_seed(0)
    network = corrector(config)
    torch.nn.init.normal_(network.network.leave.weight, std=0.02)  # a fresh one corrects nothing
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


def test_the_parts_of_a_large_map_show_no_seam(anomalies: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    method = untrained(anomalies)
    days = anomalies["time"].values[40:42]
    whole = method.reconstruct(anomalies, days).compute()
    for name, value in {"WHOLE_CELLS": 100, "TILE": 12, "HALO": 10}.items():
        monkeypatch.setattr(gridded_windows, name, value)
    parts = method.reconstruct(anomalies, days).compute()
    for name in ("mean", "std"):
        # Not to the last bit: each part is told its own scales.
        assert float(abs(parts[name] - whole[name]).max()) < 0.02 * float(abs(whole[name]).max())
        assert parts[name].notnull().equals(whole[name].notnull())
    # The bytes do not depend on which days a process fills.
    xr.testing.assert_identical(method.reconstruct(anomalies, days[1:]).compute(), parts.isel(time=slice(1, None)))
