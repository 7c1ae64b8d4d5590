import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sereno.cube import DIMS, make_cube
from sereno.errors import InputError
from sereno.gaps.hiding import hide
from sereno.gaps.samples import samples
from sereno.gaps.statistics import coverage
from sereno.gaps.withholding import SMALLEST_COVERAGE, WHOLE_DAY_EVERY, withhold


def cloudy(days: int, *, start: str = "2015-01-01", shape: tuple[int, int] = (12, 14), seed: int = 0) -> xr.Dataset:
    """A record of noise under a cloud a day, each its own, with a corner of land."""
    rng = np.random.default_rng(seed)
    values = rng.normal(290, 1, size=(days, *shape)).astype(np.float32)
    row, column = np.mgrid[: shape[0], : shape[1]]
    centre = rng.uniform(0, 1, size=(2, days, 1, 1)) * np.array(shape)[:, None, None, None]
    distance = np.hypot(row - centre[0], column - centre[1])
    values[distance < rng.uniform(3, 7, size=(days, 1, 1))] = np.nan
    water = np.ones(shape, bool)
    water[:2, :3] = False
    values[:, ~water] = np.nan
    time = pd.date_range(start, periods=days)
    lat, lon = 40 + 0.1 * np.arange(shape[0]), 0.1 * np.arange(shape[1])
    return make_cube(values, time=time, lat=lat, lon=lon, water=water)


@pytest.fixture(scope="module")
def years() -> xr.Dataset:
    return cloudy(3 * 365)


def observed(cube: xr.Dataset) -> np.ndarray:
    return np.asarray((cube["sst"].notnull() & cube["water"]).values)


def donors(cube: xr.Dataset, withheld: xr.DataArray) -> list[list[np.datetime64]]:
    """List, for each scored day, every other day whose clouds hide exactly what was withheld."""
    everyday, found = observed(cube), []
    for day, mask in zip(withheld["time"].values, withheld.values, strict=True):
        here = everyday[cube.indexes["time"].get_loc(day)]
        same = ((here & ~everyday) == mask).all(axis=(1, 2))
        found.append([other for other in cube["time"].values[same] if other != day])
    return found


def test_coverage_is_the_share_of_the_water_seen() -> None:
    cube = cloudy(5)
    cube["sst"][0] = np.nan
    cube["sst"][1] = 290  # land as well, which does not count
    share = coverage(cube)
    assert share[:2].values.tolist() == [0, 1]
    assert float(share[2]) == pytest.approx(observed(cube)[2].sum() / int(cube["water"].sum()))


@pytest.mark.parametrize("protocol", ["clouds", "hidden-day"])
def test_the_seed_decides_what_is_withheld_and_only_observations_are(years: xr.Dataset, protocol: str) -> None:
    one, again, other = (withhold(years, protocol=protocol, share=0.05, seed=seed) for seed in (1, 1, 2))
    xr.testing.assert_identical(one, again)
    assert not one.equals(other)
    assert one.dtype == bool
    assert one.dims == DIMS
    assert (np.diff(one["time"].values) > np.timedelta64(0)).all()
    assert one.any(("lat", "lon")).all()
    shown = observed(years.sel(time=one["time"]))
    assert not (one.values & ~shown).any()
    assert one.sizes["time"] == round(0.05 * int((coverage(years) >= SMALLEST_COVERAGE).sum()))


def test_what_is_withheld_depends_on_where_was_seen_and_not_on_what(years: xr.Dataset) -> None:
    other_values = years.assign(sst=years["sst"] * -3 + 7)
    xr.testing.assert_identical(
        withhold(years, protocol="clouds", share=0.02), withhold(other_values, protocol="clouds", share=0.02)
    )


def test_donors_are_days_of_the_same_season_of_another_year(years: xr.Dataset) -> None:
    withheld = withhold(years, protocol="clouds", share=0.05)
    for day, others in zip(withheld["time"].values, donors(years, withheld), strict=True):
        of_other_years = [other for other in others if other.astype("datetime64[Y]") != day.astype("datetime64[Y]")]
        apart = np.abs(pd.DatetimeIndex(of_other_years).day_of_year - pd.Timestamp(day).day_of_year)
        # 45 days of the season, and one for 29 February.
        assert np.minimum(apart, 366 - apart).min() <= 46


def test_in_a_record_of_one_season_the_donor_is_another_day_of_it() -> None:
    cube = cloudy(40)
    withheld = withhold(cube, protocol="clouds", share=1.0)
    assert withheld.sizes["time"] >= 35
    assert all(donors(cube, withheld))


def test_clouds_leave_something_of_a_day_and_a_hidden_day_leaves_nothing(years: xr.Dataset) -> None:
    for protocol in ("clouds", "hidden-day"):
        withheld = withhold(years, protocol=protocol, share=0.05)
        shown = observed(years.sel(time=withheld["time"]))
        if protocol == "hidden-day":
            np.testing.assert_array_equal(withheld.values, shown)
        else:
            share = withheld.values.sum(axis=(1, 2)) / shown.sum(axis=(1, 2))
            assert share.min() >= 0.05
            assert share.max() <= 0.95


def test_a_record_of_one_day_is_scored_under_its_own_clouds_flipped_and_moved() -> None:
    cube = cloudy(1, seed=3)
    withheld = withhold(cube, protocol="clouds").values[0]
    shown = observed(cube)[0]
    own = cube["water"].values & ~shown
    moved = (
        np.roll(np.flip(own, axes), shift, axis=(0, 1))
        for axes in ((0,), (1,), (0, 1))
        for shift in np.ndindex(own.shape)
    )
    assert any((withheld == (shown & one)).all() for one in moved)
    assert 0.05 <= withheld[shown].mean() <= 0.95


