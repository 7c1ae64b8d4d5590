"""Coasts of the world, from a small file that `pretraining/coasts.py` writes; no scored sea is among them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.pieces import draw_pieces

FILE = Path(__file__).parents[1] / "coasts.npz"
OPEN_SEA = 1 / 3
"""Share of the masks without land."""
LEAST_WATER = 0.25
"""Share of water of a mask, at least: one with less is taken for open sea."""


@cache
def coasts() -> np.ndarray:
    """Return water masks with some land in each, bool (n, 128, 128)."""
    with np.load(FILE) as packed:
        return np.unpackbits(packed["water"], axis=-1).astype(bool)


def water_of(number: int, side: int) -> np.ndarray:
    """Return a coast on this many cells, bool (side, side): thinned, cropped, or continued by its mirror image."""
    coast = coasts()[number]
    step = max(1, len(coast) // side)
    coast = coast[::step, ::step]
    more = max(0, side - len(coast))
    return np.pad(coast, (0, more), mode="symmetric")[:side, :side]


def draw_coasts(random: torch.Generator, count: int, *, side: int) -> Tensor:
    """Draw water masks: pieces of coasts, turned, mirrored or not, and the open sea.

    Returns
    -------
    torch.Tensor
        bool (count, side, side), on the generator's device.
    """
    device = random.device
    held = torch.from_numpy(coasts()).to(device)
    water = draw_pieces(random, held, count, side=side)
    plain = torch.rand(count, generator=random, device=device) < OPEN_SEA
    plain |= water.float().mean((1, 2)) < LEAST_WATER
    return water | plain[:, None, None]
