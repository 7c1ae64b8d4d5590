"""A U-Net with the days of a window as channels, which corrects a first guess and states its uncertainty.

It is built of convolutions and of nothing that looks at the whole map, so that it works on any grid, and a tile with
enough halo gives what the whole map gives.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    """Two convolutions next to a shortcut; the second starts at zero, so that a fresh block is the shortcut."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, padding=1)
        self.second = nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1) if before != after else nn.Identity()
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]  # it has one

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps of the same size."""
        inner = self.second(functional.gelu(self.first(functional.gelu(maps))))
        return torch.as_tensor(self.shortcut(maps) + inner)


class UNet(nn.Module):
    """Maps in, maps out.

    Parameters
    ----------
    before, after
        Channels of the input and of the output.
    widths
        Channels of each level, the finest first; each level has half the cells along either axis of the one before.
    middle
        What the coarsest maps pass through with the maps of the days: see `sereno.nets.bottleneck`.
    """

    def __init__(self, before: int, after: int, widths: tuple[int, ...], middle: nn.Module) -> None:
        super().__init__()
        self.enter = nn.Conv2d(before, widths[0], 3, padding=1)
        self.down = nn.ModuleList(Block(width, width) for width in widths)
        self.coarser = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.middle = middle
        self.finer = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.up = nn.ModuleList(Block(width, width) for width in widths[:-1])
        self.leave = nn.Conv2d(widths[0], after, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]  # it has one

    def forward(self, maps: Tensor, days: Tensor) -> Tensor:
        """Return (batch, after, lat, lon) from (batch, before, lat, lon) and (batch, days, n, lat, lon)."""
        lat, lon = maps.shape[-2:]
        side = 2 ** len(self.coarser)
        maps, days = (functional.pad(part, (0, -lon % side, 0, -lat % side)) for part in (maps, days))
        maps = self.enter(maps)
        kept = []
        for block, coarser in zip(self.down, self.coarser, strict=False):
            maps = block(maps)
            kept.append(maps)
            maps = coarser(maps)
        maps = self.middle(self.down[-1](maps), days)
        for block, finer in zip(reversed(self.up), reversed(self.finer), strict=True):
            maps = functional.interpolate(finer(maps), scale_factor=2, mode="nearest")
            maps = block(maps + kept.pop())
        return torch.as_tensor(self.leave(functional.gelu(maps)))[..., :lat, :lon]