def test_scored_days_and_donors_lie_within_the_period(years: xr.Dataset) -> None:
    period = slice("2016-03-01", "2016-05-31")
    withheld = withhold(years, protocol="clouds", days=period, share=0.5)
    assert withheld["time"].min() >= np.datetime64("2016-03-01")
    assert withheld["time"].max() <= np.datetime64("2016-05-31")
    assert all(donors(years.sel(time=period), withheld))


def test_at_least_four_days_are_scored_and_none_that_shows_little() -> None:
    cube = cloudy(30)
    cube["sst"][10:] = np.nan
    cube["sst"][5, :, 2:] = np.nan
    withheld = withhold(cube, protocol="hidden-day", share=0.01)
    assert withheld.sizes["time"] == 4
    every = withhold(cube, protocol="hidden-day", share=1.0)
    assert cube["time"].values[5] not in every["time"].values
    assert every.sizes["time"] == 9


@pytest.mark.parametrize("protocol", ["clouds", "hidden-day"])
def test_nothing_to_score_is_an_error(protocol: str) -> None:
    cube = cloudy(10)
    with pytest.raises(InputError, match="nothing to score"):
        withhold(cube.assign(sst=cube["sst"] * np.nan), protocol=protocol)
    with pytest.raises(InputError, match="holds no day"):
        withhold(cube, protocol=protocol, days=slice("1999-01-01", "1999-12-31"))


def test_where_it_was_never_cloudy_there_are_no_clouds_to_lay() -> None:
    cube = cloudy(10)
    clear = cube.assign(sst=cube["sst"].fillna(290))
    with pytest.raises(InputError, match="nothing to score"):
        withhold(clear, protocol="clouds")
    assert withhold(clear, protocol="hidden-day").any()


def test_an_unknown_protocol_is_named() -> None:
    with pytest.raises(InputError, match="'cloud'"):
        withhold(cloudy(10), protocol="cloud")


def test_nothing_withheld_stays_in_sight(years: xr.Dataset) -> None:
    noisy = years.assign(
        truth=years["sst"].fillna(290), sst_withheld=years["sst"], sst_error=years["sst"] * 0 + np.float32(0.3)
    )
    withheld = withhold(noisy, protocol="clouds", share=0.05)
    mask = withheld.reindex(time=noisy["time"], fill_value=False)
    for cube in (noisy, noisy.chunk(time=100, lat=5)):
        visible = hide(cube, withheld).compute()
        assert set(visible.data_vars) == {"sst", "sst_error", "water"}
        for name in ("sst", "sst_error"):
            xr.testing.assert_identical(visible[name], noisy[name].where(~mask))
        assert visible["sst"].dtype == np.float32
        assert visible["sst"].attrs == years["sst"].attrs
    xr.testing.assert_identical(noisy["sst"], years["sst"])


def test_hiding_is_lazy_where_the_cube_is(years: xr.Dataset) -> None:
    withheld = withhold(years, protocol="clouds", share=0.05)
    assert hide(years.chunk(time=100), withheld)["sst"].chunks is not None


def test_samples_hide_what_they_ask_for() -> None:
    cube = cloudy(60)
    window, half = 7, 3
    everything = np.pad(cube["sst"].values, ((half, half), (0, 0), (0, 0)), constant_values=np.nan)
    drawn = list(samples(cube, window=window, count=40, side=8, seed=2))
    assert len(drawn) > 30
    for order, sample in enumerate(drawn):
        place = (slice(None), sample.rows, sample.columns)
        assert sample.values.shape == (window, 8, 8)
        hidden = np.isfinite(sample.withheld)
        assert hidden.any()
        assert np.isnan(sample.values[half][hidden]).all()
        # Laid back, what was hidden gives a window of the record, whole.
        whole = sample.values.copy()
        whole[half][hidden] = sample.withheld[hidden]
        days = [
            day
            for day in range(cube.sizes["time"])
            if np.array_equal(everything[day : day + window][place], whole, equal_nan=True)
        ]
        assert len(days) == 1
        if order == 0:
            assert np.isnan(sample.values[half]).all()
    whole_days = sum(bool(np.isnan(sample.values[half]).all()) for sample in drawn)
    assert whole_days >= len(drawn) // WHOLE_DAY_EVERY


def test_samples_of_land_show_nothing() -> None:
    cube = cloudy(30)
    lakes = cube.assign(sst=cube["sst"].where(cube["water"], 300))
    for dry, wet in zip(
        samples(cube, window=5, count=20, side=20), samples(lakes, window=5, count=20, side=20), strict=True
    ):
        np.testing.assert_array_equal(wet.values, dry.values)
        np.testing.assert_array_equal(wet.withheld, dry.withheld)


def test_a_short_record_is_gone_through_several_times_with_other_clouds() -> None:
    cube = cloudy(6)
    drawn = list(samples(cube, window=3, count=100, side=20))
    assert 6 < len(drawn) <= 24
    masks = {np.isfinite(sample.withheld).tobytes() for sample in drawn}
    assert len(masks) > 6
    assert not list(samples(cube.assign(sst=cube["sst"] * np.nan), window=3, count=10, side=20))
