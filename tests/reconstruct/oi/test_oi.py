from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
import xarray as xr
from pykrige.ok import OrdinaryKriging

import sereno
from sereno.config import parse_config
from sereno.cube import make_cube
from sereno.errors import InputError
from sereno.gaps.samples import Sample, samples
from sereno.reconstruct.oi.analysis import analyse_day, batches
from sereno.reconstruct.oi.covariance import SCALES, Covariance, published, start
from sereno.reconstruct.oi.equations import Points, analyse
from sereno.reconstruct.oi.fitting import fit_family
from sereno.reconstruct.oi.neighbours import Blocks, Geometry, Squares, visible
from sereno.reconstruct.oi.super_observations import Lattice, build
from sereno.reconstruct.variogram.pairs import PairMoments, pair_moments, record_pairs

EXPONENTIAL = Covariance("exponential", (60.0, 5.0), amplitude=1.2, noise=0.2)


def of_cells(geometry: Geometry) -> Geometry:
    """The same without blocks and super-observations."""
    lattice = Lattice(geometry.water.shape, 1)
    return replace(geometry, side=1, lattice=lattice, squares=Squares.of(geometry.water, lattice))


def geometry_of(
    water: np.ndarray, covariance: Covariance = EXPONENTIAL, *, cell: float = 10.0, half: int = 2
) -> Geometry:
    return Geometry.of(water, height=cell, width=np.full(water.shape[0], cell), half=half, covariance=covariance)


