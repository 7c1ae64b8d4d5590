"""The answers of the networks to a window: from the images where they are, and carried along the flow to a day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from sereno.config import UNet
from sereno.grids.tiles import blend, blended_tiles, sides
from sereno.nets.carry import carried, paths_of_flow
from sereno.nets.engines import Engine
from sereno.reconstruct.oi_grid.regions import Region
from sereno.reconstruct.oi_grid.solver import Solver
from sereno.reconstruct.unet.first_guess import FirstGuess, spread_of
from sereno.reconstruct.unet.samples import scalars_of

TILE, HALO = 448, 64
"""Cells of the tiles that a large map is cut into for the network, and of the context round each."""


class Window(NamedTuple):
    """A window of a region: its days among those of the first guess, and its central day."""

    region: Region
    days: slice
    centre: np.datetime64


@dataclass(frozen=True)
class Answers:
    """Networks with their first guesses.

    Attributes
    ----------
    engine
        Runs the networks.
    still, followed
        The first guess of images where they are, and of images carried along the flow; None does not follow it.
    """

    config: UNet
    engine: Engine
    still: FirstGuess
    followed: FirstGuess | None = None

    def of_window(
        self, values: np.ndarray, guess: np.ndarray, window: Window, slots: np.ndarray, *, follows: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return mean and standard deviation of some days of a window, and the flow where the networks estimate it.

        Parameters
        ----------
        values, guess
            Of all days of the first guess, (days, lat, lon).
        slots
            The days that are answered, of the window.
        follows
            Whether the images are carried along the flow.

        Returns
        -------
        tuple
            In the field's unit, (2, days, lat, lon); in cells a day, (window, 2, lat, lon).
        """
        region, grid = window.region, window.region.water.shape
        maps = np.zeros((2, len(slots), *grid), np.float32)
        maps[1] = region.scale
        values, guess = values[window.days], guess[window.days]
        if not np.isfinite(values).any():
            return maps, None
        first = self.followed if follows and self.followed is not None else self.still
        scalars, spread = scalars_of(first, region, window.centre, self.config, follows=follows), spread_of(region)
        tiles = blended_tiles(grid, tile=sides(grid, tile=(TILE, TILE), halo=HALO), halo=HALO)
        pieces, flows = [], []
        for tile in tiles:
            crop = tile.outer
            scaled = (values[:, *crop] / region.scale[crop]).astype(np.float32)
            mean, std, *flow = self.engine(scaled, guess[:, *crop], region.water[crop], spread[crop], scalars)
            pieces.append([answer[slots] if answer.ndim > 2 else answer[None] for answer in (mean, std)])
            flows += [each.reshape(-1, *each.shape[2:]) for each in flow]
        for k in (0, 1):
            for day in range(len(slots)):
                maps[k, day] = blend(tiles, (piece[k][day] for piece in pieces)) * region.scale
        if not flows:
            return maps, None
        whole = np.stack([blend(tiles, parts) for parts in zip(*flows, strict=True)])
        return maps, whole.astype(np.float32).reshape(len(values), 2, *grid)

    def of_followed_day(
        self,
        solver: Solver,
        values: np.ndarray,
        error: np.ndarray | None,
        flow: np.ndarray,
        window: Window,
        slot: int,
    ) -> np.ndarray:
        """Return mean and standard deviation of a day from images that are carried to it, (2, lat, lon).

        Parameters
        ----------
        solver
            The equations of `followed`.
        values, error
            As observed, of all days of the first guess.
        flow
            Of the days of the window; outside of it the nearest day's is taken.
        slot
            The day, of the window.
        """
        if self.followed is None:
            raise ValueError("these answers follow no flow")
        before, after = window.days.start, len(values) - window.days.stop
        every = np.concatenate([flow[:1].repeat(before, 0), flow, flow[-1:].repeat(after, 0)])
        images = along(values, every, before + slot)
        stated = None if error is None else along(error, every, before + slot)
        guess = self.followed.analyse(solver, images, window.region, stated)
        answers, _ = self.of_window(images, guess, window, np.array([slot]), follows=True)
        return answers[:, 0]


def along(values: np.ndarray, flow: np.ndarray, reference: int) -> np.ndarray:
    """Return images in the frame of a reference day, NaN where nothing is known there.

    Parameters
    ----------
    values
        (days, lat, lon), NaN where missing.
    flow
        Eastward and northward, cells a day, (days, 2, lat, lon).
    reference
        Number of the day that stays as it is.
    """
    places = paths_of_flow(torch.from_numpy(np.ascontiguousarray(flow, np.float32))[None], reference)
    images = torch.from_numpy(np.ascontiguousarray(values, np.float32))[None]
    return np.asarray(carried(images, places, nearest=True)[0].numpy())
