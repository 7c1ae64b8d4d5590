"""What the coarsest maps of a U-Net may pass through: attention to their surroundings, recurrence over the days.

Each adds to the maps, and adds nothing when it is fresh.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from sereno.nets.convlstm import ConvLSTM

NEIGHBOURHOOD, HEADS = 7, 4
"""Side, in coarse cells, of what attention looks at, and its heads."""


class Nothing(nn.Module):
    """The maps as they are."""

    def forward(self, maps: Tensor, days: Tensor) -> Tensor:
        """Return the maps."""
        return maps


class LocalAttention(nn.Module):
    """Attention of each cell to those around it (Ramachandran et al. 2019, NeurIPS), with a bias for each place.

    Parameters
    ----------
    channels
        Of the maps; a multiple of `HEADS`.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.asked = nn.Conv2d(channels, 3 * channels, 1)
        self.place = nn.Parameter(torch.zeros(HEADS, NEIGHBOURHOOD**2))
        self.told = nn.Conv2d(channels, channels, 1)
        _start_at_zero(self.told)

    def forward(self, maps: Tensor, days: Tensor) -> Tensor:
        """Return maps of the same shape."""
        batch, channels, lat, lon = maps.shape
        query, key, value = self.asked(maps).chunk(3, 1)
        query = query.reshape(batch, HEADS, -1, 1, lat * lon)
        reach = NEIGHBOURHOOD // 2
        around = functional.unfold(torch.cat([key, value], 1), NEIGHBOURHOOD, padding=reach)
        key, value = around.reshape(batch, 2, HEADS, channels // HEADS, NEIGHBOURHOOD**2, lat * lon).unbind(1)
        inside = functional.unfold(torch.ones_like(maps[:1, :1]), NEIGHBOURHOOD, padding=reach)
        score = (query * key).sum(2) / (channels // HEADS) ** 0.5 + self.place[:, :, None]
        weight = score.masked_fill(inside[0] == 0, -torch.inf).softmax(2)
        gathered = (weight[:, :, None] * value).sum(3).reshape(batch, channels, lat, lon)
        return torch.as_tensor(maps + self.told(gathered))


class Recurrence(nn.Module):
    """Two ConvLSTMs over the days, one from the first and one from the last, that meet on the central day.

    Parameters
    ----------
    channels
        Of the maps.
    daily
        Channels of each day's map.
    hidden
        Of each ConvLSTM.
    factor
        Cells of a day's map on either side of a coarse cell.
    """

    def __init__(self, channels: int, *, daily: int, hidden: int, factor: int) -> None:
        super().__init__()
        self.entry = nn.Conv2d(daily, hidden, factor, stride=factor)
        self.forward_in_time = ConvLSTM(hidden, hidden, kernel=3, whole_sequence=False)
        self.backward_in_time = ConvLSTM(hidden, hidden, kernel=3, whole_sequence=False)
        self.told = nn.Conv2d(2 * hidden, channels, 1)
        _start_at_zero(self.told)

    def forward(self, maps: Tensor, days: Tensor) -> Tensor:
        """Return maps of the same shape; `days` is (batch, days, daily, lat, lon), its middle the central day."""
        batch, count = days.shape[:2]
        coarse = functional.gelu(self.entry(days.flatten(0, 1)))
        coarse = coarse.reshape(batch, count, *coarse.shape[1:])
        half = count // 2
        states = [self.forward_in_time(coarse[:, : half + 1]), self.backward_in_time(coarse[:, half:].flip(1))]
        return torch.as_tensor(maps + self.told(torch.cat(states, 1)))


def _start_at_zero(layer: nn.Conv2d) -> None:
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
