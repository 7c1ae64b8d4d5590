import numpy as np
import pytest
import xarray as xr

import sereno
from sereno.config import DINEOF, RunConfig, parse_config
from sereno.errors import InputError
from sereno.reconstruct.dineof.eof import Eofs, first_vectors, over_rows, power_step, project
from sereno.reconstruct.dineof.error_maps import error_variance, information
from sereno.reconstruct.dineof.filter import smoothing
from sereno.reconstruct.dineof.fitting import choose_modes, matrices, thinned
from sereno.reconstruct.dineof.iterations import Filling, Stopping, numbers_of_modes, trials
from sereno.reconstruct.dineof.method import Dineof
from sereno.reconstruct.dineof.segments import Solver, matrix_days, observations, reach, solve

UNEVEN = np.array([0.0, 1, 2, 4, 5, 9, 10])


def low_rank(pixels: int, days: int, rank: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((pixels, rank)) @ rng.standard_normal((rank, days))


def gappy(full: np.ndarray, share: float, seed: int = 1) -> np.ndarray:
    return np.where(np.random.default_rng(seed).random(full.shape) < share, np.nan, full)


def anomaly_cube(values: np.ndarray, first: str = "2020-01-01") -> xr.Dataset:
    """A cube of (time, lat, lon) anomalies, all of it water."""
    days, rows, columns = values.shape
    return xr.Dataset(
        {
            "anomaly": (("time", "lat", "lon"), values.astype("float32")),
            "water": (("lat", "lon"), np.ones((rows, columns), bool)),
            "climatology_std": (("lat", "lon"), np.ones((rows, columns), "float32")),
        },
        coords={
            "time": np.datetime64(first, "ns") + np.arange(days) * np.timedelta64(1, "D"),
            "lat": np.arange(rows) / 10,
            "lon": np.arange(columns) / 10,
        },
        attrs={"field": "anomaly"},
    )


@pytest.mark.parametrize(("pixels", "days"), [(300, 40), (40, 120)], ids=["more pixels", "more days"])
def test_an_exact_low_rank_is_recovered(pixels: int, days: int) -> None:
    full = low_rank(pixels, days, 3)
    filling = Filling(gappy(full, 0.4), np.eye(days))
    eofs, iterations = filling.settle(3, Stopping(1e-10, 3000))
    np.testing.assert_allclose(eofs.series(), full, rtol=0, atol=1e-6)
    np.testing.assert_allclose(filling.matrix, full, rtol=0, atol=1e-6)
    assert iterations < 3000


def test_single_precision_recovers_a_low_rank_as_well_as_it_can() -> None:
    full = low_rank(300, 40, 3)
    eofs, _ = Filling(gappy(full, 0.4).astype(np.float32), np.eye(40)).settle(3, Stopping(1e-7, 500))
    assert eofs.maps.dtype == np.float32
    np.testing.assert_allclose(eofs.series(), full, rtol=0, atol=1e-4)


def dense_modes(matrix: np.ndarray, filtering: np.ndarray, modes: int) -> np.ndarray:
    """The truncated series from the eigenvectors of the covariance matrix itself, as DINEOF makes it."""
    values, vectors = np.linalg.eigh(filtering @ (matrix.T @ matrix) @ filtering.T)
    leading = vectors[:, ::-1][:, :modes]
    left = matrix @ leading
    left /= np.linalg.norm(left, axis=0)
    return np.asarray(left * np.sqrt(values[::-1][:modes]) @ leading.T)


@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_modes_are_those_of_the_dense_covariance(alpha: float) -> None:
    matrix = low_rank(200, 30, 8) + 0.1 * np.random.default_rng(2).standard_normal((200, 30))
    filtering = smoothing(np.arange(30), alpha=alpha, iterations=3)
    vectors = first_vectors(30, 10, 0)
    for _ in range(200):
        eofs, vectors = project(matrix, filtering, power_step(matrix, filtering, vectors), 4)
    np.testing.assert_allclose(eofs.series(), dense_modes(matrix, filtering, 4), rtol=0, atol=1e-8)
    np.testing.assert_allclose(eofs.amplitudes.T @ eofs.amplitudes, np.eye(4), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("days", "iterations"), [(9, 7), (25, 300)], ids=["step by step where the days are few", "in the end"]
)
def test_filling_is_that_of_a_dense_decomposition(days: int, iterations: int) -> None:
    full = low_rank(400, days, 3) + 0.3 * np.random.default_rng(3).standard_normal((400, days))
    observed = gappy(full, 0.5)
    filtering = smoothing(np.arange(days), alpha=0.05, iterations=3)
    matrix, missing = np.nan_to_num(observed), np.isnan(observed)
    for _ in range(iterations):
        series = dense_modes(matrix, filtering, 3)
        matrix[missing] = series[missing]
    eofs, made = Filling(observed.copy(), filtering).settle(3, Stopping(1e-300, iterations))
    assert made == iterations
    np.testing.assert_allclose(eofs.series(), series, rtol=0, atol=1e-8)


def test_iterations_stop_when_the_filled_values_have_settled() -> None:
    observed = gappy(low_rank(100, 20, 4), 0.3)
    scale = np.sqrt(np.nanmean(observed**2))
    loose, tight = (Filling(observed.copy(), np.eye(20)) for _ in range(2))
    _, few = loose.settle(2, Stopping(1e-2))
    _, many = tight.settle(2, Stopping(1e-4))
    assert few < many < 300
    before = tight.matrix.copy()
    tight.settle(2, Stopping(1e-300, 1))
    missing = np.isnan(observed)
    change = np.sqrt(np.mean((tight.matrix - before)[missing] ** 2))
    assert change < 1.2e-4 * scale
    np.testing.assert_array_equal(tight.matrix[~missing], observed[~missing])


def test_work_on_rows_is_whole_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = low_rank(100, 30, 30)
    vectors = first_vectors(30, 8, 0)
    whole = power_step(matrix, np.eye(30), vectors)
    monkeypatch.setattr("sereno.reconstruct.dineof.eof.BLOCK_CELLS", 30 * 7)
    blocks = over_rows(matrix.shape, lambda rows: list(range(100)[rows]))
    assert [row for block in blocks for row in block] == list(range(100))
    assert len(blocks) == 15
    np.testing.assert_allclose(power_step(matrix, np.eye(30), vectors), whole, rtol=0, atol=1e-12)


def one_by_one(vector: np.ndarray, days: np.ndarray, alpha: float, iterations: int) -> np.ndarray:
    """The diffusion of Alvera-Azcárate et al. (2009) day by day, as its equation reads."""
    middles = (days[1:] + days[:-1]) / 2
    edges = [days[0] - (middles[0] - days[0]), *middles, days[-1] + (days[-1] - middles[-1])]
    for _ in range(iterations):
        flux = [0.0]
        flux += [alpha * (vector[i + 1] - vector[i]) / (days[i + 1] - days[i]) for i in range(len(days) - 1)]
        flux += [0.0]
        vector = np.array([vector[i] + (flux[i + 1] - flux[i]) / (edges[i + 1] - edges[i]) for i in range(len(days))])
    return vector


@pytest.mark.parametrize("days", [np.arange(7.0), UNEVEN], ids=["even", "uneven"])
def test_the_filter_is_the_diffusion_of_rows_and_columns(days: np.ndarray) -> None:
    covariance = np.cov(low_rank(7, 50, 7))
    rows = np.array([one_by_one(row, days, 0.2, 4) for row in covariance])
    both = np.array([one_by_one(column, days, 0.2, 4) for column in rows.T]).T
    filtering = smoothing(days, alpha=0.2, iterations=4)
    np.testing.assert_allclose(filtering @ covariance @ filtering.T, both, rtol=0, atol=1e-12)


def test_the_filter_keeps_what_is_constant_and_conserves_the_sum_over_time() -> None:
    filtering = smoothing(UNEVEN, alpha=0.3, iterations=5)
    np.testing.assert_allclose(filtering.sum(axis=1), 1, rtol=1e-14)
    widths = np.array([1, 1, 1.5, 1.5, 2.5, 2.5, 1])
    np.testing.assert_allclose(widths @ filtering, widths, rtol=1e-12)


def test_a_wider_gap_between_days_is_smoothed_across_less() -> None:
    filtering = smoothing(UNEVEN, alpha=0.3, iterations=1)
    assert filtering[1, 2] > 1.5 * filtering[2, 3] > 2 * filtering[4, 5] > 0


def test_no_filter_and_a_single_day_change_nothing() -> None:
    np.testing.assert_array_equal(smoothing(UNEVEN, alpha=0.0, iterations=3), np.eye(7))
    np.testing.assert_array_equal(smoothing(np.array([3.0]), alpha=0.1, iterations=3), np.eye(1))


def test_an_unstable_filter_is_refused() -> None:
    smoothing(UNEVEN, alpha=0.5, iterations=3)
    with pytest.raises(ValueError, match="half the square of the smallest spacing"):
        smoothing(UNEVEN, alpha=0.51, iterations=3)


@pytest.mark.parametrize("alpha", [0.0, 0.2])
def test_an_empty_day_takes_its_value_from_its_neighbours_through_the_filter_alone(alpha: float) -> None:
    time = np.arange(30)
    full = np.outer(np.random.default_rng(4).standard_normal(200), np.cos(time / 6))
    observed = full.copy()
    observed[:, 12] = np.nan
    filtering = smoothing(time, alpha=alpha, iterations=3)
    eofs, _ = Filling(observed, filtering).settle(1, Stopping(1e-6, 2000))
    if alpha == 0:
        np.testing.assert_allclose(eofs.series()[:, 12], 0, atol=1e-12)
    else:
        near = np.abs(eofs.series()[:, 12] - full[:, 12]).mean() / np.abs(full[:, 12]).mean()
        assert near < 0.15


def test_modes_are_tried_one_by_one_and_then_a_quarter_more() -> None:
    assert list(numbers_of_modes(1, 5)) == [1, 2, 3, 4, 5]
    assert list(numbers_of_modes(2, 16)) == [2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 16]
    assert list(numbers_of_modes(4, 4)) == [4]


def test_cross_validation_finds_the_rank_and_ends_when_more_modes_serve_worse() -> None:
    rng = np.random.default_rng(5)
    full = low_rank(400, 40, 3)
    observed = gappy(full + 0.5 * rng.standard_normal(full.shape), 0.4)
    hidden = np.isfinite(observed) & (rng.random(full.shape) < 0.05)
    tried = list(trials(observed, hidden, np.eye(40), first=1, most=20, stopping=Stopping(1e-4)))
    assert min(tried, key=lambda trial: trial.error).modes == 3
    assert tried[-1].modes == 6
    for trial in tried[:3]:
        error = (trial.eofs.series() - observed)[hidden]
        assert trial.error == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-12)


