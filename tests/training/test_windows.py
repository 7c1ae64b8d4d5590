from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from anomaly_cubes import anomaly_cube

from sereno.config import ConvLSTM
from sereno.errors import InputError
from sereno.training import archive as archives
from sereno.training.archive import Archive, HiddenWindow, Record, split
from sereno.training.windows import (
    Drawn,
    Encoded,
    Tiles,
    cut_window,
    draw_window,
    plan_tiles,
    validation_count,
    windows_for,
)

TILES = ConvLSTM(window=5, windows="tiles", tile=(4, 4), hidden_day_fraction=1, mask="state")


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read six days at a time."""
    whole = Archive.blocks
    monkeypatch.setattr(Archive, "blocks", lambda archive: whole(archive, block_bytes=6 * 4 * archive.water.size))


def archive(days: int) -> Archive:
    return Archive.of(anomaly_cube(days))


def record(days: int) -> Record:
    return archive(days).load(range(days), window=5)


def same(first: HiddenWindow, second: HiddenWindow) -> bool:
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first[:4], second[:4], strict=True))


def test_days_that_are_not_there_are_empty() -> None:
    values = np.arange(3, dtype=np.float32)[:, None, None] * np.ones((1, 2, 2), dtype=np.float32)
    window = cut_window(values, np.array([-1, 0, 2]))
    np.testing.assert_array_equal(window[:, 0, 0], [np.nan, 0, 2])
    assert np.isfinite(values).all()


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_hidden_pixels_are_observed_ones_and_no_longer_to_be_seen(fraction: float) -> None:
    config = ConvLSTM(window=5, tile=(4, 64), hidden_day_fraction=fraction)
    days, generator = record(20), np.random.default_rng(0)
    for _ in range(50):
        window = draw_window(days, config, generator)
        assert window.values.shape == (5, 4, 7)
        centre = window.values[2]
        assert np.isfinite(window.truth[window.hidden]).all()
        assert np.isnan(centre[window.hidden]).all()
        np.testing.assert_array_equal(centre[~window.hidden], window.truth[~window.hidden])
        np.testing.assert_array_equal(window.water, days.water[window.crop])
        if fraction == 1:
            assert np.isnan(centre).all()
        here = [(day[window.crop] == window.truth).sum() for day in days.values]
        assert max(here) == np.isfinite(window.truth).sum()


def test_validation_windows_are_fixed_by_the_seed() -> None:
    config = ConvLSTM(window=5)
    first, again, other = (list(Drawn(archive(20), config, seed, 7, fixed=True).of_epoch(0)) for seed in (1, 1, 2))
    assert len(first) == 7
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert not all(same(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.usefixtures("small_blocks")
def test_an_epoch_reads_one_block_and_the_next_another() -> None:
    days = archive(30)
    assert len(days.blocks()) == 5
    drawn = Drawn(days, ConvLSTM(window=5, tile=(6, 7)), 0, 20)
    seen = []
    for epoch in range(5):
        centres = {day for window in drawn.of_epoch(epoch) for day in _positions(days, window)}
        (block,) = [block for block in days.blocks() if centres <= set(block)]
        seen.append(block.start)
    assert sorted(seen) == [block.start for block in days.blocks()]


def _positions(days: Archive, window: HiddenWindow) -> Iterator[int]:
    for position, values in enumerate(days.anomaly.values):
        if np.array_equal(values[window.crop], window.truth, equal_nan=True):
            yield position


def test_tiles_overlap_cover_the_grid_and_show_enough() -> None:
    days = archive(9)
    places = plan_tiles(days, replace(TILES, smallest_coverage=0.5), seed=0)
    expected = [
        (day, row, column)
        for day in range(2, 7)
        for row in (0, 2)  # the last of each axis is moved back to the edge
        for column in (0, 2, 3)
        if np.isfinite(days.anomaly.values[day, row : row + 4, column : column + 4]).mean() >= 0.5
    ]
    assert [tuple(place) for place in places.tolist()] == expected
    assert 0 < len(expected) < 5 * 6


@pytest.mark.usefixtures("small_blocks")
def test_every_tile_comes_once_an_epoch_wholly_hidden_in_another_order_each_time() -> None:
    days = archive(20)
    tiles = Tiles(days, TILES, 0, plan_tiles(days, TILES, seed=0))
    first, second = (list(tiles.of_epoch(epoch)) for epoch in (0, 1))
    assert len(first) == len(second) == len(tiles) == 16 * 6
    assert not all(same(a, b) for a, b in zip(first, second, strict=True))
    key = [sorted(window.truth.tobytes() + window.values.tobytes() for window in epoch) for epoch in (first, second)]
    assert key[0] == key[1]
    assert len(set(key[0])) == len(key[0])
    assert all(np.isnan(window.values[2]).all() for window in first)
    fixed = [[w.truth.tobytes() for w in replace(tiles, shuffle=False).of_epoch(epoch)] for epoch in (0, 1)]
    assert fixed[0] == fixed[1]


def test_a_split_in_time_leaves_no_day_to_both() -> None:
    parts = split(anomaly_cube(100), TILES)
    training, validation = windows_for(*parts, TILES, seed=0)
    assert isinstance(training, Tiles)
    assert isinstance(validation, Tiles)
    last = training.archive.days[training.places[:, 0]].max()
    first = validation.archive.days[validation.places[:, 0]].min()
    assert first - last > np.timedelta64(TILES.window, "D")
    assert len(validation) == min(validation_count(len(training) + 11 * 6), 11 * 6)


def test_a_random_split_parts_the_tiles_of_the_same_days() -> None:
    config = replace(TILES, split="random")
    training, validation = windows_for(*split(anomaly_cube(40), config), config, seed=0)
    assert isinstance(training, Tiles)
    assert isinstance(validation, Tiles)
    places = [{tuple(place) for place in windows.places.tolist()} for windows in (training, validation)]
    assert not places[0] & places[1]
    assert len(places[0] | places[1]) == 36 * 6
    assert len(validation) == 32
    assert set(training.places[:, 0]) & set(validation.places[:, 0])


@pytest.mark.parametrize(("windows", "count"), [(4096, 512), (1, 1), (22, 4), (44, 8), (100, 16), (10000, 1024)])
def test_validation_takes_the_power_of_two_nearest_to_a_share(windows: int, count: int) -> None:
    assert validation_count(windows) == count
    powers = 2.0 ** np.arange(20)
    assert count == powers[np.abs(powers - max(archives.VALIDATION_SHARE * windows, 1)).argmin()]


def test_at_most_so_many_tiles_are_drawn_by_the_seed() -> None:
    config = replace(TILES, most_tiles=10)
    one, again, other = (plan_tiles(archive(20), config, seed=seed) for seed in (0, 0, 1))
    assert len(one) == 10
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_tiles_of_which_too_little_is_seen_are_refused_in_words() -> None:
    config = replace(TILES, smallest_coverage=1)
    with pytest.raises(InputError, match="no tile of 4 × 4 cells in the training days has 100% observed"):
        windows_for(*split(anomaly_cube(100), config), config, seed=0)


def test_days_without_an_observation_cannot_validate() -> None:
    full = anomaly_cube(15)
    empty = full.assign(anomaly=full["anomaly"] * np.float32(np.nan))
    with pytest.raises(InputError, match="validation days"):
        windows_for(Archive.of(full), Archive.of(empty), ConvLSTM(window=5), seed=0)


def test_samples_are_what_a_network_sees() -> None:
    days = archive(12)
    tiles = Tiles(days, TILES, 0, plan_tiles(days, TILES, seed=0), shuffle=False)
    for window, (inputs, truth, hidden) in zip(
        tiles.of_epoch(0), Encoded(tiles, TILES, 2.0).of_epoch(0), strict=True
    ):
        seen = np.isfinite(window.values)
        mean = window.values[seen].mean(dtype=float)
        np.testing.assert_allclose(inputs[:, 0][seen], (window.values[seen] - mean) / 2, atol=1e-5)
        np.testing.assert_array_equal(inputs[:, 1], np.where(window.water, seen, -1))
        np.testing.assert_allclose(truth[hidden], (window.truth[hidden] - mean) / 2, atol=1e-5)
        np.testing.assert_array_equal(hidden, np.isfinite(window.truth))
