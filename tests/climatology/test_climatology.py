from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import sereno
from sereno.climatology import DAYS_PER_YEAR, fit_climatology, leap_day_of_year, regression
from sereno.config import ClimatologyConfig, configure
from sereno.cube import make_cube
from sereno.errors import InputError
from sereno.gaps.hiding import hide
from sereno.gaps.withholding import withhold
from sereno.io.inputs.static_maps import read_climatology

PLAIN = ClimatologyConfig(recent_days=0)
NOISE = 0.3


def cube_of(values: np.ndarray, *, start: str = "2010-01-01", water: np.ndarray | None = None) -> xr.Dataset:
    days, height, width = values.shape
    return make_cube(
        values.astype(np.float32),
        time=pd.date_range(start, periods=days),
        lat=40 + 0.05 * np.arange(height),
        lon=5 + 0.05 * np.arange(width),
        water=np.ones((height, width), bool) if water is None else water,
    )


def known_sea(years: float, shape: tuple[int, int] = (12, 16), *, start: str = "2010-01-01") -> np.ndarray:
    """Mean, annual and semi-annual cycle and a warming of 0.4 K a decade, the first two varying in space."""
    time = pd.date_range(start, periods=round(years * DAYS_PER_YEAR))
    t = ((time - pd.Timestamp("2000-01-01")) / pd.Timedelta(days=DAYS_PER_YEAR)).values[:, None, None]
    row, column = np.mgrid[: shape[0], : shape[1]]
    cycle = (5 + 0.05 * column) * np.cos(2 * np.pi * (t - 0.6)) + 0.8 * np.cos(4 * np.pi * (t - 0.1))
    known: np.ndarray = 290 - 0.1 * row + cycle + 0.04 * t
    return known