def test_withheld_observations_are_not_seen() -> None:
    observed = gappy(low_rank(100, 20, 3), 0.3)
    hidden = np.isfinite(observed) & (np.random.default_rng(6).random(observed.shape) < 0.1)
    spoilt = np.where(hidden, 1e6, observed)
    settings = {"first": 2, "most": 2, "stopping": Stopping()}
    one, other = (next(trials(values, hidden, np.eye(20), **settings)) for values in (observed, spoilt))
    np.testing.assert_array_equal(one.eofs.maps, other.eofs.maps)


def test_the_error_map_is_that_of_a_dense_interpolation_with_the_covariance_of_the_modes() -> None:
    rng = np.random.default_rng(7)
    maps, observed, noise = rng.standard_normal((60, 5)), rng.random(60) < 0.3, 0.7
    covariance = maps @ maps.T
    between = covariance[:, observed]
    gain = between @ np.linalg.inv(covariance[np.ix_(observed, observed)] + noise * np.eye(observed.sum()))
    expected = np.diag(covariance - gain @ between.T)
    np.testing.assert_allclose(error_variance(maps, information(maps, observed), noise), expected, rtol=1e-10)


def test_without_an_observation_the_error_is_the_variance_of_the_modes() -> None:
    maps = np.random.default_rng(8).standard_normal((60, 5))
    nothing = information(maps, np.zeros(60, bool))
    np.testing.assert_allclose(error_variance(maps, nothing, 0.7), (maps**2).sum(axis=1), rtol=1e-12)


