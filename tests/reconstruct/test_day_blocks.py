import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from dask.delayed import delayed
from hypothesis import given
from hypothesis import strategies as st

from sereno.cube import BEYOND_SUPPORT, DIMS, FILLED, OBSERVED, make_cube
from sereno.errors import InputError
from sereno.reconstruct import day_blocks
from sereno.reconstruct.day_blocks import by_block

SHAPE = (3, 4)


def gappy(days: int, *, seen: float = 0.3, seed: int = 0) -> xr.Dataset:
    """Small integers, sums of which are exact, under gaps; two cells of land that hold values all the same."""
    rng = np.random.default_rng(seed)
    values = rng.integers(1, 100, size=(days, *SHAPE)).astype(np.float32)
    values[rng.random(values.shape) > seen] = np.nan
    water = np.ones(SHAPE, bool)
    water[0, :2] = False
    values[:, ~water] = 77
    time = pd.date_range("2020-02-20", periods=days)
    return make_cube(values, time=time, lat=range(3), lon=range(4), water=water)


def weighted_window(values: np.ndarray, days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A reconstruction whose mean tells every value of the window and its place, and whose std tells the date."""
    half = (len(values) - len(days)) // 2
    mean = [
        sum((lag + 1) * np.nan_to_num(values[day + lag], nan=0.5) for lag in range(2 * half + 1))
        for day in range(len(days))
    ]
    date = (days - np.datetime64("2020-01-01")) / np.timedelta64(1, "D")
    return np.stack(mean).astype(np.float32), np.broadcast_to(date[:, None, None], (len(days), *SHAPE))


def oracle(cube: xr.Dataset, position: int, half: int, margin: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same mean, and source and age of the data, which take no heed of the margin, an image at a time."""
    water, age = cube["water"].values, np.full(SHAPE, np.nan)
    total, ever = np.zeros(SHAPE), np.zeros(SHAPE, bool)
    reach = half + margin
    for lag in range(-reach, reach + 1):
        inside = 0 <= position + lag < cube.sizes["time"]
        image = cube["sst"].values[position + lag] if inside else np.full(SHAPE, np.nan)
        image = np.where(water, image, np.nan)
        total += (lag + reach + 1) * np.where(np.isnan(image), 0.5, image)
        ever |= np.isfinite(image) & (abs(lag) <= half)
        age = np.where(np.isfinite(image) & (-half <= lag <= 0), -lag, age)
    here = cube["sst"].notnull().values[position]
    source = np.where(here, OBSERVED, np.where(ever, FILLED, BEYOND_SUPPORT))
    return np.where(water, total, np.nan), np.where(water, source, 0), age


@given(
    record=st.integers(1, 25),
    half=st.integers(0, 4),
    margin=st.integers(0, 3),
    extra=st.integers(0, 12),
    chunk=st.integers(1, 25),
    data=st.data(),
)
def test_every_day_gets_its_own_window_however_days_are_chosen_and_blocks_cut(
    record: int, half: int, margin: int, extra: int, chunk: int, data: st.DataObject
) -> None:
    chosen = sorted(data.draw(st.sets(st.integers(0, record - 1), min_size=1)))
    cube = gappy(record, seen=data.draw(st.floats(0, 1)), seed=record)
    days = cube["time"].values[chosen]
    analysis = by_block(
        cube.chunk(time=chunk),
        days,
        window=2 * half + 1,
        margin=margin,
        reconstruct_block=weighted_window,
        block_days=2 * (half + margin) + 1 + extra,
    ).compute()
    np.testing.assert_array_equal(analysis["time"], days)
    for row, position in enumerate(chosen):
        mean, source, age = oracle(cube, position, half, margin)
        np.testing.assert_array_equal(analysis["data_age"][row], age)
        np.testing.assert_array_equal(analysis["mean"][row], mean.astype(np.float32))
        np.testing.assert_array_equal(analysis["source"][row], source)
        date = (cube["time"].values[position] - np.datetime64("2020-01-01")) / np.timedelta64(1, "D")
        assert set(np.unique(analysis["std"].values[row][cube["water"].values])) == {date}


def test_types_dimensions_and_land() -> None:
    cube = gappy(6)
    analysis = by_block(cube, cube["time"].values, window=3, reconstruct_block=weighted_window)
    assert [analysis[name].dtype for name in ("mean", "std", "source")] == [np.float32, np.float32, np.int8]
    assert all(analysis[name].dims == DIMS for name in analysis)
    assert analysis["mean"].isnull().values[:, 0, :2].all()
    assert analysis["std"].isnull().values[:, 0, :2].all()
    assert (analysis["source"].values[:, 0, :2] == 0).all()


def test_a_method_is_never_handed_values_of_land() -> None:
    cube = gappy(6, seen=1)
    given: list[np.ndarray] = []

    def noted(values: np.ndarray, days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        given.append(values)
        return weighted_window(values, days)

    by_block(cube, cube["time"].values, window=3, reconstruct_block=noted).compute()
    (values,) = given
    assert np.isnan(values[:, 0, :2]).all()
    np.testing.assert_array_equal(values[1:-1, 1:], cube["sst"].values[:, 1:])


def test_a_day_outside_the_record_is_an_error() -> None:
    cube = gappy(6)
    days = cube["time"].values[-1:] + np.timedelta64(1, "D")
    with pytest.raises(InputError, match="day 2020-02-26 is not a day of the cube"):
        by_block(cube, days, window=3, reconstruct_block=weighted_window)


def watched(cube: xr.Dataset, read: list[int]) -> xr.Dataset:
    """The same cube, lazy, a day a chunk, which notes the days that are read."""

    def image(position: int) -> np.ndarray:
        read.append(position)
        return np.asarray(cube["sst"].values[position : position + 1])

    lazy_image = delayed(image, pure=False)
    images = [
        da.from_delayed(lazy_image(position), (1, *SHAPE), np.float32) for position in range(cube.sizes["time"])
    ]
    return cube.assign(sst=(DIMS, da.concatenate(images)))


def test_nothing_is_read_or_reconstructed_before_it_is_asked_for() -> None:
    read: list[int] = []
    called: list[np.ndarray] = []

    def noted(values: np.ndarray, days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        called.append(days)
        return weighted_window(values, days)

    cube = watched(gappy(40), read)
    days = cube["time"].values
    analysis = by_block(cube, days, window=5, reconstruct_block=noted, block_days=5)
    assert not read
    assert not called
    analysis["mean"].isel(time=20).compute()
    assert sorted(read) == [18, 19, 20, 21, 22]
    assert [list(block) for block in called] == [[days[20]]]


def test_a_lone_day_reads_its_window_alone_whatever_the_block() -> None:
    read: list[int] = []
    cube = watched(gappy(40), read)
    by_block(cube, cube["time"].values[[30]], window=5, reconstruct_block=weighted_window).compute()
    assert sorted(set(read)) == [28, 29, 30, 31, 32]


def test_scattered_days_read_their_windows_and_nothing_between() -> None:
    read: list[int] = []
    cube = watched(gappy(40), read)
    by_block(cube, cube["time"].values[[0, 15, 39]], window=3, reconstruct_block=weighted_window).compute()
    assert sorted(set(read)) == [0, 1, 14, 15, 16, 38, 39]


@given(st.integers(0, 3), st.integers(1, 20), st.sets(st.integers(0, 60), min_size=1))
def test_no_block_is_longer_than_allowed(half: int, longest: int, chosen: set[int]) -> None:
    window = 2 * half + 1
    seen: list[int] = []

    def noted(values: np.ndarray, days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.append(len(values))
        return weighted_window(values, days)

    cube = gappy(61)
    days = cube["time"].values[sorted(chosen)]
    by_block(cube, days, window=window, reconstruct_block=noted, block_days=longest).compute()
    assert max(seen) <= max(longest, window)


def test_each_day_is_read_once_though_windows_overlap() -> None:
    read: list[int] = []
    cube = watched(gappy(40), read)
    days = cube["time"].values[[10, 12, 13, 18]]
    by_block(cube, days, window=7, reconstruct_block=weighted_window, block_days=30).compute()
    assert sorted(read) == list(range(7, 22))


@given(st.integers(1, 7), st.integers(0, 12), st.sets(st.integers(0, 60), min_size=1))
def test_days_that_belong_together_are_in_one_block(together: int, extra: int, chosen: set[int]) -> None:
    cube = gappy(61)
    days = cube["time"].values[sorted(chosen)]
    longest = 2 + together + extra
    analysis = by_block(
        cube, days, window=3, reconstruct_block=weighted_window, block_days=longest, together=together
    )
    number = days.astype("datetime64[D]").astype(int) // together
    for edge in np.cumsum(analysis.chunksizes["time"])[:-1]:
        assert number[edge - 1] != number[edge]


@pytest.mark.parametrize(("count", "most", "expected"), [(96, 60, [16] * 6), (40, 60, [20, 20]), (40, 24, [10] * 4)])
def test_of_a_large_map_all_cores_have_as_many_days(
    count: int, most: int, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    days = (np.datetime64("2020-01-01") + np.arange(count)).astype("datetime64[ns]")
    lengths: list[int] = []
    cube = make_cube(
        np.zeros((count, 2, 3), np.float32), time=days, lat=[0, 1], lon=[0, 1, 2], water=np.ones((2, 3), bool)
    )
    monkeypatch.setattr(day_blocks, "days_per_block", lambda cells: 1)
    monkeypatch.setattr(day_blocks, "CONTEXT_CELLS", most * 6)
    monkeypatch.setattr(day_blocks, "cores", lambda: 2)

    def noted(values: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        lengths.append(len(block))
        assert len(values) == len(block) + 14 <= most
        return values[7:-7], values[7:-7]

    by_block(cube, days, window=15, reconstruct_block=noted).compute(scheduler="sync")
    assert lengths == expected
