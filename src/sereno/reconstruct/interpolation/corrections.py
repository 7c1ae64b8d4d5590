"""Successive corrections from coarse to fine: the analysis of `interpolation`, of a map of any size.

Normalised convolution (Knutsson and Westin 1993) divides a smoothed sum of observations by the equally smoothed sum
of their weights. It is applied here as successive corrections (Barnes 1964): each level smooths how the observations
of the window depart from the analysis of the target day so far; the last joins, at each pixel, the nearest day before
and after, before it smooths over a cell or so.

All but the narrowest levels are computed on blocks of cells. A large map is computed in tiles: the widest levels
are those of the whole sea; narrower ones reach a few widths, and are computed in each tile with a halo.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sereno.cube import days_per_block
from sereno.gaps.nearest import nearest
from sereno.grids.coarsen import block_mean
from sereno.grids.tiles import exact_tiles
from sereno.reconstruct.interpolation.smoothing import Blocks, block_of, in_cache, reach_of, smooth, smooth_blocks

REACH = 200.0
"""Standard deviation, in km, that the coarsest convolution does not exceed."""
STAGES = (8, 2)
"""The coarse levels in two stages, down to this many times the finest scale. Each stage is computed for every day
that the next one looks at, so that an old observation is compared with the sea of its own day."""
COARSE_SHRINKAGE, FINE_SHRINKAGE = 0.05, 0.001
"""Weight of the prior (no correction), relative to the smoothed weight of the observations."""
TILE = 384
"""Cells along a side of the tiles of a large map, about."""
WIDE_BLOCK = 2
"""Levels of the first stage whose blocks have this many cells along either side are smoothed over the whole sea: few
numbers for each day, of levels that would want a wide halo."""

Part = tuple[slice, slice]


def fill_gaps(
    values: np.ndarray,
    window: int,
    *,
    time_scale: float,
    space_scale: float,
    cell: tuple[float, float],
    water: np.ndarray,
) -> np.ndarray:
    """Fill the target days of a block.

    Parameters
    ----------
    values
        Anomalies with their context, (n + 2 `stages_reach(window)`, lat, lon), NaN where missing.
    window
        Days in the window, odd.
    time_scale, space_scale
        e-folding time in days; standard deviation in km of the finest convolution.
    cell
        Height and width of a cell, km.
    water
        Boolean mask, (lat, lon): the coarse levels do not smooth across land.

    Returns
    -------
    np.ndarray
        float32 (n, lat, lon), finite everywhere: far from any observation it tends to zero. Tiles without water are
        left at zero.
    """
    return _Filling(window // 2, time_scale, space_scale, cell, water).fill(values)


def stages_reach(window: int) -> int:
    """Return how many days either side influence a day: half a window for each stage, and for the last level."""
    return (len(STAGES) + 1) * (window // 2)


@dataclass(frozen=True)
class _Filling:
    """How a map is filled: half a window, the scales, the size of a cell, and the water."""

    half: int
    time_scale: float
    space_scale: float
    cell: tuple[float, float]
    water: np.ndarray

    def fill(self, values: np.ndarray) -> np.ndarray:
        """Fill the target days, tile by tile; see `fill_gaps`."""
        rows, columns = self.water.shape
        first, second = self._stages()
        wide = [widening for widening in first if min(self._block(widening)) >= WIDE_BLOCK]
        known = self._corrections(values, wide, (slice(0, rows), slice(0, columns)))
        narrow = first[len(wide) :]
        reaches = [reach_of(self.space_scale * widening, self.cell) for widening in (*narrow, *second, 1.0)]
        blocks = [self._block(widening) for widening in (*narrow, *second)]
        halo = (sum(north for north, _ in reaches), sum(east for _, east in reaches))
        align = (math.lcm(*(north for north, _ in blocks)), math.lcm(*(east for _, east in blocks)))
        filled = np.zeros((len(values) - 2 * (len(STAGES) + 1) * self.half, *self.water.shape), np.float32)
        for tile in exact_tiles((rows, columns), tile=TILE, halo=halo, align=align):
            if self.water[tile.core].any():
                filled[:, *tile.core] = self._part(values, known, narrow, second, tile.outer)[:, *tile.inner]
        return filled

    def _stages(self) -> list[list[float]]:
        """Return the levels of each stage, by how many times the finest scale they are wide."""
        extent = max(size * side for size, side in zip(self.water.shape, self.cell, strict=True))
        widest = max(min(REACH, extent / 3) / self.space_scale, 1.0)
        levels = [2.0**level for level in range(int(np.log2(widest)), 0, -1)]
        return [[level for level in levels if level >= STAGES[0]], [level for level in levels if level < STAGES[0]]]

    def _block(self, widening: float) -> tuple[int, int]:
        return block_of(self.space_scale * widening, self.cell)

    def _corrections(
        self, values: np.ndarray, levels: list[float], part: Part, known: Sequence[Blocks] = ()
    ) -> list[Blocks]:
        """Return the corrections that are known and those of further levels, of a part of the map.

        Parameters
        ----------
        values
            Of the part, (n + 2 half, lat, lon); the corrections are of the n days within them.
        """
        corrections = list(known)
        for widening in levels:
            corrections.append(self._correction(values, widening, part, corrections))
        return corrections

    def _correction(self, values: np.ndarray, widening: float, part: Part, known: list[Blocks]) -> Blocks:
        """Return the correction of a level, from a part of the map, once others are known."""
        factor, space, days = self._block(widening), self.space_scale * widening, len(values) - 2 * self.half
        # What is known of the middle of a block is subtracted from all of its observations.
        middles = [
            np.arange(along.start, along.stop, side) + (side - 1) / 2
            for along, side in zip(part, factor, strict=True)
        ]
        blocks = [along.size for along in middles]
        smoothed, means = np.empty((days, 2, *blocks), np.float32), np.empty((0, 2, *blocks), np.float32)
        step = days_per_block(values[0].size)
        for start in range(0, days, step):  # of a large map a few days at a time
            now = slice(start, min(start + step, days))
            fresh = values[start + len(means) : now.stop + 2 * self.half]
            means = np.concatenate([means, *(_block_means(fresh[few], factor) for few in in_cache(fresh))])
            sums = self._in_time(means, widening)
            sums[:, 0] -= _sum(known, middles, now) * sums[:, 1]
            smoothed[now] = smooth_blocks(sums, space=space, cell=self.cell, water=self.water[part])
            means = means[len(sums) :]
        return Blocks(smoothed, factor, (part[0].start, part[1].start))

    def _part(
        self, values: np.ndarray, known: list[Blocks], narrow: list[float], second: list[float], part: Part
    ) -> np.ndarray:
        """Fill a part of the map, float32 (n, lat, lon), whose levels but the widest see that part alone."""
        half, cells = self.half, [np.arange(along.start, along.stop) for along in part]
        values = values[:, *part]
        mean = _sum(self._corrections(values, narrow, part, known), cells, slice(len(values) - 2 * half))
        values = values[half : len(values) - half] - mean
        correction = _sum(self._corrections(values, second, part), cells, slice(len(values) - 2 * half))
        values = values[half : len(values) - half]
        values -= correction
        filled = mean[2 * half : len(mean) - 2 * half] + correction[half : len(correction) - half]
        step = days_per_block(filled[0].size)
        for start in range(0, len(filled), step):  # of a large map a few days at a time
            around = values[start : start + step + 2 * half]
            value, confidence = _nearest_days(around, half, self.time_scale)
            filled[start : start + step] += smooth(
                value * confidence,
                confidence,
                space=self.space_scale,
                cell=self.cell,
                water=self.water[part],
                shrinkage=FINE_SHRINKAGE,
            )
        return np.asarray(filled)

    def _in_time(self, means: np.ndarray, widening: float) -> np.ndarray:
        """Return the sums of observations and of weights in the window of each day, as a level weighs them."""
        time = self.time_scale * min(np.sqrt(widening), 4.0)
        sums = means[self.half : len(means) - self.half].copy()
        for few in in_cache(sums):
            total = sums[few]
            first = few.start + self.half
            for lag in range(1, self.half + 1):
                before, after = (means[first + apart : first + apart + len(total)] for apart in (-lag, lag))
                either = before + after
                either *= np.float32(np.exp(-lag / time))
                total += either
        return sums


def _sum(known: Sequence[Blocks], cells: Sequence[np.ndarray], days: slice) -> np.ndarray:
    """Return the sum of corrections at rows and columns of the map, float32 (days, lat, lon)."""
    rows, columns = cells
    total = np.zeros((days.stop - (days.start or 0), rows.size, columns.size), np.float32)
    for level in known:
        total += level.at((rows, columns), shrinkage=COARSE_SHRINKAGE, days=days)
    return total


def _block_means(departures: np.ndarray, factor: tuple[int, int]) -> np.ndarray:
    """Return the means of blocks of departures, 0 where missing, and of weights: float32 (n, 2, rows, columns)."""
    seen = np.isfinite(departures)
    known = np.where(seen, departures, np.float32(0))
    return np.stack([block_mean(part, factor) for part in (known, seen.astype(np.float32))], axis=1)


def _nearest_days(values: np.ndarray, half: int, time_scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Join the nearest observation before (or on) and after each target day.

    Returns the weighted mean of the two and its confidence, exp(−lag/τ) summed, both float32 (n, lat, lon).
    """
    (last, before), (following, after) = (nearest(values, half, side=side) for side in ("before", "after"))
    first, second = (np.exp(-lag / np.float32(time_scale)) for lag in (before, after))
    confidence = first + second
    total = first * last + second * following
    return np.divide(total, confidence, out=np.zeros_like(total), where=confidence > 0), confidence