def test_what_the_modes_leave_is_part_of_the_error() -> None:
    rng = np.random.default_rng(9)
    noise = np.where(np.arange(300) < 150, 0.1, 0.6)
    observed = (low_rank(300, 60, 2) + noise[:, None] * rng.standard_normal((300, 60))).astype(np.float32)
    solution = solve(observed, 2, DINEOF(alpha=0))
    typical = (0.1**2 + 0.6**2) / 2  # a pixel's own 60 days count beside 20 of the sea's
    for half, own in ((slice(150), 0.1), (slice(150, None), 0.6)):
        expected = (60 * own**2 + 20 * typical) / 80
        assert solution.truncation[half].mean() == pytest.approx(expected, rel=0.1)
    clear, overcast = (solution.error(5, np.full(300, seen)) for seen in (True, False))
    assert (clear < overcast).all()


def test_a_record_no_longer_than_a_segment_is_one_matrix() -> None:
    config = DINEOF(segment=365, margin=30)
    assert {matrix_days(day, config, (0, 365)) for day in range(365)} == {(0, 365)}
    assert {matrix_days(day, config, (0, 425)) for day in range(425)} == {(0, 425)}


def test_segments_tile_the_record_with_their_margins_and_end_within_it() -> None:
    config = DINEOF(segment=100, margin=10)
    assert matrix_days(250, config, (0, 1000)) == matrix_days(299, config, (0, 1000)) == (190, 310)
    assert matrix_days(300, config, (0, 1000)) == (290, 410)
    assert matrix_days(0, config, (0, 1000)) == (0, 120)
    assert matrix_days(999, config, (0, 1000)) == (880, 1000)
    assert matrix_days(-130, config, (-500, 1000)) == (-210, -90)


