"""Moments of all pairs of a record, and the covariance that is nearest to them."""

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from sereno.config import GriddedInterpolation, OptimalInterpolation
from sereno.progress import silent
from sereno.reconstruct.oi.method import OptimalInterpolation as Interpolation
from sereno.reconstruct.oi_grid.covariance import GriddedCovariance
from sereno.reconstruct.oi_grid.method import GriddedInterpolation as GriddedMethod
from sereno.reconstruct.oi_grid.regions import Region
from sereno.reconstruct.oi_grid.tuning import measure
from sereno.reconstruct.variogram import pairs
from sereno.reconstruct.variogram.covariance_terms import fit_terms
from sereno.reconstruct.variogram.pairs import BINS, LAGS, PairMoments, pair_moments, record_moments, record_pairs

SPACING = (5.0, 4.0)


def gappy(shape: tuple[int, ...], share: float = 0.5) -> np.ndarray:
    rng = np.random.default_rng(2)
    return np.where(rng.random(shape) < share, rng.normal(size=shape) + 0.7, np.nan)


def moments_of(values: np.ndarray) -> PairMoments:
    return pair_moments(record_pairs(values, SPACING), values.shape[1:], SPACING)


def a_sea(
    widths: list[float], times: list[float], *, days: int = 300, side: int = 40, noise: float = 0.3
) -> np.ndarray:
    """Draw a Gaussian sea on cells of 5 km: terms of variance 1, white noise, half of it below clouds."""
    rng = np.random.default_rng(4)
    place = 5.0 * np.arange(side)
    apart, lag = np.abs(place[:, None] - place), np.abs(np.subtract.outer(np.arange(days), np.arange(days)))
    field = noise * rng.normal(size=(days, side, side))
    for width, time in zip(widths, times, strict=True):
        along = np.linalg.cholesky(np.exp(-0.5 * (apart / width) ** 2) + 1e-8 * np.eye(side))
        scaled = np.sqrt(3) * lag / time
        in_time = np.linalg.cholesky((1 + scaled) * np.exp(-scaled) + 1e-8 * np.eye(days))
        field += np.einsum("st,tij,yi,xj->syx", in_time, rng.normal(size=field.shape), along, along, optimize=True)
    field[rng.random((days, side // 4, side // 4)).repeat(4, 1).repeat(4, 2) < 0.5] = np.nan
    return field


def test_the_sums_are_those_over_all_pairs() -> None:
    values = gappy((9, 6, 7))
    found = moments_of(values)
    cell = np.sqrt(SPACING[0] * SPACING[1])
    furthest = max(pairs.REACH / cell, pairs.FEWEST_CELLS)
    edges = cell * np.concatenate([[pairs.NEAREST / 2], np.geomspace(pairs.NEAREST, furthest, BINS)[1:]])
    day, row, column = np.argwhere(np.isfinite(values)).T
    value = values[day, row, column]
    apart = np.hypot(*(np.subtract.outer(n, n) * side for n, side in ((row, SPACING[0]), (column, SPACING[1]))))
    for place, lag in enumerate(LAGS):
        mine = day - day[:, None] == lag
        at = np.digitize(apart[mine], edges)
        first, second = (np.broadcast_to(v, mine.shape)[mine] for v in (value[:, None], value))
        np.testing.assert_array_equal(found.count[place], np.bincount(at, minlength=BINS + 1))
        for sums, part in ((found.products, first * second), (found.squares, (first**2 + second**2) / 2)):
            np.testing.assert_allclose(sums[place], np.bincount(at, part, BINS + 1), atol=1e-9)
    np.testing.assert_allclose(found.variogram[0, 0], 0, atol=1e-12)
    assert found.variance == pytest.approx(np.mean(value**2))
    assert found.images == 9


def test_any_pairs_will_do() -> None:
    """Those of a record in whichever order; an image that was moved; none at all."""
    values = gappy((9, 6, 7))
    backwards = pair_moments(reversed(list(record_pairs(values, SPACING))), (6, 7), SPACING)
    np.testing.assert_allclose(backwards.products, moments_of(values).products, atol=1e-9)
    here, moved = (pairs.Image(np.roll(values[0], by, 1), SPACING) for by in (0, 3))
    still, carried = (pair_moments([(1, here, there)], (6, 7), SPACING) for there in (here, moved))
    assert still.variogram[1, 0] < carried.variogram[1, 0]
    assert (pair_moments([], (6, 7), SPACING).count == 0).all()


def test_parts_and_runs_of_a_large_record_stand_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    values = a_sea([12.0], [4.0])
    read = lambda days, rows, columns: values[days, rows, columns]  # noqa: E731
    whole = record_moments(read, values.shape, 5.0, np.full(40, 5.0))
    monkeypatch.setattr(pairs, "TILE", 20)
    monkeypatch.setattr(pairs, "MOST_CELLS", 2e5)
    part = record_moments(read, values.shape, 5.0, np.full(40, 5.0))
    assert 0.2 * whole.count[:, 0].sum() < part.count[:, 0].sum() < 0.7 * whole.count[:, 0].sum()
    near = whole.distance[0] < 40
    np.testing.assert_allclose(part.variogram[:, near], whole.variogram[:, near], rtol=0.2, atol=0.02)


@pytest.mark.parametrize(("widths", "times"), [([15.0], [4.0]), ([8.0, 50.0], [3.0, 15.0])])
def test_the_scales_of_a_sea_are_found(widths: list[float], times: list[float]) -> None:
    values = a_sea(widths, times)
    moments = pair_moments(record_pairs(values, (5.0, 5.0)), values.shape[1:], (5.0, 5.0))
    found = fit_terms(moments, len(widths), cell=5.0)
    order = np.argsort(found.widths)
    np.testing.assert_allclose(np.array(found.widths)[order], widths, rtol=0.25)
    np.testing.assert_allclose(np.array(found.times)[order], times, rtol=0.3)
    assert found.noise == pytest.approx(0.3, rel=0.1)
    assert found.shared_error < 0.25
    assert fit_terms(moments, len(widths), cell=5.0, noise=0.2).noise == pytest.approx(0.2, rel=1e-4)


@pytest.mark.parametrize("days", [0, 1, 3])
@pytest.mark.parametrize("share", [0.0, 0.02, 1.0])
def test_short_and_empty_records_have_a_covariance(days: int, share: float) -> None:
    found = fit_terms(moments_of(gappy((days, 6, 7), share)), 4, cell=5.0)
    assert all(type(number) is float and np.isfinite(number) and number > 0 for part in found[:3] for number in part)
    assert found.noise > 0
    assert min(found.widths) >= 5.0 * (1 - 1e-6)


def anomalies(values: np.ndarray, **extra: np.ndarray) -> xr.Dataset:
    """An anomaly cube of 1/20°, round the date line, the last column land; stated errors where given."""
    days, rows, columns = values.shape
    water = np.ones((rows, columns), bool)
    water[:, -1] = False
    dims = ("time", "lat", "lon")
    return xr.Dataset(
        {
            "anomaly": (dims, (0.5 * values).astype(np.float32), {"units": "kelvin"}),
            "water": (dims[1:], water),
            "climatology_std": (dims[1:], np.where(water, np.float32(0.5), np.float32(np.nan))),
            **{f"anomaly_{name}": (dims, value.astype(np.float32)) for name, value in extra.items()},
        },
        coords={
            "time": np.datetime64("2019-01-01", "ns") + np.arange(days) * np.timedelta64(1, "D"),
            "lat": 40 + 0.05 * np.arange(rows),
            "lon": 179 + 0.05 * np.arange(columns),
        },
        attrs={"field": "anomaly"},
    )


GRIDDED = GriddedInterpolation(window=5, terms=3, steps=2)


@pytest.mark.statistical
@pytest.mark.usefixtures("all_samples")
@pytest.mark.parametrize("days", [8, 320])
def test_the_scales_are_the_same_whatever_the_seed(days: int) -> None:
    sea = anomalies(a_sea([10.0, 40.0], [3.0, 9.0], days=days, side=12))
    one, other = (GriddedMethod.fit(sea, GRIDDED, seed=seed) for seed in (0, 1))
    assert one.covariance == other.covariance
    one, other = (Interpolation.fit(sea, OptimalInterpolation(window=5), seed=seed) for seed in (0, 1))
    assert one.covariance == other.covariance


def test_the_scales_hardly_depend_on_the_years() -> None:
    values = a_sea([10.0, 40.0], [3.0, 9.0], days=640, side=24)
    region = Region.of(anomalies(values[:2]))
    early, late = (measure([anomalies(v)], region, GRIDDED, progress=silent)[0] for v in (values[:320], values[320:]))
    apart, lag = np.array([0.0, 5.0, 10.0, 20.0]), np.array([[0.0], [1.0], [3.0]])

    def variogram(found: GriddedCovariance) -> np.ndarray:
        parts = zip(found.variances, found.widths, found.times, strict=True)
        return sum(v * (1 - np.exp(-0.5 * (apart / w) ** 2) * matern(lag / t)) for v, w, t in parts)

    np.testing.assert_allclose(variogram(early), variogram(late), rtol=0.2)


@pytest.mark.parametrize("share", [0.0, 0.5])
@pytest.mark.parametrize("days", [1, 3])
def test_any_record_has_scales(days: int, share: float) -> None:
    sea = anomalies(gappy((days, 12, 13), share))
    for cube in (
        sea,
        sea.assign(water=xr.zeros_like(sea["water"]), climatology_std=xr.full_like(sea["climatology_std"], 0.5)),
    ):
        found, _, white = measure([cube], Region.of(cube), GRIDDED, progress=silent)
        assert all(
            np.isfinite(number) and number > 0 for part in (*vars(found).values(), 1.0) for number in np.ravel(part)
        )
        assert np.isfinite(white)


def test_errors_are_in_the_unit_of_the_field() -> None:
    values = a_sea([15.0], [4.0], days=320, side=24)
    stated = np.where(np.isfinite(values), 0.3, np.nan)
    found, typical, white = measure(
        [anomalies(values, error=stated)], Region.of(anomalies(values[:2])), GRIDDED, progress=silent
    )
    assert found.noise == pytest.approx(0.5 * 0.3, rel=0.15)
    assert white == pytest.approx(0.5 * 0.3, rel=0.15)
    assert typical == pytest.approx(0.3)
    given = GriddedInterpolation(window=5, terms=3, noise=0.2)
    assert measure([anomalies(values)], Region.of(anomalies(values[:2])), given, progress=silent)[
        0
    ].noise == pytest.approx(0.2)


def matern(scaled: np.ndarray) -> np.ndarray:
    return (1 + np.sqrt(3) * scaled) * np.exp(-np.sqrt(3) * scaled)


def test_torch_is_not_needed() -> None:
    """Pre-training takes this module to machines that have little else than numpy and scipy."""
    code = (
        "import sys, sereno.reconstruct.variogram.covariance_terms\n"
        "print([name for name in ('torch', 'xarray', 'pandas', 'pydantic', 'dask') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