def seen(truth: np.ndarray, *, cover: float, noise: float = NOISE, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = truth + noise * rng.normal(size=truth.shape)
    values[rng.random(truth.shape) < cover] = np.nan
    return values


def test_harmonics_and_trend_are_recovered_from_a_gappy_record() -> None:
    truth = known_sea(6)
    cube = cube_of(seen(truth, cover=0.7))
    climatology = fit_climatology(cube, PLAIN)
    error = climatology.at(cube["time"]).values - truth
    # The error of a regression of each pixel by itself: 6 terms on 30 % of the days.
    alone = NOISE * np.sqrt(6 / (0.3 * len(truth)))
    # 192 pixels of 6 terms: that error is known to 2 %.
    assert np.sqrt((error**2).mean()) < 1.1 * alone
    decade = climatology.fields["coefficients"].isel(term=-1)
    # Standard error of a slope over 6 years, from 30 % of the days of all pixels together.
    slope_error = NOISE / np.sqrt(0.3 * truth.size) / (0.6 / np.sqrt(12))
    assert float(decade.mean()) == pytest.approx(0.4, abs=4 * slope_error)


def test_the_spread_of_the_anomalies_is_recovered() -> None:
    cube = cube_of(seen(known_sea(3), cover=0.7))
    std = fit_climatology(cube, PLAIN).fields["std"].values
    # Each pixel has 330 observations at least: a sampling error of 4 %, less by leaning on neighbours.
    np.testing.assert_allclose(std, NOISE, rtol=4 * 0.04)
    assert std.mean() == pytest.approx(NOISE, rel=0.02)


def test_years_before_and_after_the_record_follow_the_same_cycle() -> None:
    climatology = fit_climatology(cube_of(seen(known_sea(3), cover=0.5)), PLAIN)
    assert not climatology.trend
    time = pd.date_range("1990-01-01", "2030-12-31", freq="D")
    values = climatology.at(xr.DataArray(time, dims="time", coords={"time": time})).values
    truth = known_sea(3)
    assert truth.min() - 0.3 < values.min() < truth.min() + 0.3
    assert truth.max() - 0.3 < values.max() < truth.max() + 0.3


def test_with_every_day_seen_and_weak_shrinkage_it_is_the_least_squares_fit() -> None:
    truth = known_sea(6, (10, 9))
    cube = cube_of(seen(truth, cover=0.0))
    weak = ClimatologyConfig(recent_days=0, strength=1e-6)
    fitted = fit_climatology(cube, weak).at(cube["time"]).values
    t = (cube["time"].values - np.datetime64("2013-01-01")) / np.timedelta64(1, "D")
    waves = [f(2 * np.pi * order * t / DAYS_PER_YEAR) for order in (1, 2) for f in (np.cos, np.sin)]
    basis = np.stack([np.ones_like(t), t / 1000, *waves], axis=1)
    flat = cube["sst"].values.reshape(len(t), -1).astype(float)
    expected = basis @ np.linalg.lstsq(basis, flat, rcond=None)[0]
    np.testing.assert_allclose(fitted.reshape(expected.shape), expected, atol=1e-4)


def test_ten_days_give_a_finite_and_smooth_mean_that_stays_the_same_all_year() -> None:
    shape = (20, 24)
    truth = np.broadcast_to(290 + 0.05 * np.arange(shape[1]), (10, *shape))
    values = seen(truth, cover=0.9, noise=0.5)
    never_seen = np.isnan(values).all(axis=0)
    assert never_seen.mean() > 0.3
    cube = cube_of(values)
    climatology = fit_climatology(cube, ClimatologyConfig())
    assert climatology.harmonics == 0
    assert not climatology.trend
    year = pd.date_range("2010-01-01", periods=365)
    maps = climatology.at(xr.DataArray(year, dims="time", coords={"time": year})).values
    assert np.isfinite(maps).all()
    assert (maps == maps[0]).all()
    # Two observations 0.5 K wrong would make steps of 0.7 K were they not drawn to their neighbours.
    assert max(np.abs(np.diff(maps[0], axis=axis)).max() for axis in (0, 1)) < 0.2
    basin_mean = truth[0].std()
    for part in (never_seen, ~never_seen):
        assert np.sqrt(((maps[0] - truth[0])[part] ** 2).mean()) < basin_mean
    assert (climatology.fields["std"] > 0).all()


def test_pixels_seldom_seen_gain_from_their_neighbours() -> None:
    truth = known_sea(6)
    cube = cube_of(seen(truth, cover=0.985))
    alone = ClimatologyConfig(recent_days=0, strength=1e-6)
    square, square_alone = (
        ((fit_climatology(cube, config).at(cube["time"]).values - truth) ** 2).mean() for config in (PLAIN, alone)
    )
    assert square < 0.6 * square_alone


@pytest.mark.parametrize(("days", "harmonics", "trend"), [(270, 0, False), (400, 1, False), (600, 2, False)])
def test_a_short_record_gets_no_cycle_that_it_has_not_seen(days: int, harmonics: int, trend: bool) -> None:
    climatology = fit_climatology(cube_of(seen(known_sea(2)[:days], cover=0.5)), ClimatologyConfig())
    assert (climatology.harmonics, climatology.trend) == (harmonics, trend)


def test_a_pixel_seen_twice_leans_on_its_neighbours_and_one_seen_often_does_not() -> None:
    values = np.full((200, 17, 17), 290.0)
    values[:, 8, 8] = np.nan
    means = []
    for count in (0, 2, 20, 200):
        values[:count, 8, 8] = 295
        fitted = fit_climatology(cube_of(values), PLAIN)
        means.append(float(fitted.at(cube_of(values)["time"][:1])[0, 8, 8]) - 290)
    assert means == sorted(means)
    assert means[0] == pytest.approx(0, abs=1e-3)
    # Two observations against a neighbourhood that counts for twenty.
    assert means[1] == pytest.approx(5 * 2 / 22, rel=0.1)
    assert means[3] > 4.5


def test_land_has_no_say_and_gets_no_anomaly() -> None:
    values = seen(known_sea(2), cover=0.6)
    water = np.ones(values.shape[1:], bool)
    water[:5, :6] = False
    dry, wet = values.copy(), values.copy()
    dry[:, ~water], wet[:, ~water] = np.nan, 350
    one, other = (fit_climatology(cube_of(v, water=water), ClimatologyConfig()) for v in (dry, wet))
    xr.testing.assert_identical(one.fields, other.fields)
    cube = cube_of(wet, water=water)
    anomalies = one.anomalies(cube)["anomaly"].compute()
    assert anomalies.where(~cube["water"]).isnull().all()
    assert float(abs(anomalies).max()) < 3


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.95), st.integers(0, 20))
def test_anomaly_and_baseline_add_up_to_the_field(seed: int, cover: float, recent_days: int) -> None:
    truth = known_sea(0.15, (5, 6))
    cube = cube_of(seen(truth, cover=cover, noise=1.0, seed=seed))
    climatology = fit_climatology(cube, ClimatologyConfig(recent_days=recent_days))
    anomalies = climatology.anomalies(cube)["anomaly"]
    np.testing.assert_array_equal(anomalies.notnull(), cube["sst"].notnull())
    back = (anomalies + climatology.baseline(cube)).values
    # Two roundings to float32 near 290 K.
    np.testing.assert_allclose(back, cube["sst"].values, rtol=0, atol=2 * np.spacing(np.float32(290)))