@pytest.mark.parametrize("record", [(0, 1000), (-40, 250), (130, 180)])
def test_the_matrix_of_a_day_lies_within_its_reach_and_depends_on_no_more_of_the_record(
    record: tuple[int, int],
) -> None:
    config = DINEOF(segment=100, margin=10)
    far = reach(config)
    for day in range(*record):
        first, last = matrix_days(day, config, record)
        assert max(record[0], day - far) <= first <= day < last <= min(record[1], day + far + 1)
        cut = max(record[0], day - far), min(record[1], day + far + 1)
        assert matrix_days(day, config, cut) == (first, last)


def test_a_matrix_is_solved_once_for_all_of_its_days(monkeypatch: pytest.MonkeyPatch) -> None:
    cube = anomaly_cube(low_rank(130, 24, 2).reshape(130, 4, 6))
    solved = []
    kept = solve

    def counted(*arguments: object, **settings: object) -> object:
        solved.append(settings["first"])
        return kept(*arguments, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr("sereno.reconstruct.dineof.segments.solve", counted)
    config = DINEOF(segment=50, margin=5)
    solver = Solver(cube, 2, config, np.datetime64("2020-01-01"))
    for day in cube["time"].values:
        solver.of_day(day)
    assert solved == [0, 45, 70]


def test_the_sea_is_thinned_evenly_to_a_bearable_number_of_pixels() -> None:
    water = np.ones((50, 80), bool)
    water[:, :10] = False
    few = thinned(water, 400)
    assert 200 < few.sum() <= 400
    assert not (few & ~water).any()
    np.testing.assert_array_equal(thinned(water, 1e6), water)


def test_clouds_of_other_days_are_withheld_but_never_much_of_what_was_seen(sea: xr.Dataset) -> None:
    climatology = sereno.fit(sea, "climatology").reconstructor.climatology
    cube = climatology.anomalies(sea).compute()
    found = matrices(cube, DINEOF(), 0)
    assert len(found) == 3
    for matrix in found:
        seen = np.isfinite(matrix.observed)
        assert 0.01 < matrix.hidden.sum() / seen.sum() < 0.15
        assert (seen | ~matrix.hidden).all()
        np.testing.assert_array_equal(matrix.observed, observations(cube, sea["water"].values))
    assert (found[0].hidden != found[1].hidden).any()


def config_of(**settings: object) -> RunConfig:
    return parse_config({"model": {"method": "dineof", **settings}})


def test_a_given_number_of_modes_is_kept(sea: xr.Dataset) -> None:
    assert sereno.fit(sea, config_of(modes=3)).reconstructor.inner.modes == 3
    assert choose_modes([], DINEOF(first_modes=2), lambda stage, fraction: None) == 2


@pytest.mark.statistical
@pytest.mark.usefixtures("all_samples")
def test_it_beats_the_climatology_by_far_and_knows_its_error(sea: xr.Dataset) -> None:
    methods = {"dineof": "dineof", "climatology": "climatology"}
    result = sereno.evaluate(sea, methods, days=f"{sea['time'].values[30]!s:.10}:").scores["truth"]["methods"]
    assert result["dineof"]["rmse"] < 0.75 * result["climatology"]["rmse"]
    assert 0.75 < result["dineof"]["z_std"] < 1.25


def test_a_record_of_a_few_days_and_one_without_clouds_are_filled(sea: xr.Dataset) -> None:
    for part in (sea.isel(time=slice(40, 42)), sea.assign(sst=sea["truth"]).isel(time=slice(0, 30))):
        analysis = sereno.fill(part, "dineof").compute()
        for name in ("mean", "std"):
            np.testing.assert_array_equal(np.isfinite(analysis[name][0]), sea["water"])


@pytest.mark.thorough
def test_segments_join_without_a_step_that_shows(sea: xr.Dataset) -> None:
    whole, parted = (sereno.fit(sea, config_of(modes=5, segment=length, margin=15)) for length in (120, 60))
    one, two = (sereno.fill(sea, model)["mean"].compute() for model in (whole, parted))
    change = (two - one).where(sea["water"])
    assert 0 < float(np.sqrt((change**2).mean())) < 0.35
    steps = np.sqrt((two.diff("time") ** 2).mean(("lat", "lon")).values)
    assert steps[59] < 1.5 * np.median(steps)


def test_the_state_holds_where_the_segments_begin(sea: xr.Dataset) -> None:
    fitted = sereno.fit(sea, config_of(modes=2)).reconstructor.inner
    assert isinstance(fitted, Dineof)
    again = Dineof.from_state(fitted.config, fitted.state())
    assert again.origin == sea["time"].values[0].astype("datetime64[D]")
    assert again.modes == 2


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"alpha": 0.6}, "model.alpha: Input should be less than or equal to 0.5"),
        ({"first_modes": 9, "most_modes": 4}, r"first_modes \(9\) must not exceed most_modes \(4\)"),
        ({"window": 8}, "window must be an odd number"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object], told: str) -> None:
    with pytest.raises(InputError, match=told):
        config_of(**settings)


def test_the_truncated_series_of_some_pixels_and_days_is_a_part_of_the_whole() -> None:
    eofs = Eofs(low_rank(20, 3, 3), low_rank(10, 3, 3))
    np.testing.assert_allclose(eofs.series(slice(2, 5), np.array([1, 7])), eofs.series()[2:5, [1, 7]], rtol=1e-12)
