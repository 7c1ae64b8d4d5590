from itertools import groupby

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sereno.cube import make_cube
from sereno.errors import InputError
from sereno.gaps import statistics
from sereno.gaps.statistics import GapRuns, gap_statistics


def a_cube(missing: np.ndarray, water: np.ndarray | None = None) -> xr.Dataset:
    """Return a cube that is missing where told, bool (time, lat, lon)."""
    days, height, width = missing.shape
    water = np.ones((height, width), bool) if water is None else water
    values = np.where(missing, np.nan, 290.0).astype("float32")
    time = pd.date_range("2019-01-01", periods=days)
    return make_cube(values, time=time, lat=np.arange(height), lon=np.arange(width), water=water)


def of_text(*rows: str) -> np.ndarray:
    """Read one pixel a row, a day a letter: # is missing."""
    return np.array([[letter == "#" for letter in row] for row in rows]).T[:, None]


def runs_of(series: np.ndarray) -> list[tuple[int, bool]]:
    """Return length of each gap of a pixel and whether it is cut off, by walking along it."""
    found, day = [], 0
    for missing, group in groupby(series):
        length = len(list(group))
        if missing:
            found.append((length, day == 0 or day + length == len(series)))
        day += length
    return found


MASKS = st.tuples(st.integers(1, 24), st.integers(1, 2), st.integers(1, 3)).flatmap(lambda shape: arrays(bool, shape))


@settings(max_examples=40)
@given(MASKS, st.data())
def test_statistics_are_those_of_a_walk_along_each_pixel_whatever_the_blocks(
    missing: np.ndarray, data: st.DataObject
) -> None:
    water = data.draw(arrays(bool, missing.shape[1:]).filter(np.any))
    found = gap_statistics(a_cube(missing, water).chunk(time=data.draw(st.integers(1, len(missing)))))
    every: list[tuple[int, bool]] = []
    for row, column in np.ndindex(*water.shape):
        pixel = found.isel(lat=row, lon=column)
        series = missing[:, row, column]
        if not water[row, column]:
            assert all(np.isnan(pixel[name]) for name in found.data_vars if "lat" in found[name].dims)
            continue
        runs = runs_of(series)
        every += runs
        lengths = [length for length, _ in runs]
        expected = {
            "cloud_cover": 100 * series.mean(),
            "gap_count": len(runs),
            "gap_censored": sum(cut for _, cut in runs),
            "gap_mean": np.mean(lengths) if runs else np.nan,
            "gap_median": np.median(lengths) if runs else np.nan,
            "gap_longest": max(lengths, default=0),
        }
        for name, value in expected.items():
            np.testing.assert_allclose(pixel[name], value, rtol=1e-6, err_msg=name)
    for length in found["gap_length"].values:
        at = found.sel(gap_length=length)
        assert at["gap_runs"] == sum(run == length for run, _ in every)
        assert at["gap_runs_censored"] == sum(run == length and cut for run, cut in every)
    assert found["gap_runs"].sum() == len(every)


def test_a_record_in_memory_gives_the_same_as_one_in_chunks() -> None:
    cube = a_cube(np.random.default_rng(0).random((30, 3, 4)) < 0.6)
    xr.testing.assert_identical(gap_statistics(cube), gap_statistics(cube.chunk(time=7)))


def test_three_pixels_by_hand() -> None:
    found = gap_statistics(a_cube(of_text("##.#...###", "..........", "##########")))
    np.testing.assert_array_equal(found["cloud_cover"][0], [60, 0, 100])
    np.testing.assert_array_equal(found["gap_count"][0], [3, 0, 1])
    np.testing.assert_array_equal(found["gap_censored"][0], [2, 0, 1])
    np.testing.assert_array_equal(found["gap_mean"][0], [2, np.nan, 10])
    np.testing.assert_array_equal(found["gap_median"][0], [2, np.nan, 10])
    np.testing.assert_array_equal(found["gap_longest"][0], [3, 0, 10])
    np.testing.assert_array_equal(found["gap_length"], np.arange(1, 11))
    np.testing.assert_array_equal(found["gap_runs"], [1, 1, 1, 0, 0, 0, 0, 0, 0, 1])
    np.testing.assert_array_equal(found["gap_runs_censored"], [0, 1, 1, 0, 0, 0, 0, 0, 0, 1])


def test_a_record_without_gaps_has_one_length_with_no_gap() -> None:
    found = gap_statistics(a_cube(np.zeros((5, 2, 2), bool)))
    assert found["gap_runs"].values.tolist() == [0]
    assert not found["gap_longest"].any()


def test_every_map_and_series_has_a_long_name_and_a_unit() -> None:
    found = gap_statistics(a_cube(of_text("#.#")))
    assert {name for name in found.variables if not {"long_name", "units"} <= found[name].attrs.keys()} == {
        "lat",
        "lon",
    } - {name for name in ("lat", "lon") if "long_name" in found[name].attrs}


def test_where_memory_is_short_long_medians_are_lower_bounds_and_all_else_is_exact(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(statistics, "HISTOGRAM_COUNTS", 1)
    monkeypatch.setattr(statistics, "FEWEST_LENGTHS", 4)
    rows = ("#######.########.#####....", "#.##.###.#########........", "######.########...........")
    found = gap_statistics(a_cube(of_text(*rows)))
    assert found["gap_median"].attrs["exact_up_to"] == 4
    np.testing.assert_array_equal(found["gap_median"][0], [4, 2.5, 7])  # of 5, 7, 8; 1, 2, 3, 9; and two alone
    np.testing.assert_allclose(found["gap_mean"][0], [20 / 3, 15 / 4, 7], rtol=1e-6)
    np.testing.assert_array_equal(found["gap_longest"][0], [8, 9, 8])


def test_the_histogram_is_bounded_by_the_map_not_by_the_record() -> None:
    pixels = statistics.HISTOGRAM_COUNTS // 100
    assert GapRuns(pixels, days=20_000).exact_up_to == 100


def test_progress_counts_days() -> None:
    told: list[float] = []
    gap_statistics(a_cube(np.zeros((10, 2, 2), bool)).chunk(time=4), progress=lambda _, done: told.append(done))
    assert told == [0.0, 0.4, 0.8, 1.0]


def test_no_water_is_refused() -> None:
    with pytest.raises(InputError, match="not one water pixel"):
        gap_statistics(a_cube(np.zeros((3, 2, 2), bool), np.zeros((2, 2), bool)))
