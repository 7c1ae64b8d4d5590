"""Gridded optimal interpolation: its solver against dense matrices, its kernels, its tuning."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from scipy.ndimage import gaussian_filter

import sereno
from sereno.config import GriddedInterpolation as GriddedInterpolationConfig
from sereno.config import parse_config
from sereno.gaps.samples import Sample
from sereno.grids.cells import cell_size
from sereno.reconstruct.oi_grid import regions, solver, tuning
from sereno.reconstruct.oi_grid.covariance import GriddedCovariance, day_blocks, terms_of
from sereno.reconstruct.oi_grid.covariance_terms import MATERN_ERRORS, MATERN_GAUSSIANS, root
from sereno.reconstruct.oi_grid.explained_variance import explained
from sereno.reconstruct.oi_grid.kernels import Axis, Nodes, Smoother
from sereno.reconstruct.oi_grid.method import GriddedInterpolation
from sereno.reconstruct.oi_grid.regions import RUN, Region, runs
from sereno.reconstruct.oi_grid.solver import Grid, Solver, Term, two_scale_terms
from sereno.reconstruct.oi_grid.tuning import tune
from sereno.reconstruct.uncertainty.spread import Spread

DAYS = 5
TERMS = [Term(0.6, 10.0, 3.0), Term(0.4, 40.0, 8.0), Term(0.05, 30.0, 0.0, False)]


def open_sea(rows: int, columns: int, side: float = 5.0) -> Grid:
    return Grid(torch.ones(1, rows, columns, dtype=torch.bool), side, torch.full((rows,), side))


def observations(grid: Grid, share: float = 0.3) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(3)
    shape = (1, DAYS, *grid.water.shape[1:])
    seen = torch.from_numpy(rng.random(shape) < share) & grid.water[:, None]
    return torch.from_numpy(rng.normal(size=shape)).float(), torch.where(seen, 9.0, 0.0)


def correlation(term: Term, grid: Grid) -> np.ndarray:
    """Return the covariance of all cells and days under a term, by its definition."""
    _, lat, lon = grid.water.shape
    day, row, column = (axis.ravel() for axis in np.indices((DAYS, lat, lon)))
    y, x = row * grid.height, column * float(grid.widths[0])
    square = (y[:, None] - y) ** 2 + (x[:, None] - x) ** 2
    lag = np.abs(day[:, None] - day)
    scaled = np.sqrt(3) * lag / term.time if term.time else np.where(lag > 0, np.inf, 0.0)
    with np.errstate(invalid="ignore"):
        in_time = np.where(np.isinf(scaled), 0.0, (1 + scaled) * np.exp(-scaled))
    return term.variance * np.exp(-square / (2 * term.width**2)) * in_time


def dense(terms: list[Term], grid: Grid, values: torch.Tensor, precision: torch.Tensor) -> np.ndarray:
    """Return C (C + N)⁻¹ d with dense matrices."""
    signal = sum(correlation(t, grid) for t in terms if t.signal)
    error = sum(correlation(t, grid) for t in terms if not t.signal)
    seen = (precision > 0).numpy().ravel()
    noise = np.diag(1 / precision.numpy().ravel()[seen])
    inside = np.ix_(seen, seen)
    weights = np.linalg.solve((signal + error)[inside] + noise, values.numpy().ravel()[seen].astype(float))
    return (signal[:, seen] @ weights).reshape(values.shape)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the solver take as many steps as it wants."""
    monkeypatch.setattr(solver, "TOGETHER", (200, 200, 200, 300))
    monkeypatch.setattr(solver, "FIRST", 300)
    monkeypatch.setattr(solver, "TOLERANCE", 1e-6)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("shape", [(9, 12), (18, 17)])
def test_the_analysis_is_that_of_dense_matrices(shape: tuple[int, int]) -> None:
    grid = open_sea(*shape)
    values, precision = observations(grid)
    found = Solver(TERMS, grid, DAYS).analyse(values, precision).numpy()
    expected = dense(TERMS, grid, values, precision)
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.015 * expected.std()


def test_few_steps_come_near_it() -> None:
    grid = open_sea(24, 24)
    values, precision = observations(grid)
    smooth = torch.from_numpy(dense(TERMS, grid, values, precision)).float()
    found = Solver(TERMS, grid, DAYS).analyse(smooth, precision).numpy()
    expected = dense(TERMS, grid, smooth, precision)
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.08 * expected.std()


