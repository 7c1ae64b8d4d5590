"""The calibration of standard deviations, on seas whose truth and whose errors are known."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter, minimum_filter

from sereno.climatology import fit_climatology
from sereno.config import configure
from sereno.cube import make_cube
from sereno.gaps.hiding import hide
from sereno.gaps.withholding import withhold
from sereno.methods import State
from sereno.reconstruct.anomaly import AnomalyReconstructor
from sereno.reconstruct.day_blocks import by_block
from sereno.reconstruct.interpolation.smoothing import smooth
from sereno.reconstruct.uncertainty.calibration import Calibration
from sereno.reconstruct.uncertainty.observation_error import ObservationError
from sereno.reconstruct.uncertainty.predictors import WINDOW, conditions, recent_variability

DAYS, SIDE, LENGTH = 400, 24, 3.0
CONFIG = configure("climatology")


def field(rng: np.random.Generator, *, days: float, cells: float) -> np.ndarray:
    values = gaussian_filter(rng.standard_normal((DAYS, SIDE, SIDE)), (days, cells, cells), mode="wrap")
    return values / values.std()


def sea(*, white: float, shared: float, seed: int = 0) -> xr.Dataset:
    """A sea of variance 1 that changes within a week, seen through clouds with errors of known variances."""
    rng = np.random.default_rng(seed)
    truth = 290 + field(rng, days=6, cells=3)
    noise = np.sqrt(white) * rng.standard_normal(truth.shape)
    noise += np.sqrt(shared) * field(rng, days=0, cells=LENGTH / np.sqrt(2))
    cloudy = field(rng, days=0.7, cells=3) > -0.2
    values = np.where(cloudy, np.nan, truth + noise).astype(np.float32)
    place = np.arange(SIDE) / 16
    return make_cube(
        values,
        time=pd.date_range("2001-01-01", periods=DAYS),
        lat=40 + place,
        lon=5 + place,
        water=np.ones((SIDE, SIDE), bool),
        extra={"truth": truth.astype(np.float32)},
    )


@dataclass(frozen=True)
class Smoothing:
    """A method of the tests: the observations of a few days, smoothed; it states one std everywhere."""

    std: float
    width: float = 12.0

    @property
    def reach(self) -> int:
        return 3

    def reconstruct(self, cube: xr.Dataset, days: np.ndarray) -> xr.Dataset:
        water = cube["water"].values

        def work(values: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            seen = np.isfinite(values).astype(np.float32)
            near = np.stack([np.nan_to_num(values[i : len(values) - 6 + i]) / (1 + (i - 3) ** 2) for i in range(7)])
            weight = np.stack([seen[i : len(values) - 6 + i] / (1 + (i - 3) ** 2) for i in range(7)])
            told = {"space": self.width, "cell": (7.0, 7.0), "water": water, "shrinkage": 0.05}
            mean = smooth(near.sum(axis=0), weight.sum(axis=0), **told)
            return mean, np.full(mean.shape, self.std, np.float32)

        return by_block(cube, days, window=7, reconstruct_block=work)

    def state(self) -> State:
        return State({"std": self.std})


def calibrated(cube: xr.Dataset, std: float) -> AnomalyReconstructor:
    seen = hide(cube, withhold(cube, protocol="hidden-day", share=0.01))
    return AnomalyReconstructor(CONFIG, fit_climatology(seen, CONFIG.climatology), Smoothing(std)).calibrated(seen)


def z_of(model: AnomalyReconstructor, cube: xr.Dataset, *, gaps: bool = True) -> float:
    """The std of the errors against the truth over the stated std, in all gaps or at observed pixels."""
    days = cube["time"].values[20:-20:3]
    analysis = model.reconstruct(cube, days).compute()
    z = ((analysis["mean"] - cube["truth"].sel(time=days)) / analysis["std"]).values
    return float(np.sqrt(np.mean(z[(analysis["source"].values == 1) != gaps] ** 2)))


@pytest.mark.statistical
@pytest.mark.usefixtures("all_samples")
@pytest.mark.parametrize("std", [0.1, 2.0])
@pytest.mark.parametrize(("white", "shared"), [(0.04, 0.0), (0.02, 0.06)])
def test_a_std_that_is_wrong_by_a_factor_comes_out_right(std: float, white: float, shared: float) -> None:
    cube = sea(white=white, shared=shared)
    model = calibrated(cube, std)
    for gaps in (True, False):
        assert z_of(model, cube, gaps=gaps) == pytest.approx(1, abs=0.1)
    assert not 0.5 < z_of(replace(model, calibration=Calibration()), cube) < 1.5


@pytest.mark.statistical
@pytest.mark.usefixtures("all_samples")
@pytest.mark.parametrize(("white", "shared"), [(0.04, 0.0), (0.02, 0.06)])
def test_at_pixels_withheld_under_the_clouds_of_one_day_the_std_is_a_little_too_wide(
    white: float, shared: float
) -> None:
    """They are easier than gaps: the day before and after shows more of their surroundings."""
    cube = sea(white=white, shared=shared)
    hidden = withhold(cube, protocol="clouds", share=0.2, seed=5)
    analysis = calibrated(cube, 2.0).reconstruct(hide(cube, hidden), hidden["time"].values).compute()
    z = ((analysis["mean"] - cube["truth"].sel(time=hidden["time"])) / analysis["std"]).values[hidden.values]
    assert 0.85 < np.sqrt(np.mean(z**2)) < 1


@pytest.mark.parametrize(("white", "shared"), [(0.04, 0.0), (0.02, 0.04), (0.0, 0.05)])
def test_errors_are_told_apart_and_measured(white: float, shared: float) -> None:
    found = ObservationError.estimate(sea(white=white, shared=shared, seed=3))
    assert found.variance == pytest.approx(white + shared, rel=0.15)
    assert found.shared == pytest.approx(shared, abs=0.006)
    if shared:
        assert found.length == pytest.approx(LENGTH, abs=1)


def test_errors_that_are_larger_near_clouds_are_measured_as_observations_have_them_on_average() -> None:
    cube = sea(white=0.02, shared=0.0, seed=3)
    seen = cube["sst"].notnull().values
    near_clouds = seen & (minimum_filter(seen, (1, 3, 3), mode="nearest") == 0)
    more = np.sqrt(0.08) * np.random.default_rng(0).standard_normal(seen.shape) * near_clouds
    cube["sst"] = cube["sst"] + more.astype(np.float32)
    expected = float(((cube["sst"] - cube["truth"]) ** 2).mean())
    assert expected > 0.04
    assert ObservationError.estimate(cube).variance == pytest.approx(expected, rel=0.1)


def test_a_short_record_tells_the_white_error_alone() -> None:
    found = ObservationError.estimate(sea(white=0.04, shared=0.04).isel(time=slice(0, 20)))
    assert found.shared == 0
    assert found.white == pytest.approx(0.04, rel=0.3)


def test_drawn_errors_have_the_variances_and_the_length() -> None:
    white, shared = ObservationError(0.3, 0.7, 4.0).draw((60, 64, 64), np.random.default_rng(0))
    assert white.var() == pytest.approx(0.3, rel=0.02)
    assert shared.var() == pytest.approx(0.7, rel=0.02)
    lagged = np.mean(shared[:, 4:] * shared[:, :-4])
    assert lagged / shared.var() == pytest.approx(np.exp(-0.5), abs=0.03)


def test_the_conditions_of_a_day_do_not_depend_on_the_days_that_share_its_block() -> None:
    values = np.random.default_rng(0).normal(size=(WINDOW + 11, 3, 4)).astype(np.float32)
    values[np.random.default_rng(1).random(values.shape) < 0.5] = np.nan
    known = {"scale": np.ones((3, 4)), "water": np.ones((3, 4), bool), "noise": 0.1}
    together = conditions(values, **known)
    for day in range(12):
        alone = conditions(values[day : day + WINDOW], **known)
        for found, expected in zip(together, alone, strict=True):
            np.testing.assert_allclose(found[day], expected[0], rtol=1e-12)


def test_conditions_are_those_of_a_count_by_hand() -> None:
    half = WINDOW // 2
    values = np.full((WINDOW, 1, 2), np.nan, np.float32)
    values[half - 2, 0, 0] = 3.0
    values[half + 1, 0, 0] = 1.0
    values[half + 6, 0, 1] = 2.0
    found = conditions(values, scale=np.full((1, 2), 2.0), water=np.ones((1, 2), bool), noise=0.5)
    np.testing.assert_array_equal(found.lag, [[[1, 6]]])
    np.testing.assert_allclose(found.bridge, [[[2 / 3, 6]]])
    np.testing.assert_array_equal(found.since, [[[2, np.inf]]])
    assert found.cover == [1]
    weights = 1 - np.array([2, 1, 6]) / (half + 1)
    assert found.counts[0, 0] == pytest.approx(weights.sum() / 2)
    assert found.totals[0, 0] == pytest.approx((weights * (np.array([9.0, 1.0, 4.0]) - 0.5)).sum() / 4 / 2)
    # One pair of one pixel, three days apart, counts on its second day.
    assert found.counts[0, 1] == pytest.approx(weights[1] / 2)
    assert found.totals[0, 1] == pytest.approx(weights[1] * (2.0**2 / 2 - 0.5) / 4 / 2)


def test_a_sea_without_observations_has_the_typical_variability() -> None:
    typical = np.array([0.8, 0.2])
    np.testing.assert_allclose(recent_variability(np.zeros((1, 2)), np.zeros((1, 2)), typical), 1)
    np.testing.assert_allclose(recent_variability(3 * typical[None], np.ones((1, 2)), typical), 3, rtol=0.12)


def test_where_nothing_was_seen_the_climatology_and_the_recent_mean_tell_the_std() -> None:
    cube = sea(white=0.02, shared=0.0)
    model = calibrated(cube, 0.1)
    blank = cube.assign(sst=cube["sst"] * np.float32(np.nan))
    for nrt in (False, True):
        analysis = model.reconstruct(blank, cube["time"].values[200:202], nrt=nrt)
        error = analysis["mean"] - cube["truth"].sel(time=analysis["time"])
        assert float(analysis["std"].mean()) == pytest.approx(float(cube["truth"].std()), rel=0.1)
        assert float(abs(error / analysis["std"]).max()) < 5


def test_the_calibration_is_kept_and_the_same_for_a_seed() -> None:
    cube = sea(white=0.02, shared=0.02)
    model = calibrated(cube, 0.3)
    again = calibrated(cube, 0.3)
    assert (again.calibration, again.near_real_time) == (model.calibration, model.near_real_time)
    saved = deepcopy(model.state()).values
    assert Calibration.from_values(saved["calibration"]) == model.calibration
    listed = {
        name: list(value) if isinstance(value, tuple) else value for name, value in saved["calibration"].items()
    }
    assert Calibration.from_values(listed) == model.calibration
    assert Calibration.from_values({}) == Calibration()


def test_the_calibrated_std_keeps_the_chunks_of_the_analysis() -> None:
    cube = sea(white=0.02, shared=0.02)
    model = calibrated(cube, 0.3)
    days = cube["time"].values
    analysis = model.reconstruct(cube, days)
    assert analysis["std"].chunksizes == analysis["mean"].chunksizes
    alone = model.reconstruct(cube, days[200:201])
    np.testing.assert_array_equal(alone["std"].values, analysis["std"].sel(time=days[200:201]).values)


@pytest.mark.parametrize("nrt", [None, False])
def test_of_a_short_record_too_the_progress_of_the_calibration_comes_near_its_end(nrt: bool | None) -> None:
    cube, told = sea(white=0.05, shared=0.0).isel(time=slice(20, 32)), list[float]()
    model = AnomalyReconstructor(CONFIG, fit_climatology(cube, CONFIG.climatology), Smoothing(0.5))
    model.calibrated(cube, nrt=nrt, progress=lambda stage, fraction: told.append(fraction))
    assert told[0] == 0
    assert told[-1] == 1
    assert told == sorted(told)
    assert told[-2] > 0.85
