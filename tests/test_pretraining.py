"""Pre-training's library and the samples drawn from it, on small libraries made by hand."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import coasts
import covariances
import library
import noise
import real_clouds
import samples
from samples import SIDE, WINDOW, DrawnSamples
from sereno.errors import InputError
from sereno.grid import KM_PER_DEGREE
from sereno.reconstruct.oi.covariance import Covariance, matern
from sereno.synthetic import TwinSeaConfig
from sereno.synthetic.family import FamilySea
from sereno.synthetic.gaussian import GaussianTerm, gaussian_fields
from sereno.synthetic.spectral import PeriodicGrid

COVARIANCE = Covariance("two-scale", (40.0, 4.0, 200.0, 30.0, 0.5), amplitude=0.9, noise=0.1, correlated_noise=0.05)
DAYS, CELLS, SPACING = 40, 128, (10.0, 8.0)


def make_library(folder: Path, anomaly: np.ndarray, *, cover: float = 0.5, land: bool = True) -> Path:
    """Write a library of one sea, one sequence of clouds, and a few coasts."""
    rng = np.random.default_rng(0)
    for part in ("seas", "clouds"):
        (folder / part).mkdir(parents=True)
    np.save(folder / "seas" / "1000.npy", anomaly.astype(np.float16))
    description = {
        "kind": "smooth",
        "spacing": SPACING,
        "climatology_std": 1.2,
        "covariance": COVARIANCE.values(),
        "parameters": {"amplitude": 1.0},
    }
    (folder / "seas" / "1000.json").write_text(json.dumps(description))
    np.save(folder / "clouds" / "1000.npy", rng.random((DAYS, CELLS, CELLS)) < cover)
    np.save(folder / "clouds" / "goes.npy", rng.random((20, CELLS, CELLS)) < cover)
    water = np.ones((3, CELLS, CELLS), bool)
    water[1:, 40:70, 30:80] = not land
    np.save(folder / "coasts.npy", water)
    return folder


@pytest.fixture
def white(tmp_path: Path) -> DrawnSamples:
    field = np.random.default_rng(1).standard_normal((DAYS, CELLS, CELLS))
    return DrawnSamples(make_library(tmp_path, field), seed=3)


def ramp() -> np.ndarray:
    """Return a sea that rises by 0.01 K a km northward and by 0.5 K a day."""
    days, north = np.arange(DAYS)[:, None, None], np.arange(CELLS)[None, :, None]
    return np.broadcast_to(0.5 * days + 0.01 * SPACING[0] * north, (DAYS, CELLS, CELLS))


def clear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take noise and all that hides away."""
    for name in ("WHITE_NOISE", "CORRELATED_NOISE"):
        monkeypatch.setattr(samples, name, (0.0, 0.0))
    for name in ("CONTAMINATED", "HIDDEN", "CLOUDED", "NEAR_REAL_TIME"):
        monkeypatch.setattr(samples, name, 0.0)


def test_samples_follow_from_seed_epoch_and_index(white: DrawnSamples, tmp_path: Path) -> None:
    one, again = white.sample(2, 5), DrawnSamples(tmp_path, seed=3).sample(2, 5)
    for name in ("values", "truth", "water"):
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))
    assert one[3:] == again[3:]
    others = white.sample(2, 6), white.sample(3, 5), DrawnSamples(tmp_path, seed=4).sample(2, 5)
    assert all(not np.array_equal(other.truth, one.truth) for other in others)