def test_the_recent_mean_follows_a_warm_spell_of_the_basin() -> None:
    truth = np.full((200, 12, 16), 290.0)
    truth[120:] += 1.5
    cube = cube_of(seen(truth, cover=0.5, noise=0.2))
    fixed = fit_climatology(cube.isel(time=slice(0, 100)), ClimatologyConfig(recent_days=15))
    baseline = fixed.baseline(cube).values
    assert np.abs(baseline[20:100] - 290).max() < 0.1
    # Drawn towards zero by the prior of a twentieth of the basin beside half of it on each day.
    assert np.abs(baseline[140:180] - 291.5).max() < 0.15


def test_the_baseline_of_a_day_is_the_same_alone_and_among_others() -> None:
    cube = cube_of(seen(known_sea(2), cover=0.6))
    climatology = fit_climatology(cube, ClimatologyConfig())
    whole = climatology.baseline(cube)
    for position in (0, 300, cube.sizes["time"] - 1):
        day = cube["time"].values[[position]]
        xr.testing.assert_equal(climatology.baseline(cube, day).compute(), whole.sel(time=day).compute())


def test_the_baseline_sees_what_is_visible_and_never_what_is_hidden() -> None:
    cube = cube_of(seen(known_sea(2), cover=0.6))
    climatology = fit_climatology(cube, ClimatologyConfig())
    withheld = withhold(cube, protocol="hidden-day", days=slice("2011-03-01", "2011-03-20"), share=1.0)
    hot = cube.assign(sst=cube["sst"] + 20 * withheld.reindex(time=cube["time"], fill_value=False))
    baseline, hot_baseline, seen_baseline = (
        climatology.baseline(one).sel(time=withheld["time"]).values
        for one in (hide(cube, withheld), hide(hot, withheld), hot)
    )
    np.testing.assert_array_equal(hot_baseline, baseline)
    assert (seen_baseline.mean(axis=(1, 2)) > baseline.mean(axis=(1, 2)) + 5).all()


@given(st.dates(date(1981, 1, 1), date(2099, 12, 31)))
def test_every_date_has_its_day_of_a_leap_year(day: date) -> None:
    expected = day.replace(year=2000).timetuple().tm_yday
    assert leap_day_of_year(np.array([day], dtype="datetime64[ns]")).tolist() == [expected]


def table_file(path: Path, axis: str, values: np.ndarray, cube: xr.Dataset) -> Path:
    """Write a climatology that is the same everywhere, latitudes descending as in many products."""
    maps = np.broadcast_to(values[:, None, None], (len(values), *cube["water"].shape)).astype(np.float32)
    lat = cube["lat"].values[::-1]
    table = xr.Dataset(
        {"sst": ((axis, "lat", "lon"), maps, {"units": "kelvin"})}, coords={"lat": lat, "lon": cube["lon"].values}
    )
    table.to_netcdf(path)
    return path


@pytest.fixture
def two_leap_years() -> xr.Dataset:
    """Daily images from the end of 2019 to the spring of 2021, by way of 29 February 2020."""
    return cube_of(seen(known_sea(1.3, (6, 7), start="2019-12-25"), cover=0.5), start="2019-12-25")


MARCH = pd.DatetimeIndex(["2020-02-28", "2020-02-29", "2020-03-01", "2021-02-28", "2021-03-01", "2020-12-31"])


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (366, [59, 60, 61, 59, 61, 366]),
        # Day 60 of an ordinary year is 1 March; 29 February lies midway between its neighbours.
        (365, [59, 59.5, 60, 59, 60, 365]),
    ],
)
@pytest.mark.parametrize("axis", ["dayofyear", "time"])
def test_a_table_of_days_meets_leap_years(
    two_leap_years: xr.Dataset, tmp_path: Path, steps: int, expected: list[float], axis: str
) -> None:
    path = table_file(tmp_path / "clim.nc", axis, 280 + np.arange(1, steps + 1) / 100, two_leap_years)
    table = read_climatology(path, two_leap_years)
    climatology = fit_climatology(two_leap_years, PLAIN, table=table)
    values = climatology.at(xr.DataArray(MARCH, dims="time", coords={"time": MARCH})).values
    assert values.shape == (6, 6, 7)
    np.testing.assert_allclose(values[:, 3, 3], 280 + np.array(expected) / 100, atol=1e-4)
    assert (values == values[:, :1, :1]).all()


