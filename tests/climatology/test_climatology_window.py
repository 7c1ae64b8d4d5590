"""The climatology by a window of days of the year, its base period, and the file that holds it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import sereno
from sereno.climatology import daily_climatology, fit_climatology
from sereno.climatology.calendar import DayOfYearSums
from sereno.config import ClimatologyConfig, configure
from sereno.cube import make_cube
from sereno.errors import InputError
from sereno.gaps.hiding import hide
from sereno.gaps.withholding import withhold
from sereno.io.inputs.static_maps import read_climatology
from sereno.report.printed_scores import show_scores
from sereno.workflow.climatology import make_climatology

WINDOW = ClimatologyConfig(kind="window", recent_days=0)
LEAP_YEAR = pd.date_range("2000-01-01", "2000-12-31")


def cube_of(
    values: np.ndarray, *, start: str = "2000-01-01", water: np.ndarray | None = None, units: str = "kelvin"
) -> xr.Dataset:
    days, height, width = values.shape
    return make_cube(
        values.astype(np.float32),
        time=pd.date_range(start, periods=days),
        lat=40 + 0.25 * np.arange(height),
        lon=5 + 0.25 * np.arange(width),
        water=np.ones((height, width), bool) if water is None else water,
        units=units,
    )


def years(count: int, start: str = "2000-01-01") -> pd.DatetimeIndex:
    first = pd.Timestamp(start)
    return pd.date_range(first, f"{first.year + count - 1}-12-31")


def cycle(time: pd.DatetimeIndex, shape: tuple[int, int] = (4, 5), *, trend: float = 0.0) -> np.ndarray:
    """Annual and semi-annual cycle, the first varying in space, and a warming in K a year."""
    t = ((time - pd.Timestamp("2000-01-01")) / pd.Timedelta(days=365.2425)).values[:, None, None]
    row, column = np.mgrid[: shape[0], : shape[1]]
    known: np.ndarray = 290 - 0.5 * row + (5 + 0.2 * column) * np.cos(2 * np.pi * (t - 0.6)) + trend * t
    return known + 0.7 * np.cos(4 * np.pi * (t - 0.1))


def hobday(values: np.ndarray, time: pd.DatetimeIndex, window: int = 11, smoothing: int = 31) -> np.ndarray:
    """Brute force: each date of each year takes the days around it in the calendar; 29 February is halfway."""
    table = np.full((366, *values.shape[1:]), np.nan)
    for position, day in enumerate(LEAP_YEAR):
        dates = np.flatnonzero((time.month == day.month) & (time.day == day.day))
        offsets = np.arange(-(window // 2), window // 2 + 1)
        # Whole years: beyond the last day the first follows.
        around = (dates[:, None] + offsets).ravel() % len(time)
        table[position] = np.nanmean(values[around], axis=0)
    table[59] = (table[58] + table[60]) / 2
    turned = [np.roll(table, offset, axis=0) for offset in range(-(smoothing // 2), smoothing // 2 + 1)]
    return np.asarray(np.mean(turned, axis=0))


def table_of(cube: xr.Dataset, config: ClimatologyConfig = WINDOW) -> np.ndarray:
    return fit_climatology(cube, config).fields["table"].values


# The window


@pytest.mark.parametrize(("window", "smoothing"), [(11, 31), (5, 1), (1, 1), (1, 9), (91, 31)])
def test_without_gaps_it_is_what_hobday_et_al_define(window: int, smoothing: int) -> None:
    time = years(9)  # with leap days in 2000, 2004 and 2008
    values = cycle(time, trend=0.05) + np.random.default_rng(0).normal(size=(len(time), 4, 5))
    config = ClimatologyConfig(kind="window", window=window, smoothing=smoothing, strength=1e-6)
    expected = hobday(values.astype(np.float32).astype(float), time, window, smoothing)
    np.testing.assert_allclose(table_of(cube_of(values), config), expected, atol=2e-4)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 11, 31]), st.integers(1, 6))
def test_sums_in_windows_follow_the_calendar_whatever_the_years(seed: int, window: int, count: int) -> None:
    first = 1990 + seed % 20
    time = years(count, f"{first}-01-01")
    values = np.random.default_rng(seed).integers(0, 9, (len(time), 2)).astype(float)
    sums = DayOfYearSums.zeros((2,), half=window // 2, dtype=float)
    sums.add(time.values[:300], values[:300])
    sums.add(time.values[300:], values[300:])
    found = sums.window()
    for position in (0, 4, 57, 58, 60, 61, 65, 200, 365):
        day = LEAP_YEAR[position]
        dates = np.flatnonzero((time.month == day.month) & (time.day == day.day))
        around = (dates[:, None] + np.arange(-(window // 2), window // 2 + 1)).ravel() % len(time)
        np.testing.assert_array_equal(found[position], values[around].sum(axis=0))


def test_a_constant_field_has_a_constant_climatology() -> None:
    values = np.full((len(years(3)), 4, 5), 288.5)
    values[np.random.default_rng(0).random(values.shape) < 0.8] = np.nan
    np.testing.assert_allclose(table_of(cube_of(values)), 288.5, atol=1e-3)


def test_a_pure_harmonic_is_recovered_but_for_what_averaging_takes_of_it() -> None:
    time = years(8)
    table = table_of(cube_of(cycle(time)))
    truth = cycle(LEAP_YEAR)
    # Running means of 11 and 31 days leave sinc(11/365)·sinc(31/365) of the annual cycle, and of half its period
    # sinc(22/365)·sinc(62/365); the cycle of 6 K drifts by a quarter of a day in four years.
    lost = 6 * (1 - np.sinc(11 / 365) * np.sinc(31 / 365)) + 0.7 * (1 - np.sinc(22 / 365) * np.sinc(62 / 365))
    assert np.abs(table - truth).max() < lost + 0.03
    plain = ClimatologyConfig(kind="window", window=1, smoothing=1)
    assert np.abs(table_of(cube_of(cycle(time)), plain) - truth).max() < 0.1


def test_new_year_is_a_day_like_any_other() -> None:
    time = years(6)
    values = cycle(time) + 0.5 * np.random.default_rng(1).normal(size=(len(time), 4, 5))
    step = np.abs(np.diff(table_of(cube_of(values)), axis=0, append=table_of(cube_of(values))[:1]))
    assert step[-1].max() < 1.2 * step[:-1].max()
    # A warm week at the turn of the year is spread to both its sides alike.
    spell = np.zeros((len(time), 4, 5))
    spell[(time.day_of_year <= 3) | (time.month == 12) & (time.day >= 29)] = 1.0
    table = table_of(cube_of(290 + spell))[:, 0, 0] - 290
    np.testing.assert_allclose(table[:20], table[-20:][::-1], atol=0.01)
    assert table[0] > 0.1


def test_gaps_that_come_and_go_with_the_season_and_the_years_do_not_bias_it() -> None:
    time = years(12)
    truth = cycle(time, trend=0.1)
    values = truth + 0.3 * np.random.default_rng(2).normal(size=truth.shape)
    expected = hobday(truth, time)
    # Seen only from the tenth of each month on, and hardly ever in the first years, which were cooler.
    unseen = (time.day < 10) | ((time.year < 2006) & (np.random.default_rng(3).random(len(time)) < 0.95))
    values[unseen] = np.nan
    plain = hobday(values, time) - expected
    error = table_of(cube_of(values)) - expected
    assert np.abs(plain.mean()) > 0.2
    assert np.abs(error.mean()) < 0.03
    assert np.sqrt((error**2).mean()) < 0.1


def test_it_is_finite_where_nothing_was_ever_seen_and_leans_on_what_is_near() -> None:
    time = years(4)
    truth = cycle(time, (12, 14))
    values = truth + 0.2 * np.random.default_rng(4).normal(size=truth.shape)
    values[:, 5:7, 6:8] = np.nan
    values[:, 2, 2] = np.nan
    values[400, 2, 2] = truth[400, 2, 2] + 9  # one wild observation
    values[time.month == 1] = np.nan  # a month that nobody ever saw
    table = table_of(cube_of(values))
    assert np.isfinite(table).all()
    expected = hobday(truth, time)
    assert np.abs(table - expected)[:, 5:7, 6:8].max() < 1.0
    # Five terms on an observation that stands against twenty: a quarter of its error at most, and the gradient.
    assert np.abs(table - expected)[:, 2, 2].max() < 9 * 5 / 20
    assert np.sqrt(((table - expected)[:31] ** 2).mean()) < 0.3


def test_chunks_do_not_matter() -> None:
    time = years(3)
    values = cycle(time) + np.random.default_rng(5).normal(size=(len(time), 4, 5))
    values[np.random.default_rng(6).random(values.shape) < 0.6] = np.nan
    cube = cube_of(values)
    whole = daily_climatology(cube, WINDOW)
    for chunks in ({"time": 9}, {"time": 100, "lat": 2}, {"time": (500, len(time) - 500)}):
        xr.testing.assert_allclose(daily_climatology(cube.chunk(chunks), WINDOW), whole, rtol=0, atol=1e-4)


# The base period


def test_the_rest_of_the_training_period_trains_but_not_the_climatology() -> None:
    time = years(6)
    values = cycle(time)
    cube = cube_of(values + (time.year >= 2003)[:, None, None] * 2.0)
    for kind in ("harmonics", "window"):
        config = ClimatologyConfig(kind=kind, period="2000:2002", recent_days=0)
        fitted = fit_climatology(cube, config)
        early = fit_climatology(cube.sel(time=slice("2000", "2002")), config)
        assert fitted.base_period == early.base_period == "2000-01-01:2002-12-31"
        name = "table" if kind == "window" else "coefficients"
        np.testing.assert_array_equal(fitted.fields[name], early.fields[name])
        assert float(fitted.fields["std"].mean()) > float(early.fields["std"].mean()) + 1


@pytest.mark.parametrize("period", ["1999:2001", "2000:2004", "2001-06:2003-01-01"])
def test_a_base_period_beyond_the_training_period_is_refused(period: str) -> None:
    cube = cube_of(cycle(years(6)))
    config = configure("climatology", train="2000:2002", climatology={"period": period})
    with pytest.raises(InputError, match=f"base period {period} .* reaches beyond .*2000-01-01:2002-12-31"):
        sereno.fit(cube, config)


def test_a_base_period_that_cannot_serve_is_refused() -> None:
    cube = cube_of(np.where((years(3).year == 2001)[:, None, None], np.nan, cycle(years(3))))
    with pytest.raises(InputError, match="2001-01-01:2001-12-31 of the climatology holds no observation"):
        fit_climatology(cube, ClimatologyConfig(period="2001"))
    with pytest.raises(InputError, match="needs a year at least, and 2000-01-01:2000-10-31 has 305 days"):
        fit_climatology(cube, ClimatologyConfig(kind="window", period="2000-01:2000-10"))


@pytest.mark.parametrize("kind", ["harmonics", "window"])
@pytest.mark.parametrize("period", [None, "2000:2001"])
def test_nothing_of_the_scored_period_reaches_the_climatology_of_a_saved_model(
    tmp_path: Path, kind: str, period: str | None
) -> None:
    rng = np.random.default_rng(7)
    time = years(4)
    values = cycle(time, (6, 7)) + rng.normal(size=(len(time), 6, 7))
    values[rng.random(values.shape) < 0.5] = np.nan
    cube = cube_of(values)
    before = cube["time"] < np.datetime64("2003-01-01")
    spoilt = cube.assign(sst=cube["sst"].where(before | cube["sst"].isnull(), 350.0))
    settings = {"kind": kind} | ({} if period is None else {"period": period})
    config = configure("climatology", train=":2002", climatology=settings)
    one, other = (
        sereno.load(sereno.save(sereno.fit(c, config), tmp_path / name)).reconstructor.climatology
        for name, c in (("one", cube), ("other", spoilt))
    )
    xr.testing.assert_identical(one.fields, other.fields)
    assert one.base_period == other.base_period == ("2000-01-01:2001-12-31" if period else "2000-01-01:2002-12-31")
    scored = cube["time"].sel(time="2003")
    xr.testing.assert_identical(one.at(scored).compute(), other.at(scored).compute())
    withheld = withhold(cube, protocol="hidden-day", days=slice("2003", "2003"), share=1.0)
    days = withheld["time"].values
    seen = [model.baseline(hide(c, withheld), days).compute() for model, c in ((one, cube), (other, spoilt))]
    # Days too cloudy to be scored stay in sight, and so in the recent mean, of both.
    shown = [hide(c, withheld).sel(time="2003")["sst"].notnull().any().compute() for c in (cube, spoilt)]
    assert not any(shown)
    xr.testing.assert_identical(*seen)


# The file


@pytest.mark.parametrize("kind", ["harmonics", "window"])
def test_the_file_is_read_as_it_was_written(tmp_path: Path, kind: str) -> None:
    time = years(7)
    water = np.ones((4, 5), bool)
    water[0, :2] = False
    rng = np.random.default_rng(8)
    values = cycle(time, trend=0.1) + 0.5 * rng.normal(size=(len(time), 4, 5))
    values[rng.random(values.shape) < 0.4] = np.nan
    cube = cube_of(values, water=water)
    config = ClimatologyConfig(kind=kind, period="2001:2006")
    make_climatology(cube, tmp_path / "clim.nc", config)
    with xr.open_dataset(tmp_path / "clim.nc") as opened:
        written = opened.load()
    assert written["climatology"].dims == ("dayofyear", "lat", "lon")
    assert written["climatology"].attrs["units"] == "kelvin"
    assert (written.attrs["base_period_start"], written.attrs["base_period_end"]) == ("2001-01-01", "2006-12-31")
    assert written.attrs["climatology_method"] == kind
    np.testing.assert_array_equal(written["climatology"].notnull().all("dayofyear"), water)
    np.testing.assert_array_equal(written["climatology"].notnull().any("dayofyear"), water)
    base = cube["sst"].sel(time=slice("2001", "2006")).where(water)
    np.testing.assert_array_equal(written["count"], base.notnull().sum("time"))
    table = read_climatology(tmp_path / "clim.nc", cube)
    np.testing.assert_allclose(table.where(water), written["climatology"], atol=1e-4)
    assert (table.attrs["base_period_start"], table.attrs["base_period_end"]) == ("2001-01-01", "2006-12-31")
    # The trend stands at the middle of the base period, whatever the kind.
    middle = cycle(pd.date_range("2004-01-01", "2004-12-31"), trend=0.1)
    assert abs(float((written["climatology"] - middle).mean())) < 0.1
    departures = base - table.sel(dayofyear=base["time"].dt.dayofyear.drop_vars("time"))
    assert float(written["climatology_std"].mean()) == pytest.approx(float(departures.std()), rel=0.05)


def test_windows_tell_how_many_observations_they_hold(tmp_path: Path) -> None:
    made = daily_climatology(cube_of(cycle(years(4))), WINDOW)
    assert made["window_count"].sel(dayofyear=200).values.tolist() == np.full((4, 5), 44).tolist()
    assert int(made["count"][0, 0]) == len(years(4))


def test_a_field_that_is_no_temperature_keeps_its_unit(tmp_path: Path) -> None:
    cube = cube_of(cycle(years(2)) / 300, units="mg m-3").rename(sst="chl").assign_attrs(field="chl")
    make_climatology(cube, tmp_path / "clim.nc")
    np.testing.assert_allclose(read_climatology(tmp_path / "clim.nc", cube).mean(), 290 / 300, atol=0.01)
    with xr.open_dataset(tmp_path / "clim.nc") as written:
        assert written["climatology"].attrs["units"] == "mg m-3"
        assert "standard_name" not in written["climatology"].attrs


def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path: Path) -> None:
    cube = cube_of(cycle(years(2)))
    for name, message in (("clim.txt", "must end in .nc or .zarr"), ("gone/clim.nc", "there is no folder")):
        with pytest.raises(InputError, match=message):
            make_climatology(cube, tmp_path / name)


# Scoring


def a_file(cube: xr.Dataset, path: Path, period: str) -> Path:
    make_climatology(cube, path, ClimatologyConfig(kind="window", period=period))
    return path


def test_scoring_refuses_a_file_whose_base_period_holds_scored_days(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    values = cycle(years(4), (6, 7))
    values[rng.random(values.shape) < 0.5] = np.nan
    cube = cube_of(values)
    late = configure("climatology", climatology={"file": str(a_file(cube, tmp_path / "late.nc", "2001:2003"))})
    fitted = sereno.fit(cube, replace(late, train="2001:"))
    saved = sereno.load(sereno.save(fitted, tmp_path / "model"))
    for method in (late, saved):
        with pytest.raises(InputError, match=r"mine: the base period 2001-01-01:2003-12-31 .*late.nc, holds \d+ of"):
            sereno.evaluate(cube, {"mine": method}, days="2003")
        assert sereno.evaluate(cube, {"mine": method}, days="2000", share=0.05).scores["methods"]["mine"]["rmse"] < 1
    early = configure("climatology", climatology={"file": str(a_file(cube, tmp_path / "early.nc", "2000:2002"))})
    record = sereno.evaluate(cube, {"mine": early}, days="2003", share=0.05).scores["fitted"]["mine"]
    assert record["climatology_base_period"] == "2000-01-01:2002-12-31"


@pytest.mark.thorough
def test_a_file_without_a_base_period_is_told_of_in_the_scores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cube = cube_of(cycle(years(3), (6, 7)))
    a_file(cube, tmp_path / "full.nc", "2000:2001")
    with xr.open_dataset(tmp_path / "full.nc") as opened:
        opened.drop_attrs(deep=False).to_netcdf(tmp_path / "bare.nc")
    config = configure("climatology", climatology={"file": str(tmp_path / "bare.nc")})
    results = sereno.evaluate(cube, {"mine": config}, days="2002", share=0.05, protocol="hidden-day").results
    assert results.fitted["mine"].climatology_base_period is None
    show_scores(results)
    # Lines are folded at the width of the terminal, a long path in its midst.
    assert "bare.nc,whichstatesnobaseperiod" in "".join(capsys.readouterr().out.split())
