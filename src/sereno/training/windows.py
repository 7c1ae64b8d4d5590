"""Which windows a network is trained and validated on: drawn at random, or every tile of every day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sereno.config import ConvLSTM, UNet
from sereno.errors import InputError
from sereno.grids.tiles import starts, window_positions
from sereno.slurm import step
from sereno.training.archive import VALIDATION_SHARE, Archive, HiddenWindow, Record
from sereno.training.encoding import encode, land_channel, normalise
from sereno.training.samples import MaskedSample

RANDOM_VALIDATION_WINDOWS = 64
_DRAWS = 20
_SMALLEST_SHARE = 0.02


class Windows(Protocol):
    """Windows with hidden pixels, in an order that depends on the epoch alone."""

    def __len__(self) -> int:
        """Return how many an epoch has."""
        ...

    def of_epoch(self, epoch: int) -> Iterator[HiddenWindow]:
        """Yield the windows of an epoch."""
        ...


@dataclass(frozen=True, eq=False)
class Encoded:
    """Windows as the samples of a network."""

    windows: Windows
    config: ConvLSTM
    scale: float

    def __len__(self) -> int:
        return len(self.windows)

    def of_epoch(self, epoch: int) -> Iterator[MaskedSample[np.ndarray]]:
        """Yield the samples of an epoch."""
        for window in self.windows.of_epoch(epoch):
            inputs, mean = encode(window.values, scale=self.scale, water=land_channel(self.config, window.water))
            yield MaskedSample(inputs, normalise(window.truth, mean=mean, scale=self.scale), window.hidden)


@dataclass(frozen=True, eq=False)
class Drawn:
    """Windows drawn at random, each from its own seed, so that a resumed training draws the same ones.

    Attributes
    ----------
    count
        Windows of an epoch.
    fixed
        Draw the same windows in every epoch, from all blocks of the archive in turn, and leave out those with nothing
        hidden. Otherwise each epoch draws from one block, another one each time.
    """

    archive: Archive
    config: ConvLSTM | UNet
    seed: int
    count: int
    fixed: bool = False

    def __len__(self) -> int:
        return self.count

    def of_epoch(self, epoch: int) -> Iterator[HiddenWindow]:
        """Yield the windows of an epoch."""
        blocks = self.archive.blocks()
        if self.fixed:
            generator = np.random.default_rng((self.seed, 0))
            for block, part in zip(blocks, np.array_split(np.arange(self.count), len(blocks)), strict=True):
                if not part.size:
                    continue
                record = self.archive.load(block, window=self.config.window)
                for _ in part:
                    window = draw_window(record, self.config, generator)
                    if window.hidden.any():
                        yield window
        else:
            order = np.random.default_rng((self.seed, 2, epoch // len(blocks))).permutation(len(blocks))
            record = self.archive.load(blocks[order[epoch % len(blocks)]], window=self.config.window)
            for index in range(self.count):
                yield draw_window(record, self.config, np.random.default_rng((self.seed, 1, epoch, index)))


@dataclass(frozen=True, eq=False)
class Tiles:
    """Every tile of every day, as the thesis cuts them.

    Attributes
    ----------
    places
        Position of the day, first row and first column of each, integer (n, 3).
    shuffle
        Take them in another order each epoch, shuffled within blocks of days.
    """

    archive: Archive
    config: ConvLSTM
    seed: int
    places: np.ndarray
    shuffle: bool = True

    def __len__(self) -> int:
        return len(self.places)

    def of_epoch(self, epoch: int) -> Iterator[HiddenWindow]:
        """Yield the windows of an epoch; what is hidden of each depends on its place alone."""
        blocks = self.archive.blocks()
        size = np.minimum(self.config.tile, self.archive.water.shape)
        generator = np.random.default_rng((self.seed, 3, epoch))
        for number in generator.permutation(len(blocks)) if self.shuffle else range(len(blocks)):
            block = blocks[number]
            here = self.places[(self.places[:, 0] >= block.start) & (self.places[:, 0] < block.stop)]
            record = self.archive.load(block, window=self.config.window)
            for place, row, column in generator.permutation(here) if self.shuffle else here:
                crop = slice(row, row + size[0]), slice(column, column + size[1])
                own = np.random.default_rng((self.seed, 4, place, row, column))
                day = int(place) - record.first
                hidden = _hidden(record, day, crop, self.config, own)
                yield cut_hidden(record, day, crop, hidden, window=self.config.window)


def plan_tiles(archive: Archive, config: ConvLSTM, *, seed: int) -> np.ndarray:
    """List the tiles of an archive of which enough was observed on the central day of a whole window.

    Returns
    -------
    np.ndarray
        Integer (n, 3): position of the day, first row and first column; in the order of days.
    """
    size = np.minimum(config.tile, archive.water.shape)
    sides = zip(archive.water.shape, size, strict=True)
    corners = [starts(cells, tile=int(side), overlap=config.overlap) for cells, side in sides]
    half, places = config.window // 2, []
    for block in archive.blocks():
        seen = np.isfinite(archive.anomaly.isel(time=slice(block.start, block.stop)).values)
        # Summed along both axes, a tile's count is a difference of four corners.
        total = np.pad(seen.cumsum(1, dtype=np.int32).cumsum(2, dtype=np.int32), ((0, 0), (1, 0), (1, 0)))
        for row in corners[0]:
            for column in corners[1]:
                below, right = row + size[0], column + size[1]
                count = (
                    total[:, below, right] - total[:, row, right] - total[:, below, column] + total[:, row, column]
                )
                enough = np.flatnonzero((count > 0) & (count >= config.smallest_coverage * size.prod()))
                places += [(block.start + day, row, column) for day in enough.tolist()]
    whole = [place for place in sorted(places) if half <= place[0] < len(archive.days) - half]
    chosen = np.array(whole, dtype=int).reshape(-1, 3)
    if config.most_tiles is not None and len(chosen) > config.most_tiles:
        chosen = chosen[np.sort(np.random.default_rng((seed, 5)).permutation(len(chosen))[: config.most_tiles])]
    return chosen


def windows_of_epoch(config: ConvLSTM | UNet) -> int:
    """Return how many windows all tasks that train together take in an epoch, where windows are drawn."""
    return config.steps_per_epoch * config.batch_size * step.count()


def windows_for(training: Archive, validation: Archive, config: ConvLSTM, *, seed: int) -> tuple[Windows, Windows]:
    """Return the windows to train on and to validate on, as the configuration asks.

    Raises
    ------
    InputError
        If not one window has a hidden pixel.
    """
    if config.windows == "random":
        drawn = Drawn(training, config, seed, windows_of_epoch(config))
        fixed = Drawn(validation, config, seed, config.validation_windows or RANDOM_VALIDATION_WINDOWS, fixed=True)
        if next(fixed.of_epoch(0), None) is None:
            raise InputError("the validation days have too few observations to hide some of them")
        return drawn, fixed
    places = plan_tiles(training, config, seed=seed)
    if config.split == "random":
        count = config.validation_windows or validation_count(len(places))
        order = np.random.default_rng((seed, 6)).permutation(len(places))
        chosen, places = places[np.sort(order[:count])], places[np.sort(order[count:])]
    else:
        chosen = plan_tiles(validation, config, seed=seed)
        count = config.validation_windows or validation_count(len(places) + len(chosen))
        chosen = chosen[np.linspace(0, len(chosen) - 1, min(count, len(chosen))).round().astype(int)]
    for name, part in (("training", places), ("validation", chosen)):
        if len(part) == 0:
            raise InputError(
                f"no tile of {config.tile[0]} × {config.tile[1]} cells in the {name} days has "
                f"{config.smallest_coverage:.0%} observed; lower model.smallest_coverage or model.tile"
            )
    return Tiles(training, config, seed, places), Tiles(validation, config, seed, chosen, shuffle=False)


def validation_count(windows: int) -> int:
    """Return the power of two nearest to 15 % of all windows, as the thesis chose it: 512 of 4,096."""
    share = max(VALIDATION_SHARE * windows, 1)
    below = 2 ** int(np.log2(share))
    return int(below if share - below <= 2 * below - share else 2 * below)


def draw_window(record: Record, config: ConvLSTM | UNet, generator: np.random.Generator) -> HiddenWindow:
    """Draw a day and a crop, and hide pixels of the day: all of them, or where another day of the record was cloudy.

    A crop that gives next to nothing to learn from is drawn again, a bounded number of times.
    """
    grid = record.values.shape[1:]
    size = np.minimum(config.tile, grid)
    for _ in range(_DRAWS):
        day = record.targets[int(generator.integers(len(record.targets)))]
        corner = generator.integers(np.array(grid) - size + 1)
        crop = (slice(corner[0], corner[0] + size[0]), slice(corner[1], corner[1] + size[1]))
        hidden = _hidden(record, day, crop, config, generator)
        if hidden.mean() >= _SMALLEST_SHARE:
            break
    return cut_hidden(record, day, crop, hidden, window=config.window)


def cut_hidden(
    record: Record, day: int, crop: tuple[slice, slice], hidden: np.ndarray, *, window: int
) -> HiddenWindow:
    """Cut the window round a day of the record, without the pixels `hidden` (lat, lon) of that day."""
    values = cut_window(record.values[:, *crop], window_positions(record.days, day, window=window))
    truth = values[window // 2].copy()
    values[window // 2, hidden] = np.nan
    return HiddenWindow(values, truth, hidden, record.water[crop], crop, record.days[day])


def _hidden(
    record: Record, day: int, crop: tuple[slice, slice], config: ConvLSTM | UNet, generator: np.random.Generator
) -> np.ndarray:
    """Choose the pixels of a day to hide, bool (lat, lon)."""
    hidden: np.ndarray = np.isfinite(record.values[day, *crop])
    if generator.random() >= config.hidden_day_fraction:
        hidden &= ~np.isfinite(record.values[int(generator.integers(len(record.days))), *crop])
    return hidden


def cut_window(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Return the days at `positions` of a record, as `tiles.window_positions` gives them.

    Parameters
    ----------
    values
        Anomalies, (time, lat, lon), NaN where missing.
    positions
        Positions, (window,); −1 gives an empty day.

    Returns
    -------
    np.ndarray
        float32 (window, lat, lon), a copy.
    """
    window: np.ndarray = values[positions].astype(np.float32, copy=False)
    window[positions < 0] = np.nan
    return window