def analysed(
    values: np.ndarray, geometry: Geometry, *, most: int = 60, scale: float = 0.8
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of the middle day."""
    scales = np.full(geometry.water.shape, scale, np.float32)
    made = batches(geometry, Blocks.of(geometry.water, geometry.side))
    return analyse_day(
        build(values, geometry.lattice, geometry.squares.water),
        len(values) // 2,
        made,
        geometry,
        scale=scales,
        most=most,
    )


def gappy(rng: np.random.Generator, shape: tuple[int, ...], share: float = 0.4) -> np.ndarray:
    return np.where(rng.random(shape) < share, rng.normal(size=shape), np.nan).astype(np.float32)


def scattered(rng: np.random.Generator, count: int) -> Points:
    x, y = (torch.tensor(rng.uniform(-100, 100, (1, count))) for _ in range(2))
    return Points(x, y, torch.zeros(1, count).double(), torch.ones(1, count).double())


@pytest.mark.parametrize("family", SCALES)
def test_the_equations_are_those_of_a_dense_solve(family: str) -> None:
    rng = np.random.default_rng(1)
    covariance = replace(start(family, noise=0.3), amplitude=1.4, correlated_noise=0.25, noise_length=40.0)
    n, m = 30, 7
    x, y, lag, s = rng.uniform(-90, 90, n), rng.uniform(-90, 90, n), rng.integers(-3, 4, n), rng.uniform(0.5, 1.5, n)
    value, noise = rng.normal(size=n), rng.uniform(0.3, 2, n)
    tx, ty, ts = rng.uniform(-50, 50, m), rng.uniform(-50, 50, m), rng.uniform(0.5, 1.5, m)

    def rho(distance: float, days: float) -> float:
        return float(covariance.correlation(torch.tensor(distance).double(), torch.tensor(days).double()))

    c = np.array([[1.96 * s[i] * s[j] * rho(np.hypot(x[i] - x[j], y[i] - y[j]), abs(lag[i] - lag[j]))
                   for j in range(n)] for i in range(n)])  # fmt: skip
    shared = np.array([[0.0625 * np.exp(-np.hypot(x[i] - x[j], y[i] - y[j]) / 40) * (lag[i] == lag[j])
                        for j in range(n)] for i in range(n)])  # fmt: skip
    across = np.array([[1.96 * s[i] * ts[j] * rho(np.hypot(x[i] - tx[j], y[i] - ty[j]), abs(lag[i]))
                        for j in range(m)] for i in range(n)])  # fmt: skip
    weights = np.linalg.solve(c + shared + 0.09 * np.diag(noise), across)
    points = Points(*(torch.tensor(a)[None].double() for a in (x, y, lag, s)))
    target = Points(*(torch.tensor(a)[None].double() for a in (tx, ty, np.zeros(m), ts)))
    known = torch.ones(1, n, dtype=torch.bool)
    mean, variance = analyse(points, torch.tensor(value)[None], torch.tensor(noise)[None], known, target, covariance)
    np.testing.assert_allclose(mean[0], weights.T @ value, rtol=1e-9)
    np.testing.assert_allclose(variance[0], 1.96 * ts**2 - (across * weights).sum(axis=0), rtol=1e-9)


def test_padding_changes_nothing() -> None:
    rng = np.random.default_rng(2)
    points, target = scattered(rng, 12), scattered(rng, 3)
    value, noise = torch.tensor(rng.normal(size=(1, 12))), torch.ones(1, 12).double()
    padded = Points(
        *(torch.cat([getattr(points, n), torch.full((1, 5), 7.0).double()], 1) for n in Points.__match_args__)
    )
    known = torch.arange(17)[None] < 12
    filled = torch.cat([value, torch.full((1, 5), 99.0)], 1)
    expected = analyse(points, value, noise, known[:, :12], target, EXPONENTIAL)
    found = analyse(padded, filled, torch.ones(1, 17).double(), known, target, EXPONENTIAL)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_with_a_vague_mean_it_is_the_ordinary_kriging_of_pykrige() -> None:
    rng = np.random.default_rng(3)
    points, target, value = scattered(rng, 25), scattered(rng, 6), rng.normal(size=25)
    vague = 1e6  # variance of a constant that no observation is far from
    amplitude = np.sqrt(1 + vague)
    covariance = Covariance("two-scale", (40.0, 1.0, 1e9, 1.0, 1 / (1 + vague)), amplitude=amplitude, noise=0.3)

    def variogram(_: object, distance: np.ndarray) -> np.ndarray:
        r = np.sqrt(3) * distance / 40
        return np.where(distance > 0, 1 - (1 + r) * np.exp(-r) + 0.09, 0.0)

    x, y = points.x[0].numpy(), points.y[0].numpy()
    other = OrdinaryKriging(
        x, y, value, variogram_model="custom", variogram_parameters=[], variogram_function=variogram
    )
    expected, spread = other.execute("points", target.x[0].numpy(), target.y[0].numpy())
    known, ones = torch.ones(1, 25, dtype=torch.bool), torch.ones(1, 25).double()
    mean, variance = analyse(points, torch.tensor(value)[None], ones, known, target, covariance)
    np.testing.assert_allclose(mean[0], expected, atol=1e-5)
    np.testing.assert_allclose(variance[0], spread - 0.09, atol=1e-4)


def test_on_a_grid_with_room_for_all_observations_it_is_the_dense_solve() -> None:
    rng = np.random.default_rng(4)
    values = gappy(rng, (3, 6, 7))
    covariance = replace(EXPONENTIAL, scales=(8.0, 2.0))  # cells of 10 km: blocks are cells, and nothing is merged
    geometry = geometry_of(np.ones((6, 7), bool), covariance, half=1)
    assert geometry.side == 1
    mean, variance = analysed(values, of_cells(geometry), most=126)
    day, row, column = np.argwhere(np.isfinite(values)).T
    place = np.stack([row, column], axis=1) * 10.0
    cells = np.stack(np.mgrid[:6, :7], axis=-1).reshape(-1, 2) * 10.0
    reach = covariance.reach
    for cell, got, spread in zip(cells, mean.ravel(), variance.ravel(), strict=True):
        away = np.hypot(*(place - cell).T)
        near = away <= reach
        assert near.sum() > 5
        apart = np.hypot(*(place[near][:, None] - place[near]).T).T
        lags = np.abs(day[near][:, None] - day[near])
        c = (1.2 * 0.8) ** 2 * np.exp(-apart / 8 - lags / 2)
        across = (1.2 * 0.8) ** 2 * np.exp(-away[near] / 8 - np.abs(day[near] - 1) / 2)
        weights = np.linalg.solve(c + 0.04 * np.eye(near.sum()), across)
        assert got == pytest.approx(weights @ values[day, row, column][near], abs=2e-5)
        assert spread == pytest.approx((1.2 * 0.8) ** 2 - weights @ across, abs=2e-5)


def test_blocks_and_super_observations_change_little() -> None:
    """Against one neighbourhood a cell and every observation on its own, over a smooth field."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:32, :32]
    field = np.sin(x / 9) * np.cos(y / 11)
    values = np.where(rng.random((5, 32, 32)) < 0.35, field + 0.2 * rng.normal(size=(5, 32, 32)), np.nan)
    geometry = geometry_of(np.ones((32, 32), bool), replace(EXPONENTIAL, scales=(120.0, 6.0)))
    assert geometry.side == 4
    assert geometry.lattice.levels >= 3
    alone = of_cells(geometry)
    together, each = analysed(values, geometry, most=150)[0], analysed(values, alone, most=150)[0]
    errors = [np.sqrt(np.mean((one - field) ** 2)) for one in (together, each)]
    assert errors[0] < 1.05 * errors[1]
    assert np.abs(np.diff(together, axis=1)).max() < 1.3 * np.abs(np.diff(each, axis=1)).max()  # no seams


def test_a_stencil_parts_the_plane() -> None:
    geometry = geometry_of(np.ones((80, 80), bool), replace(EXPONENTIAL, scales=(100.0, 4.0)), cell=5.0)
    largest = geometry.lattice.largest
    for row, column in product(range(0, largest, geometry.side), repeat=2):
        stencil = geometry.stencil(row, column)
        for lag in (-2, 0, 1):
            covered = np.zeros((400, 400), int)
            mine = stencil.lag == lag
            for level, i, j in zip(stencil.level[mine], stencil.row[mine], stencil.column[mine], strict=True):
                side = 1 << level
                covered[200 + i * side : 200 + (i + 1) * side, 200 + j * side : 200 + (j + 1) * side] += 1
            centre = 200 + np.array([row, column]) + geometry.side / 2 - 0.5
            away = np.hypot(*(np.mgrid[:400, :400] - centre[:, None, None])) * 5
            assert (covered[away < 0.9 * geometry.covariance.reach] == 1).all()
            assert covered.max() == 1


def test_all_that_lies_beyond_the_grid_is_one_empty_square() -> None:
    lattice = Lattice((5, 9), 3)
    assert [lattice.size(level) for level in range(3)] == [(8, 12), (4, 6), (2, 3)]
    number = lattice.numbers(
        np.array([[1, 2]]), np.array([0, 2, 2, 1, 0]), np.array([3, 1, 0, 0, 0]), np.array([3, 0, 1, -6, 0])
    )
    beyond = 96 + 24 + 6
    np.testing.assert_array_equal(number, [[95, beyond, beyond, beyond, 4 * 12 + 8]])
    pyramid = build(np.ones((1, 5, 9), np.float32), lattice, np.ones((3, 5, 9), bool))
    assert pyramid.count.shape == (1, beyond + 1)
    assert pyramid.count[0, -1] == 0


def test_super_observations_are_means_with_their_place_and_noise() -> None:
    rng = np.random.default_rng(6)
    values, stated = gappy(rng, (2, 8, 8)), rng.uniform(0.5, 2, (2, 8, 8)).astype(np.float32)
    lattice = Lattice((8, 8), 3)
    pyramid = build(values, lattice, np.ones((3, 8, 8), bool), relative_variance=stated)
    width = lattice.size(2)[1]
    square = lattice.offsets[2] + 1 * width + 0  # the lower left square of four cells, in the margin's count
    seen = np.isfinite(values[1, 4:8, :4])
    rows, columns = np.nonzero(seen)
    assert pyramid.count[1, square] == seen.sum()
    assert pyramid.value[1, square] == pytest.approx(values[1, 4:8, :4][seen].mean(), rel=1e-5)
    assert pyramid.row[1, square] == pytest.approx(rows.mean() - 1.5, abs=2e-3)
    assert pyramid.column[1, square] == pytest.approx(columns.mean() - 1.5, abs=2e-3)
    assert pyramid.noise[1, square] == pytest.approx(stated[1, 4:8, :4][seen].sum() / seen.sum() ** 2, rel=1e-5)
    assert pyramid.count[:, : lattice.offsets[1]].sum() == np.isfinite(values).sum()


def test_nothing_is_seen_across_land() -> None:
    rng = np.random.default_rng(7)
    water = np.ones((16, 33), bool)
    water[:, 16] = False
    values = np.full((3, 16, 33), np.nan, np.float32)
    values[:, :, :16] = gappy(rng, (3, 16, 16))
    geometry = geometry_of(water, replace(EXPONENTIAL, scales=(200.0, 5.0)), half=1)
    mean, variance = analysed(values, geometry)
    np.testing.assert_array_equal(mean[:, 17:], 0)
    np.testing.assert_allclose(variance[:, 17:], (1.2 * 0.8) ** 2, rtol=1e-6)
    assert np.isfinite(mean[water]).all()
    assert (variance[:, :16] < 0.5 * (1.2 * 0.8) ** 2).mean() > 0.9
    other = values.copy()
    other[:, :, 17:] = gappy(rng, (3, 16, 16))
    np.testing.assert_array_equal(analysed(other, geometry)[0][:, :16], mean[:, :16])


def test_round_a_headland_nothing_is_seen() -> None:
    water = np.ones((9, 9), bool)
    water[:3, 4] = False
    squares = np.array([[[0.0, 8.0], [8.0, 8.0], [0.0, 0.0]]])
    seen = visible(water, np.array([[0, 1]]), squares)
    np.testing.assert_array_equal(seen, [[False, True, True]])


def test_no_square_has_water_on_both_sides_of_a_spit() -> None:
    water = np.ones((8, 8), bool)
    water[:, 2] = False
    lattice = Lattice((8, 8), 4)
    squares = Squares.of(water, lattice)
    np.testing.assert_array_equal(squares.water[0], water)
    np.testing.assert_array_equal(squares.water[2], water & (np.arange(8) != 3))
    np.testing.assert_array_equal(squares.water[3], water & (np.arange(8) > 2))
    square = lattice.numbers(np.array([[0, 0]]), *np.array([[3], [0], [0]]))[0]
    row, column = squares.centre[square][0]
    assert 3 <= row <= 4
    assert column == 5


def test_blocks_hold_all_water_once_and_never_both_sides_of_a_spit() -> None:
    rng = np.random.default_rng(8)
    water = rng.random((21, 30)) < 0.7
    blocks = Blocks.of(water, 4)
    np.testing.assert_array_equal(blocks.members >= 0, water)
    assert set(np.unique(blocks.members)) - {-1} == set(range(len(blocks.row)))
    spit = np.ones((4, 8), bool)
    spit[:, 1] = False
    members = Blocks.of(spit, 4).members
    assert members[0, 0] != members[0, 2]
    for block, (row, column) in enumerate(blocks.centre):
        assert blocks.members[row, column] == block


@pytest.mark.statistical
def test_an_observation_of_a_large_stated_error_counts_for_less() -> None:
    """The cube's own errors are used: a wrong value that is said to be bad hardly moves the analysis."""
    rng = np.random.default_rng(9)
    sst = (290 + 0.1 * rng.normal(size=(40, 12, 12))).astype(np.float32)
    sst[:, ::2] = np.nan
    wrong = np.zeros(sst.shape, bool)
    wrong[20, 5, 5] = True
    error = np.where(wrong, 3.0, 0.1).astype(np.float32)
    lat, lon, time = (
        40 + 0.1 * np.arange(12),
        5 + 0.1 * np.arange(12),
        np.arange("2020-01-01", "2020-02-10", dtype="M8[D]"),
    )

    def moved(extra: dict[str, np.ndarray]) -> float:
        config = parse_config({"model": {"method": "oi", "covariance": "exponential", "parameters": "paper"}})
        right, spoilt = (
            make_cube(values, time=time, lat=lat, lon=lon, water=np.ones((12, 12), bool), extra=extra)
            for values in (sst, np.where(wrong, np.float32(294), sst))
        )
        model = sereno.fit(right, config)
        maps = [sereno.fill(cube, model, days=str(time[20]))["mean"].values for cube in (right, spoilt)]
        return float(np.abs(maps[1] - maps[0]).max())

    assert moved({"sst_error": error}) < 0.05 * moved({})


def simulated(rng: np.random.Generator, covariance: Covariance, days: int, side: int) -> np.ndarray:
    """Draw a Gaussian field with a separable covariance and its observations' noise, (day, side, side)."""
    y, x = (a.ravel() * 10.0 for a in np.mgrid[:side, :side])
    apart = torch.tensor(np.hypot(x[:, None] - x, y[:, None] - y))
    length, time = covariance.scales
    lags = np.abs(np.subtract.outer(np.arange(days), np.arange(days)))
    in_space = torch.exp(-apart / length).numpy() + 1e-9 * np.eye(side**2)
    in_time = np.exp(-lags / time) + 1e-9 * np.eye(days)
    white = rng.normal(size=(days, side**2))
    field = np.linalg.cholesky(in_time) @ white @ np.linalg.cholesky(in_space).T
    shared = (
        rng.normal(size=field.shape)
        @ np.linalg.cholesky(np.exp(-apart.numpy() / covariance.noise_length) + 1e-9 * np.eye(side**2)).T
    )
    noise = covariance.noise * rng.normal(size=field.shape) + covariance.correlated_noise * shared
    return (covariance.amplitude * field + noise).reshape(days, side, side)


def test_the_covariance_that_made_a_field_is_found() -> None:
    rng = np.random.default_rng(10)
    made = Covariance("exponential", (60.0, 8.0), amplitude=0.7, noise=0.15, correlated_noise=0.2, noise_length=50.0)
    field = simulated(rng, made, 300, 16) / 0.5  # in climatological standard deviations, of 0.5 K
    seen = np.where(rng.random((300, 4, 4)).repeat(4, 1).repeat(4, 2) < 0.6, field, np.nan)
    moments = pair_moments(record_pairs(seen, (10.0, 10.0)), (16, 16), (10.0, 10.0))
    found = fit_family(moments, start("exponential", noise=0.2), unit=0.5, cell=10.0)
    length, time = found.scales
    variance = (found.amplitude * 0.5) ** 2
    assert variance / length == pytest.approx(0.49 / 60, rel=0.3)  # what is told apart at short distances
    assert time == pytest.approx(8, rel=0.3)
    assert found.noise == pytest.approx(0.15, rel=0.2)
    assert found.correlated_noise == pytest.approx(0.2, rel=0.3)


@pytest.mark.parametrize("family", SCALES)
def test_every_family_has_a_covariance_without_observations(family: str) -> None:
    first = start(family, noise=0.2)
    found = fit_family(PairMoments.none(), first, unit=0.5, cell=5.0).vector().numpy()
    assert found == pytest.approx(first.vector().numpy())


def test_a_given_noise_is_kept() -> None:
    method = {"method": "oi", "noise": 0.33, "covariance": "matern", "observations": 24}
    model = sereno.fit(tiny_sea(), parse_config({"model": method, "calibration_days": 8}))
    assert model.reconstructor.inner.covariance.noise == pytest.approx(0.33)  # type: ignore[attr-defined]


def tiny_sea() -> xr.Dataset:
    rng = np.random.default_rng(11)
    values = (290 + gappy(rng, (60, 10, 10))).astype(np.float32)
    return make_cube(
        values, time=np.arange("2020-01-01", "2020-03-01", dtype="M8[D]"), lat=40 + 0.1 * np.arange(10),
        lon=5 + 0.1 * np.arange(10), water=np.ones((10, 10), bool),
    )  # fmt: skip


def test_published_parameters() -> None:
    """Buongiorno Nardelli et al. 2013: 180 km, 7 days; Marullo et al. 2007: 150 km, 27 days, 0.70, 0.26, 0.4."""
    one = published("exponential", noise=0.2).correlation(torch.tensor([180.0, 0.0]), torch.tensor([0.0, 7.0]))
    np.testing.assert_allclose(one, np.exp([-1, -1]), rtol=1e-6)
    other = published("operational", noise=0.2).correlation(torch.tensor([50.0]), torch.tensor([3.0]))
    expected = (0.7 * np.exp(-50 / 150) + 0.3 / 51**0.26) * np.exp(-((3 / 27) ** 0.4))
    np.testing.assert_allclose(other, expected, rtol=1e-6)
    with pytest.raises(InputError, match="no published parameters"):
        parse_config({"model": {"method": "oi", "parameters": "paper"}})


def test_a_record_without_anything_to_withhold_is_fitted_all_the_same() -> None:
    rng = np.random.default_rng(12)
    values = np.full((5, 6, 6), np.nan, np.float32)
    values[2, 0, 0] = 290 + rng.normal()
    cube = make_cube(
        values, time=np.arange("2020-01-01", "2020-01-06", dtype="M8[D]"), lat=np.arange(6), lon=np.arange(6),
        water=np.ones((6, 6), bool),
    )  # fmt: skip
    analysis = sereno.fill(cube, "oi").compute()
    assert np.isfinite(analysis["mean"]).all()
    assert (analysis["std"] > 0).all()


def test_samples_carry_the_stated_errors() -> None:
    sea = tiny_sea()
    stated = sea.assign(sst_error=xr.where(sea["sst"].notnull(), 0.25, np.nan).astype("float32"))
    with_error, without = (list(samples(cube, window=5, count=3, side=10)) for cube in (stated, sea))
    assert all(isinstance(sample, Sample) and sample.error is None for sample in without)
    for sample in with_error:
        assert sample.error is not None
        assert sample.error.shape == sample.values.shape
        assert (sample.error[np.isfinite(sample.values)] == 0.25).all()