def test_a_table_of_months_goes_from_the_middle_of_one_to_that_of_the_next(
    two_leap_years: xr.Dataset, tmp_path: Path
) -> None:
    months = np.array([285, 283, 287, 288, 290, 293, 296, 297, 295, 292, 289, 286.0])
    table = read_climatology(table_file(tmp_path / "clim.nc", "month", months, two_leap_years), two_leap_years)
    climatology = fit_climatology(two_leap_years, PLAIN, table=table)
    year = pd.date_range("2020-01-01", "2020-12-31")
    values = climatology.at(xr.DataArray(year, dims="time", coords={"time": year})).values[:, 0, 0]
    # Middles of the calendar months, in days since noon of 1 January, with the circle of the year closed.
    first = pd.date_range("2019-12-01", "2021-02-01", freq="MS")
    middle = first[:-1] + (first[1:] - first[:-1]) / 2
    position = (middle - pd.Timestamp("2020-01-01T12:00")) / pd.Timedelta(days=1)
    expected = np.interp(np.arange(366), position, months[[11, *range(12), 0]])
    # Twelve equal months differ from the calendar's by less than a day, and no month is 4.1 K from the next.
    steepest = np.abs(np.diff(months[[11, *range(12)]])).max() / 29
    np.testing.assert_allclose(values, expected, atol=1.0 * steepest)
    assert 283 < values[59] < 287
    assert np.abs(np.diff(values)).max() < 1.1 * steepest


def test_a_model_may_take_its_climatology_from_a_file(two_leap_years: xr.Dataset, tmp_path: Path) -> None:
    path = table_file(tmp_path / "clim.nc", "dayofyear", 280 + np.arange(1, 367) / 100, two_leap_years)
    config = configure("climatology", climatology={"file": str(path), "recent_days": 0})
    model = sereno.fit(two_leap_years, config)
    loaded = sereno.load(sereno.save(model, tmp_path / "model"))
    path.unlink()
    filled = sereno.fill(two_leap_years, loaded, days="2020-02-29").compute()
    np.testing.assert_allclose(filled["mean"], 280.6, atol=1e-4)


@pytest.mark.statistical
@pytest.mark.usefixtures("all_samples")
@pytest.mark.xfail(
    strict=True,
    reason="the std follows the season of the departure too little, and is 25 % too wide here; see decision 0020",
)
def test_the_spread_about_a_table_is_that_of_the_time_of_the_year(two_leap_years: xr.Dataset, tmp_path: Path) -> None:
    """The sea is far from the table, at some times of the year more than at others."""
    path = table_file(tmp_path / "clim.nc", "dayofyear", 280 + np.arange(1, 367) / 100, two_leap_years)
    config = configure("climatology", climatology={"file": str(path), "recent_days": 0})
    filled = sereno.fill(two_leap_years, sereno.fit(two_leap_years, config), days="2020-02-29").compute()
    departure = two_leap_years["sst"].sel(time=slice("2020-02-14", "2020-03-15")) - 280.6
    assert float(filled["std"].mean()) == pytest.approx(float(np.sqrt((departure**2).mean())), rel=0.2)


def test_a_table_that_leaves_water_without_a_value_is_refused(two_leap_years: xr.Dataset, tmp_path: Path) -> None:
    table_file(tmp_path / "part.nc", "dayofyear", np.full(366, 290.0), two_leap_years.isel(lat=slice(0, 3)))
    config = configure("climatology", climatology={"file": str(tmp_path / "part.nc")})
    with pytest.raises(InputError, match="climatology has no value on 21 of 42 water pixels"):
        sereno.fit(two_leap_years, config)
    land = two_leap_years.assign(water=two_leap_years["water"].where(two_leap_years["lat"] < 40.12, False))
    assert sereno.fit(land, config).description.method == "climatology"


def test_a_wide_neighbourhood_and_bands_of_rows_make_next_to_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    values = known_sea(0.1, (40, 60)) + NOISE * np.random.default_rng(0).normal(size=(37, 40, 60))
    cube = cube_of(values, water=np.add.outer(np.arange(40), np.arange(60)) > 30)
    config = ClimatologyConfig(recent_days=0, neighbours=8.0)  # levels of 8 cells and of one
    whole = fit_climatology(cube, config).fields
    monkeypatch.setattr(regression, "BAND_CELLS", 7 * 60)
    for_water = cube["water"].values
    for name, values in fit_climatology(cube, config).fields.items():
        np.testing.assert_allclose(values.values[..., for_water], whole[name].values[..., for_water], rtol=1e-7)
    monkeypatch.setattr(regression, "WIDEST_BY_CELLS", 4.0)
    monkeypatch.setattr(regression, "BLOCKS_A_SCALE", 4)
    for name, values in fit_climatology(cube, config).fields.items():
        np.testing.assert_allclose(values.values[..., for_water], whole[name].values[..., for_water], atol=0.01)