def test_a_rounding_of_the_input_is_a_rounding_of_the_analysis() -> None:
    """Conjugate gradients by themselves magnify it ten thousand times, and maps depend on the processor."""
    grid, shape = open_sea(64, 96), (1, DAYS, 64, 96)
    terms = [Term(0.4, 120.0, 12.0), Term(0.3, 60.0, 6.0), Term(0.2, 30.0, 3.0), Term(0.1, 15.0, 1.5)]
    rng = np.random.default_rng(0)
    sea, clouds = (gaussian_filter(rng.normal(size=shape), (0, 1, 7, 7)) for _ in range(2))
    values = torch.from_numpy(sea / sea.std() + 0.3 * rng.normal(size=shape)).float()
    precision = torch.from_numpy(np.where(clouds > 0, 100.0, 0.0)).float()
    rounded = values * torch.from_numpy(1 + 1e-7 * rng.normal(size=shape)).float()
    with torch.inference_mode():
        solver = Solver(terms, grid, DAYS)
        one, other = (solver.analyse(each, precision) for each in (values, rounded))
    torch.testing.assert_close(one, other, rtol=0, atol=3e-5)


@pytest.mark.usefixtures("patient")
def test_days_in_blocks_change_little_on_the_target_day() -> None:
    grid = open_sea(16, 16)
    terms = [Term(1.0, 40.0, 4.0)]
    values, precision = observations(grid)
    smooth = torch.from_numpy(dense(terms, grid, values, precision)).float()
    whole = Solver(terms, grid, DAYS).analyse(smooth, precision)[:, 2]
    solver = Solver(terms, grid, DAYS, [2, 1, 1, 1, 2])
    assert solver.analysed == [1, 2, 3]
    in_blocks = solver.analyse(smooth, precision)
    assert in_blocks.shape == (1, 3, 16, 16)
    assert float((in_blocks[:, 1] - whole).square().mean().sqrt()) < 0.05 * float(whole.std())


def test_nothing_observed_is_exactly_nothing() -> None:
    grid = open_sea(16, 16)
    values, _ = observations(grid)
    assert (Solver(TERMS, grid, DAYS).analyse(values, torch.zeros_like(values)) == 0).all()