def test_what_a_sample_holds(white: DrawnSamples) -> None:
    for index in range(20):
        sample = white.sample(0, index)
        assert sample.values.shape == (WINDOW, SIDE, SIDE)
        assert sample.truth.shape == sample.water.shape == (SIDE, SIDE)
        assert sample.values.dtype == sample.truth.dtype == np.float32
        assert sample.water.dtype == bool
        assert np.isfinite(sample.truth).all()
        assert np.isnan(sample.values[:, ~sample.water]).all()
        assert sample.water.mean() >= samples.LEAST_WATER
        assert 0 < np.isfinite(sample.values[: WINDOW // 2, sample.water]).mean() < 0.7
        assert 0.05 <= sample.noise <= 0.4


def test_noise_is_as_told(white: DrawnSamples, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "CONTAMINATED", 0.0)
    monkeypatch.setattr(samples, "HIDDEN", 0.0)
    ratios = []
    for index in range(60):
        sample = white.sample(0, index)
        error = sample.values[WINDOW // 2] - sample.truth
        told = sample.covariance["noise"] ** 2 + sample.covariance["correlated_noise"] ** 2
        assert sample.covariance["noise"] == sample.noise
        assert sample.climatology_std == pytest.approx(np.sqrt(1 + told), abs=1e-5)
        ratios.append(np.nanmean(error**2) / told)
    assert np.mean(ratios) == pytest.approx(1, abs=0.05)


def test_cold_edges_are_cold_and_beside_clouds(white: DrawnSamples, monkeypatch: pytest.MonkeyPatch) -> None:
    clear(monkeypatch)
    monkeypatch.setattr(samples, "CONTAMINATED", 1.0)
    cloudy = np.zeros((WINDOW, SIDE, SIDE), bool)
    cloudy[:, 20:30, 20:30] = True
    monkeypatch.setattr(white, "_clouds", lambda rng: cloudy)
    beside = np.zeros((SIDE, SIDE), bool)
    beside[18:32, 18:32] = True
    cold = 0
    for index in range(10):
        sample = white.sample(0, index)
        error = sample.values[WINDOW // 2] - sample.truth
        assert not error[~beside & sample.water].any()
        assert np.nanmax(error) <= 0
        cold += int((error < 0).sum())
    assert cold > 0


def test_shares_of_hidden_days_and_of_near_real_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = DrawnSamples(make_library(tmp_path, np.zeros((DAYS, CELLS, CELLS)), cover=0.02, land=False), seed=0)
    missing = np.array([np.isnan(drawn.sample(0, index).values).mean(axis=(1, 2)) for index in range(400)])
    centre = missing[:, WINDOW // 2]
    assert np.mean(centre == 1) == pytest.approx(0.25, abs=0.06)
    assert np.mean((centre > 0.03) & (centre < 1)) == pytest.approx(0.25, abs=0.06)  # a second cloud doubles 0.02
    assert np.mean((missing[:, WINDOW // 2 + 1 :] == 1).all(axis=1)) == pytest.approx(0.2, abs=0.06)
    assert (missing[:, : WINDOW // 2] < 0.1).all()


def test_spacing_follows_the_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clear(monkeypatch)
    drawn = DrawnSamples(make_library(tmp_path, ramp(), cover=0.0), seed=0)
    seen = set()
    for index in range(40):
        sample = drawn.sample(0, index)
        seen.add(sample.spacing)
        slope = [np.diff(sample.truth, axis=axis).mean() / sample.spacing[axis] for axis in (0, 1)]
        assert sorted(np.abs(slope)) == pytest.approx([0, 0.01], abs=2e-4)
        np.testing.assert_array_equal(sample.values[WINDOW // 2][sample.water], sample.truth[sample.water])
    assert seen == {(10.0, 8.0), (8.0, 10.0), (20.0, 16.0), (16.0, 20.0)}


@pytest.mark.parametrize("step", [1, 2])
def test_times_follow_the_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    clear(monkeypatch)
    monkeypatch.setattr(samples, "EVERY_SECOND_DAY", float(step - 1))
    drawn = DrawnSamples(make_library(tmp_path, ramp(), cover=0.0), seed=0)
    for index in range(5):
        sample = drawn.sample(0, index)
        change = np.nanmean(sample.values[1:] - sample.values[:-1], axis=(1, 2))
        np.testing.assert_allclose(np.abs(change), 0.5 * step, atol=0.02)
        found = Covariance.from_values(sample.covariance)
        assert found.scales == (40.0, 4.0 / step, 200.0, 30.0 / step, 0.5)
        assert found.amplitude * sample.climatology_std == pytest.approx(0.9 * 1.2)


def test_only_the_seas_asked_for_are_drawn(tmp_path: Path) -> None:
    folder = make_library(tmp_path, np.zeros((DAYS, CELLS, CELLS)))
    assert len(DrawnSamples(folder, seed=0, seeds=range(1000, 1001)).seas) == 1
    with pytest.raises(InputError, match=r"library\.py"):
        DrawnSamples(folder, seed=0, seeds=range(1001, 1002))


def test_correlated_noise() -> None:
    rng = np.random.default_rng(0)
    field = noise.correlated_noise((300, 64, 60), (10.0, 5.0), length=30.0, rng=rng)
    assert np.mean(field**2) == pytest.approx(1, abs=0.03)
    for axis, cells in ((1, 3), (2, 6)):
        assert np.mean(field * np.roll(field, cells, axis)) == pytest.approx(np.exp(-1), abs=0.03)
    assert np.mean(field[1:] * field[:-1]) == pytest.approx(0, abs=0.02)


def test_coasts_hold_water_and_keep_off_the_seas_scored() -> None:
    masks = coasts.draw_coasts(6, side=32, seed=1)
    assert masks[:2].all()
    assert all(0.35 <= mask.mean() <= 0.995 for mask in masks[2:])
    np.testing.assert_array_equal(coasts.draw_coasts(6, side=32, seed=1), masks)
    window = np.linspace(0, 5, 11)
    assert coasts.touches_scored(36 + window, 1 + window)  # its north-eastern corner lies off Corsica
    assert coasts.touches_scored(-48 + window, 150 + window)
    assert coasts.touches_scored(33 + window, -8 + window)
    assert not coasts.touches_scored(33 + window, 20 + window)


def test_pieces_hold_enough_water() -> None:
    water = np.random.default_rng(0).random((9, 11)) < 0.7
    found = real_clouds._corners(water, 4, 0.75)
    expected = [(r, c) for r in range(6) for c in range(8) if water[r : r + 4, c : c + 4].mean() >= 0.75]
    assert [tuple(place) for place in found] == expected
    assert 0 < len(found) < 48


def test_covariance_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sereno.reconstruct.oi.method.TUNING_TARGETS", (200,))
    monkeypatch.setattr("sereno.reconstruct.oi.method.CALIBRATION_TARGETS", 50)
    rng = np.random.default_rng(0)
    sea = smooth_sea()
    cloudy = rng.random(sea.anomaly.shape) < 0.6
    values, std = covariances.measured_covariance(sea, cloudy, rng=rng)
    found = Covariance.from_values(values)
    assert std == pytest.approx(np.sqrt(1 + 0.15**2 + 0.1**2), rel=0.05)
    assert found.noise == pytest.approx(0.15, rel=0.4)
    # What neighbours tell: half the mean square difference over 20 km, of a day, and over a day, of a place.
    distance, lag = torch.tensor([20.0, 0.0]), torch.tensor([0.0, 2.0])
    difference = (found.amplitude * std) ** 2 * (1 - found.correlation(distance, lag))
    np.testing.assert_allclose(difference, 1 - matern(torch.tensor([20 / 40, 2 / 4])), rtol=0.3)


def smooth_sea() -> FamilySea:
    """Return a Gaussian sea of one term, Matérn of 40 km and 4 days."""
    grid = PeriodicGrid.around(TwinSeaConfig(shape=(48, 48), spacing=10 / KM_PER_DEGREE, centre=(0.0, 0.0)))
    days = gaussian_fields(grid, GaussianTerm(40e3, 4.0), flow=(0.0, 0.0), rng=np.random.default_rng(1))
    field = np.stack([day[:48, :48] for day in islice(days, 90)])
    return FamilySea("smooth", (10.0, 10.0), field / field.std(), {"amplitude": 1.0})


def test_a_library_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def draw(seed: int, *, days: int, side: int) -> FamilySea:
        made.append(seed)
        return FamilySea("smooth", SPACING, np.full((days, side, side), seed, np.float32), {"amplitude": 1.0})

    def measure(*_: object, **__: object) -> tuple[dict[str, Any], float]:
        return COVARIANCE.values(), 1.2

    monkeypatch.setattr(library, "draw_sea", draw)
    monkeypatch.setattr(library, "measured_covariance", measure)
    options: dict[str, Any] = {"clouds": 1, "days": 16, "coasts": 2, "data": None, "crops": 0}
    library.write_library(tmp_path, seas=1, **options)
    (tmp_path / "seas" / "1000.json").unlink()  # as after an interruption between the two files
    library.write_library(tmp_path, seas=2, **options)
    library.write_library(tmp_path, seas=2, **options)
    assert made == [1000, 1000, 1001]
    assert np.load(tmp_path / "seas" / "1001.npy").dtype == np.float16
    clouds = np.load(tmp_path / "clouds" / "1000.npy")
    assert clouds.dtype == bool
    assert 0 < clouds.mean() < 1
    sample = DrawnSamples(tmp_path, seed=0, seeds=[1001]).sample(0, 0)
    assert np.abs(sample.truth) == pytest.approx(1001)
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == [
        "1000.json", "1000.npy", "1000.npy", "1001.json", "1001.npy", "coasts.npy",
    ]  # fmt: skip


def test_clouds_of_a_sequence_are_as_asked_for() -> None:
    first, again, other = (library.cloud_sequence(seed, days=20, side=32) for seed in (1000, 1000, 1001))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
