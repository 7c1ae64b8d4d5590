"""The walk over a grid: blocks of cells with their neighbourhoods, analysed a few hundred at once, then blended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from sereno.compute.threads import workers
from sereno.reconstruct.oi.equations import Points, analyse
from sereno.reconstruct.oi.neighbours import Blocks, Geometry, Stencil, nearest, visible
from sereno.reconstruct.oi.super_observations import Pyramid

BATCH = 192
"""Blocks whose equations are solved at once."""


@dataclass(frozen=True)
class Batch:
    """Blocks that look at their squares alike, and the cells that they fill.

    Attributes
    ----------
    stencil, origin, reachable
        As for `sereno.reconstruct.oi.neighbours.nearest`.
    centre
        Row and column, (block, 2).
    cell
        Row and column of the cells, (block, cell, 2), clipped to the grid.
    weight
        Weight of each in the blend, (block, cell); 0 for cells of others.
    """

    stencil: Stencil
    origin: np.ndarray
    reachable: np.ndarray
    centre: np.ndarray
    cell: np.ndarray
    weight: np.ndarray


def batches(geometry: Geometry, blocks: Blocks) -> list[Batch]:
    """Return all blocks of a grid in batches of those that lie alike in their largest squares."""
    largest, side = geometry.lattice.largest, blocks.side
    start = np.stack([blocks.row, blocks.column], axis=1) * side
    phase = (start[:, 0] % largest) * largest + start[:, 1] % largest
    made = []
    for value in np.unique(phase):
        stencil = geometry.stencil(*divmod(int(value), largest))
        mine = np.flatnonzero(phase == value)
        for some in np.array_split(mine, -(-len(mine) // BATCH)):
            cell, weight = _cells(geometry.water, blocks, some)
            origin, centre = start[some] // largest, blocks.centre[some]
            made.append(
                Batch(stencil, origin, reachable_squares(geometry, stencil, origin, centre), centre, cell, weight)
            )
    return made


def reachable_squares(geometry: Geometry, stencil: Stencil, origin: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Return which places of a stencil no land hides from blocks, bool (block, place)."""
    square = geometry.lattice.numbers(origin, *stencil.places.T)
    beyond = (square == geometry.lattice.offsets[-1])[..., None]
    return visible(geometry.water, centre, np.where(beyond, centre[:, None], geometry.squares.centre[square]))


def _cells(water: np.ndarray, blocks: Blocks, some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the cells that blocks fill, half a block beyond their own, and their weights in the blend."""
    side = blocks.side
    beyond = side // 2
    steps = np.arange(-beyond, side + beyond)
    hat = 1 - np.abs(steps + 0.5 - side / 2) / side if beyond else np.ones(1)
    start = np.stack([blocks.row[some], blocks.column[some]], axis=1) * side
    cell = start[:, None] + np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    inside = ((cell >= 0) & (cell < water.shape)).all(axis=-1)
    cell = cell.clip(0, np.array(water.shape) - 1)
    member = blocks.members[cell[..., 0], cell[..., 1]]
    own = member == some[:, None]
    same_square = (cell // side == start[:, None] // side).all(axis=-1)
    reachable = visible(water, blocks.centre[some], cell)
    answers = inside & (own | ((member >= 0) & ~same_square & reachable))
    return cell, np.where(answers, np.outer(hat, hat).ravel(), 0.0)


def analyse_day(
    pyramid: Pyramid,
    day: int,
    made: list[Batch],
    geometry: Geometry,
    *,
    scale: np.ndarray,
    most: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and error variance of one day, float64 (lat, lon); NaN where no block answers.

    Parameters
    ----------
    pyramid
        Super-observations of the days around; `day` is the target's position among them.
    made
        As `batches` returned them for this geometry.
    scale
        Climatological standard deviation, (lat, lon), known on land too.
    most
        Observations that a block uses at most.

    Notes
    -----
    A block without any observation gives a mean of 0 and the prior variance ``amplitude² scale²``.
    """
    cells = geometry.water.size

    def solve(batch: Batch) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        neighbours = nearest(
            pyramid,
            geometry.lattice,
            batch.stencil,
            origin=batch.origin,
            day=day,
            reachable=batch.reachable,
            most=most,
        )
        target = points(batch.cell[..., 0], batch.cell[..., 1], None, batch.centre, geometry, scale)
        mean, variance = analyse(
            points(neighbours.row, neighbours.column, neighbours.lag, batch.centre, geometry, scale),
            torch.from_numpy(neighbours.value),
            torch.from_numpy(neighbours.noise),
            torch.from_numpy(neighbours.known),
            target,
            geometry.covariance,
        )
        used = batch.weight > 0
        flat = (batch.cell[..., 0] * geometry.water.shape[1] + batch.cell[..., 1])[used]
        return flat, batch.weight[used], mean.numpy()[used], variance.numpy()[used]

    with workers() as pool:
        parts = [np.concatenate(part) for part in zip(*pool.map(solve, made), strict=True)]
    flat, weight, mean, variance = parts
    total, *blended = (np.bincount(flat, w, cells) for w in (weight, weight * mean, weight * variance))
    with np.errstate(invalid="ignore"):
        first, second = (part / np.where(total > 0, total, np.nan) for part in blended)
    return first.reshape(geometry.water.shape), second.reshape(geometry.water.shape)


def points(
    row: np.ndarray,
    column: np.ndarray,
    lag: np.ndarray | None,
    centre: np.ndarray,
    geometry: Geometry,
    scale: np.ndarray,
) -> Points:
    """Place points of a grid on the plane that touches it at the centre of their block; lag 0 where not given."""
    width = geometry.width[centre[:, 0]][:, None]
    x = (column - centre[:, 1:]) * width
    y = (row - centre[:, :1]) * geometry.height
    height, breadth = geometry.water.shape
    at = np.rint(row).astype(np.int64).clip(0, height - 1), np.rint(column).astype(np.int64).clip(0, breadth - 1)
    here = np.zeros(x.shape, np.float32) if lag is None else lag
    return Points(*(torch.from_numpy(a.astype(np.float32)) for a in (x, y, here, scale[at])))