@pytest.mark.usefixtures("patient")
def test_windows_of_a_batch_do_not_see_each_other() -> None:
    water = torch.ones(2, 16, 16, dtype=torch.bool)
    water[1, :, 6:9] = False
    widths = torch.full((16,), 5.0)
    values, precision = observations(Grid(water[:1], 5.0, widths))
    values, precision = values.repeat(2, 1, 1, 1), precision.repeat(2, 1, 1, 1) * water[:, None]
    together = Solver(TERMS, Grid(water, 5.0, widths), DAYS).analyse(values, precision)
    for k in (0, 1):
        alone = Solver(TERMS, Grid(water[k : k + 1], 5.0, widths), DAYS).analyse(
            values[k : k + 1], precision[k : k + 1]
        )
        torch.testing.assert_close(together[k : k + 1], alone, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("width", [8.0, 14.0, 60.0])
@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("shape", [(20, 30), (24, 200)])
def test_gather_is_the_adjoint_of_smooth(width: float, factor: int, shape: tuple[int, int]) -> None:
    grid = open_sea(*shape)
    grid.water[0, 5:9, 8:12] = False
    term = Term(1.0, width, 3.0)
    nodes = (
        Nodes.along(shape[0], deviation=term.deviation, longest=5.0, shortest=5.0),
        Nodes.along(shape[1], deviation=term.deviation, longest=5.0, shortest=5.0),
    )
    smoother = Smoother.of(term, grid.coarser(factor), root(DAYS, 3.0), factor=factor, nodes=nodes)
    generator = torch.Generator().manual_seed(1)
    control = torch.randn(1, nodes[0].count, nodes[1].count, smoother.in_time.shape[1], generator=generator)
    field = smoother.smooth(control)
    other = torch.randn(field.shape, generator=generator)
    one, two = (field * other).double().sum(), (control * smoother.gather(other)).double().sum()
    assert float(one) == pytest.approx(float(two), rel=1e-4, abs=1e-2)


@pytest.mark.parametrize("factor", [2, 4])
def test_a_control_gives_the_same_field_on_coarser_grids(factor: int) -> None:
    grid, term = open_sea(32, 200), Term(1.0, 60.0, 3.0)
    nodes = tuple(Nodes.along(n, deviation=term.deviation, longest=5.0, shortest=5.0) for n in (32, 200))
    fine, coarse = (
        Smoother.of(term, grid.coarser(f), torch.eye(1), factor=f, nodes=(nodes[0], nodes[1])) for f in (1, factor)
    )
    control = torch.randn(1, nodes[0].count, nodes[1].count, 1, generator=torch.Generator().manual_seed(2))
    field = fine.smooth(control).permute(0, 3, 1, 2)
    means = torch.nn.functional.avg_pool2d(field, factor)
    assert float((coarse.smooth(control).permute(0, 3, 1, 2) - means).abs().max()) < 0.05 * float(field.std())


def test_blocks_of_a_kernel_are_the_kernel_itself() -> None:
    long = Nodes.along(300, deviation=10.0, longest=5.0, shortest=5.0)
    assert long.blocks > 1
    land = torch.zeros(1, 1, 300)
    land[..., 100:104] = 1
    axis = Axis.over_land(2, long, 1, land, torch.tensor([5.0]), torch.tensor(10.0))
    matrix = axis.smooth(torch.eye(long.count)[None, None])[0, 0]
    cells, places = torch.arange(300.0), long.places(1)
    across = land[0, 0].cumsum(0) - land[0, 0] / 2
    crossed = (across[:, None] - across[places.round().clamp(0, 299).long()]).abs()
    whole = torch.exp(-0.5 * (5.0 * ((cells[:, None] - places).abs() + 2 * crossed) / 10.0) ** 2)
    assert float((matrix - whole).abs().max()) < 0.012  # what is cut off beyond three standard deviations


def test_variance_is_that_of_the_terms_at_every_cell() -> None:
    grid = open_sea(12, 14)
    grid.water[0, 3:6, 4:9] = False
    term = Term(0.7, 25.0, 4.0)
    nodes = tuple(Nodes.along(n, deviation=term.deviation, longest=5.0, shortest=5.0) for n in (12, 14))
    smoother = Smoother.of(term, grid, torch.eye(1), factor=1, nodes=(nodes[0], nodes[1]))
    every = torch.eye(nodes[0].count * nodes[1].count).view(-1, nodes[0].count, nodes[1].count, 1)
    variance = torch.cat([smoother.smooth(one[None]) for one in every]).square().sum(0)
    torch.testing.assert_close(variance, torch.full_like(variance, 0.7), rtol=1e-4, atol=0)


@pytest.mark.usefixtures("patient")
def test_land_attenuates() -> None:
    grid, walled = open_sea(16, 24), open_sea(16, 24)
    walled.water[0, :, 11:14] = False
    values, precision = torch.ones(1, DAYS, 16, 24), torch.zeros(1, DAYS, 16, 24)
    precision[..., :11] = 100.0
    terms = [Term(1.0, 40.0, 5.0)]
    open_, behind = (Solver(terms, g, DAYS).analyse(values, precision)[0, 2, 8, 16] for g in (grid, walled))
    assert 0 <= float(behind) < 0.85 * float(open_)


def test_gaussians_add_up_to_matern() -> None:
    distance = np.linspace(0, 8, 801)
    matern = (1 + np.sqrt(3) * distance) * np.exp(-np.sqrt(3) * distance)
    for parts, stated in zip(MATERN_GAUSSIANS, MATERN_ERRORS, strict=True):
        total = sum(share * np.exp(-(distance**2) / (2 * width**2)) for share, width in parts)
        assert np.abs(total - matern).max() == pytest.approx(stated, abs=2e-4)


def test_two_scales_keep_their_variance() -> None:
    scales = {"length": 10.0, "time": 3.0, "large_length": 80.0, "large_time": 20.0, "share": 0.3}
    terms = two_scale_terms(scales, amplitude=1.2, shared_error=0.1, error_length=50.0)
    assert sum(t.variance for t in terms if t.signal) == pytest.approx(1.2**2, rel=1e-3)
    assert {t.time for t in terms if t.signal} == {3.0, 20.0}


@pytest.mark.parametrize("patience", [1, pytest.param(10, marks=pytest.mark.thorough)])
def test_the_gradient_is_that_of_finite_differences(patience: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After few steps as after many; their number must not change within the difference."""
    monkeypatch.setattr(solver, "TOLERANCE", 0.0)
    for name in ("FIRST", "ALONE"):
        monkeypatch.setattr(solver, name, patience * getattr(solver, name))
    grid = open_sea(16, 16)
    values, precision = observations(grid)

    def miss(logarithms: torch.Tensor) -> torch.Tensor:
        terms, noise = terms_of(logarithms, cell=5.0)
        return (Solver(terms, grid, DAYS).analyse(values, precision / noise**2) - values).square().mean()

    start = GriddedCovariance((0.5, 0.5), (12.0, 30.0), (3.0, 8.0), 1.0, 0.2, 40.0).logarithms().double()
    free = start.clone().requires_grad_()
    (slope,) = torch.autograd.grad(miss(free), free)
    for k in range(len(start)):
        step = 1e-3 * torch.eye(len(start))[k]
        with torch.no_grad():
            expected = (miss(start + step) - miss(start - step)) / 2e-3
        assert float(slope[k]) == pytest.approx(float(expected), rel=0.01, abs=1e-4), k


def drawn_from(term: Term, noise: float, count: int) -> tuple[list[Sample], Region]:
    """Draw samples of a sea of one term."""
    side, rng = 24, np.random.default_rng(5)
    grid = open_sea(side, side)
    nodes = tuple(Nodes.along(side, deviation=term.deviation, longest=5.0, shortest=5.0) for _ in range(2))
    smoother = Smoother.of(term, grid, root(7, term.time), factor=1, nodes=(nodes[0], nodes[1]))
    samples = []
    for k in range(count):
        generator = torch.Generator().manual_seed(k)
        control = torch.randn(1, nodes[0].count, nodes[1].count, smoother.in_time.shape[1], generator=generator)
        field = smoother.smooth(control).permute(0, 3, 1, 2)[0].numpy()
        values = (field + noise * rng.normal(size=field.shape)).astype(np.float32)
        values[rng.random(field.shape) < 0.5] = np.nan
        withheld = np.full((side, side), np.nan, np.float32)
        withheld[6:18, 6:18] = values[3, 6:18, 6:18]
        values[3, 6:18, 6:18] = np.nan
        samples.append(Sample(values, withheld, slice(0, side), slice(0, side)))
    region = Region(np.ones((side, side), bool), np.ones((side, side), np.float32), 5.0, np.full(side, 5.0))
    return samples, region


@pytest.mark.statistical
@pytest.mark.usefixtures("all_samples")
@pytest.mark.parametrize("width", [70.0, 75.0])  # where the noise of float32 in the gradient leads astray
def test_tuning_finds_the_scales_of_a_sea(width: float) -> None:
    samples, region = drawn_from(Term(1.0, 25.0, 4.0), 0.2, 12)
    first = GriddedCovariance((1.0,), (width,), (12.0,), 0.2, 0.05, 50.0)
    found = tune(samples, region, first, steps=40, typical_error=None, fixed_noise=True, progress=lambda _: None)
    assert found.widths[0] == pytest.approx(25.0, rel=0.3)
    assert 2.4 < found.times[0] < 7.0
    assert found.noise == pytest.approx(0.2, rel=1e-5)


@pytest.mark.statistical
@pytest.mark.usefixtures("all_samples")
def test_of_several_descents_none_errs_less_than_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "DESCENT", 4)
    samples, region = drawn_from(Term(1.0, 25.0, 4.0), 0.2, 6)
    first = GriddedCovariance((0.5, 0.5), (12.0, 60.0), (3.0, 20.0), 0.2, 0.05, 50.0)

    def squared_error(steps: int) -> float:
        how = {"typical_error": None, "fixed_noise": False, "progress": lambda _: None}
        logarithms = tune(samples, region, first, steps=steps, **how).logarithms().double()
        parts = [(s, region.part(s.rows, s.columns)) for s in samples]
        return sum(tuning._squared_error(s, here, logarithms, 5.0, None).item() for s, here in parts)

    one, two, three = (squared_error(steps) for steps in (4, 8, 12))  # descents, the first always the same
    assert two <= one
    assert three <= one
    assert min(two, three) < one


def test_far_days_are_taken_in_larger_blocks() -> None:
    grid = open_sea(64, 64)
    assert day_blocks([Term(1.0, 10.0, 2.0), Term(1.0, 80.0, 20.0)], grid, 15) == [4] * 5 + [1] * 5 + [4] * 5
    assert day_blocks([Term(1.0, 10.0, 99.0)], grid, 15) == [1] * 15
    assert day_blocks([Term(1.0, 300.0, 9.0)], grid, 3) == [4, 1, 4]


def test_explained_variance_follows_distance_and_age() -> None:
    region = Region(np.ones((40, 40), bool), np.ones((40, 40), np.float32), 5.0, np.full(40, 5.0))
    precision = np.zeros((7, 40, 40), np.float32)
    assert (explained(TERMS, region, precision) == 0).all()
    precision[3, 20, 20] = 25.0
    today = explained(TERMS, region, precision)
    assert 0.5 < today[20, 20] < 1
    assert today[20, 20] > today[20, 23] > today[20, 30]
    older = np.roll(precision, 2, axis=0)
    assert explained(TERMS, region, older)[20, 20] < today[20, 20]


def test_stated_errors_count(sea: xr.Dataset) -> None:
    config = parse_config({"model": {"method": "oi-grid", "window": 7, "terms": 2, "steps": 2}, "seed": 3})
    part = sea.isel(time=slice(40, 70))
    error = xr.full_like(part["sst"], 0.2).where(part["sst"].notnull())
    model = sereno.fit(part.assign(sst_error=error), config)
    assert model.reconstructor.inner.typical_error == pytest.approx(0.2, rel=1e-5)
    day = str(part["time"].values[15])[:10]
    doubtful = error.copy()
    doubtful[15] = doubtful[15] * 10
    one, other = (sereno.fill(part.assign(sst_error=e), model, days=day).compute() for e in (error, doubtful))
    seen = part["sst"][15].notnull().values & part["water"].values
    departure = [np.abs((a["mean"][0] - part["sst"][15]).values[seen]).mean() for a in (one, other)]
    assert departure[1] > 1.1 * departure[0]


def test_the_terms_come_back_from_values() -> None:
    covariance = GriddedCovariance((0.5, 0.2), (30.0, 10.0), (3.0, 9.0), 0.1, 0.2, 40.0)
    assert [t.width for t in covariance.terms()] == [10.0, 30.0, 40.0]
    again = GriddedCovariance.from_values({**vars(covariance), "widths": [30.0, 10.0]})
    assert again == covariance
    assert replace(covariance, noise=0.3) != covariance


def test_runs_are_the_same_whichever_days_are_asked_for() -> None:
    record, window = np.arange("2019-12-20", "2020-02-10", dtype="datetime64[D]"), 7
    reach = window // 2 + RUN - 1
    alone: dict[np.datetime64, tuple[np.datetime64, np.datetime64]] = {}
    for start, stop in ((0, 52), (3, 4), (7, 21), (30, 52)):
        part, handed = record[start:stop], record[start] - reach + np.arange(stop - start + 2 * reach)
        parted = runs(part, window=window)
        assert np.array_equal(np.concatenate([run.at for run in parted]), np.arange(len(part)))
        for run in parted:
            context = handed[run.context]
            assert len(context) == window + RUN - 1
            assert np.array_equal(context[run.targets + window // 2], part[run.at])
            for day in part[run.at]:
                assert alone.setdefault(day, (context[0], context[-1])) == (context[0], context[-1])


@pytest.mark.usefixtures("patient")
def test_the_parts_of_a_large_map_show_no_seam(sea: xr.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the halo is several widths, parts blended are the whole; a part of land alone is passed over."""
    ones = xr.ones_like(sea["water"], dtype=np.float32)
    cube = xr.Dataset(
        {"anomaly": sea["sst"] - sea["sst"].mean(), "water": sea["water"].copy(), "climatology_std": ones}
    )
    cube["water"].values[:, :14] = False
    cube = cube.assign_attrs(field="anomaly").isel(time=slice(40, 60))
    cell = max(cell_size(cube))
    covariance = GriddedCovariance((0.7, 0.3), (1.2 * cell, 1.6 * cell), (2.0, 3.0), 0.3, 0.1, 1.2 * cell)
    method = GriddedInterpolation(
        GriddedInterpolationConfig(window=5), covariance, Spread(np.array([0.0, 1.0]), np.array([1.0, 0.1]))
    )
    days = cube["time"].values[8:11]
    whole = method.reconstruct(cube, days).compute()
    for name, value in {"WHOLE_CELLS": 100, "TILE": 8, "HALO": 7}.items():
        monkeypatch.setattr(regions, name, value)
    parts = method.reconstruct(cube, days).compute()
    # Nodes are laid from a part's own corner, and the sum over them ripples.
    assert float(abs(parts["mean"] - whole["mean"]).max()) < 0.02 * float(whole["mean"].std())
    assert float(abs(parts["std"] - whole["std"]).max()) < 0.005
    assert parts["mean"].notnull().equals(whole["mean"].notnull())
    # The bytes do not depend on which days a process fills.
    xr.testing.assert_identical(method.reconstruct(cube, days[1:2]).compute(), parts.isel(time=slice(1, 2)))
