"""A network that corrects the first guess of every day of a window at once, and says how uncertain each is.

The last day's answer is that of near real time, those of the middle days are for delayed mode: one network, no
special case.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from sereno.nets.bottleneck import Nothing
from sereno.nets.carry import sampled
from sereno.nets.unet import UNet

SCALARS = 12
"""Numbers that hold for a whole window."""
TYPICAL_ERROR = 0.3
"""Error of a first guess, in climatological standard deviations: what a network's answers are measured in."""
SMALLEST_STD = 0.02
"""Floor of the standard deviation, in climatological ones."""
COAST_CELLS = 8
"""The distance from the coast is limited to this many cells."""
MEMORY = 4.0
"""The lag of the nearest observation is given as exp(−lag / MEMORY), days."""
DAILY, ONCE, STATIC = 3, 4, 3
"""Maps of each day: departure, mask, estimate; nearest departures before and after with their lags; and maps that
hold for all days: water, distance from the coast, spread."""
LAGS = (-2, -1, 1, 2)
"""Days later of those whose departures are carried by the flow."""
COARSE = 8
"""Cells along a side of those on which the flow is given."""


@dataclass(frozen=True)
class Design:
    """What an `AllDays` network is made of.

    Attributes
    ----------
    window
        Days.
    kind
        ``shared``: the same weights for each day, and mixing over the days; ``channels``: the days are channels.
    widths
        Channels of each level, the finest first.
    fold
        Cells of the map along a side of a cell of the finest level, where weights are shared.
    passes
        How often the network is applied, each time to what came out before.
    flow
        Whether each pass estimates how the water moves, by which the next one sees the departures of adjacent days
        carried to where they belong.
    """

    window: int = 15
    kind: str = "channels"
    widths: tuple[int, ...] = (64, 96, 128, 160)
    fold: int = 1
    passes: int = 1
    flow: bool = False

    @property
    def looked_at(self) -> tuple[int, int]:
        """Days of which the nearest departures are inputs where days are channels: the central one and the last."""
        return self.window // 2, self.window - 1

    def values(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


class DayBlock(nn.Module):
    """Two convolutions on each day's map and one over the days between, next to a shortcut; it starts as that."""

    def __init__(self, width: int, scalars: int, *, over_days: int = 3) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.told = nn.Linear(scalars, width)
        self.days = nn.Conv1d(width, width, over_days, padding=over_days // 2)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        for layer in (self.second, self.days):
            nn.init.zeros_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, maps: Tensor, scalars: Tensor, days: int) -> Tensor:
        """Return maps (batch · days, width, lat, lon) of the same shape; `scalars` is (batch, n)."""
        inner = self.first(functional.gelu(maps))
        inner = inner + self.told(scalars).repeat_interleave(days, 0)[:, :, None, None]
        inner = functional.gelu(inner)
        inner = inner + over_days(self.days, inner, days)
        return torch.as_tensor(maps + self.second(inner))


def over_days(layer: nn.Conv1d, maps: Tensor, days: int) -> Tensor:
    """Apply a convolution along the days to (batch · days, n, lat, lon): products with maps shifted by days."""
    reach = layer.kernel_size[0] // 2
    weight = layer.weight
    shape = maps.shape
    parted = maps.reshape(-1, days, *shape[1:])
    total: Tensor | None = None
    for lag in range(-reach, reach + 1):
        first, last = max(0, -lag), min(days, days - lag)
        part = parted[:, first + lag : last + lag].flatten(0, 1).contiguous(memory_format=torch.channels_last)
        out = functional.conv2d(part, weight[:, :, lag + reach, None, None])
        out = out.reshape(len(parted), last - first, *out.shape[1:])
        out = functional.pad(out, (0, 0, 0, 0, 0, 0, first, days - last))
        total = out if total is None else total + out
    assert total is not None
    assert layer.bias is not None
    return total.reshape(-1, *total.shape[2:]) + layer.bias[:, None, None]


class SharedDays(nn.Module):
    """A U-Net on each day's map, with weights shared by the days, that mixes over the days at each level."""

    def __init__(self, before: int, after: int, design: Design) -> None:
        super().__init__()
        widths, scalars = design.widths, SCALARS
        self.days, self.fold = design.window, design.fold
        self.enter = nn.Conv2d(before * design.fold**2, widths[0], 3, padding=1)
        self.down = nn.ModuleList(DayBlock(width, scalars) for width in widths)
        self.coarser = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.middle = DayBlock(widths[-1], scalars, over_days=5)
        self.finer = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.up = nn.ModuleList(DayBlock(width, scalars) for width in widths[:-1])
        self.leave = nn.Conv2d(widths[0], after * design.fold**2, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        assert self.leave.bias is not None
        nn.init.zeros_(self.leave.bias)

    def forward(self, maps: Tensor, scalars: Tensor) -> Tensor:
        """Return (batch, days, after, lat, lon) from (batch, days, before, lat, lon)."""
        batch, days, _, lat, lon = maps.shape
        side = self.fold * 2 ** len(self.coarser)
        maps = functional.pad(maps.flatten(0, 1), (0, -lon % side, 0, -lat % side))
        maps = functional.pixel_unshuffle(maps, self.fold).contiguous(memory_format=torch.channels_last)
        maps = self.enter(maps)
        kept = []
        for block, coarser in zip(self.down, self.coarser, strict=False):
            maps = block(maps, scalars, days)
            kept.append(maps)
            maps = coarser(maps)
        maps = self.middle(self.down[-1](maps, scalars, days), scalars, days)
        for block, finer in zip(reversed(self.up), reversed(self.finer), strict=True):
            maps = functional.interpolate(finer(maps), scale_factor=2, mode="nearest")
            maps = block(maps + kept.pop(), scalars, days)
        out = functional.pixel_shuffle(self.leave(functional.gelu(maps)), self.fold)[..., :lat, :lon]
        return out.reshape(batch, days, -1, lat, lon)


class ChannelDays(nn.Module):
    """A U-Net with the days of the window as channels; the inputs of the whole window are constant maps."""

    def __init__(self, before: int, after: int, design: Design) -> None:
        super().__init__()
        window, self.after, self.days = design.window, after, list(design.looked_at)
        entering = (before - ONCE - STATIC) * window + len(self.days) * ONCE + STATIC + SCALARS
        self.network = UNet(entering, after * window, design.widths, Nothing())

    def forward(self, maps: Tensor, scalars: Tensor) -> Tensor:
        """Return (batch, days, after, lat, lon) from (batch, days, before, lat, lon)."""
        batch, days, before, lat, lon = maps.shape
        parts = torch.split(maps, [DAILY, ONCE, STATIC, before - DAILY - ONCE - STATIC], 2)
        daily, carried = (part.transpose(1, 2).flatten(1, 2) for part in (parts[0], parts[3]))
        once, static = parts[1][:, self.days].flatten(1, 2), parts[2][:, 0]
        constant = scalars[:, :, None, None].expand(-1, -1, lat, lon)
        entering = torch.cat([daily, once, static, constant, carried], 1)
        out = self.network(entering.contiguous(memory_format=torch.channels_last), entering[:, None, :0])
        return torch.as_tensor(out.reshape(batch, self.after, days, lat, lon).transpose(1, 2))


class Answer(NamedTuple):
    """What an `AllDays` network says of windows.

    Attributes
    ----------
    means
        Of each pass, float32 (passes, batch, days, lat, lon), in the unit of the values.
    log_std
        Logarithm of the standard deviation, (batch, days, lat, lon).
    flow
        Of each pass, where the design asks for it: eastward and northward, cells a day, on cells `COARSE` times as
        large, (passes, batch, days, 2, lat / `COARSE`, lon / `COARSE`); nothing otherwise.
    """

    means: Tensor
    log_std: Tensor
    flow: Tensor | None


class AllDays(nn.Module):
    """The network with what it is shown and what becomes of its answer."""

    def __init__(self, design: Design) -> None:
        super().__init__()
        self.design = design
        make = {"shared": SharedDays, "channels": ChannelDays}[design.kind]
        daily = DAILY + ONCE + (2 * len(LAGS) if design.flow else 0)
        network = make(daily + STATIC, 4 if design.flow else 2, design)
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # stubs lack it

    def forward(
        self, values: Tensor, guess: Tensor, water: Tensor, spread: Tensor, scalars: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return mean and logarithm of the standard deviation of every day, as of `answer`, of the last pass."""
        answer = self.answer(values, guess, water, spread, scalars)
        return answer.means[-1], answer.log_std

    def with_flow(
        self, values: Tensor, guess: Tensor, water: Tensor, spread: Tensor, scalars: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the same and the flow of every day, cells a day, (batch, days, 2, lat, lon)."""
        answer = self.answer(values, guess, water, spread, scalars)
        if answer.flow is None:
            raise ValueError("this network estimates no flow")
        return answer.means[-1], answer.log_std, on_all_cells(answer.flow[-1], values.shape[-2:])

    def answer(self, values: Tensor, guess: Tensor, water: Tensor, spread: Tensor, scalars: Tensor) -> Answer:
        """Return mean, standard deviation and flow of every day.

        Parameters
        ----------
        values
            Anomalies over the climatological standard deviation, (batch, days, lat, lon), NaN where missing.
        guess
            First guess, of the same shape.
        water
            bool (batch, lat, lon).
        spread
            Logarithm of the climatological standard deviation over its mean, (batch, lat, lon).
        scalars
            (batch, `SCALARS`).
        """
        observed = torch.isfinite(values) & water[:, None]
        sea = water[:, None].float()
        days = values.shape[1]
        static = torch.cat([sea, offshore(sea), spread[:, None]], 1)[:, None].expand(-1, days, -1, -1, -1)
        mean, means, flows = guess, [], []
        log_std = torch.zeros_like(guess)
        flow = torch.zeros(
            *values.shape[:2], 2, *((n + COARSE - 1) // COARSE for n in values.shape[2:]), device=values.device
        )
        for _ in range(self.design.passes):
            departure = torch.where(observed, values - mean, 0.0)
            before = _nearest(departure, observed)
            after = [part.flip(1) for part in _nearest(departure.flip(1), observed.flip(1))]
            carried = _carried(departure, observed, flow) if self.design.flow else []
            daily = torch.stack([departure, observed.float(), mean, *before, *after], 2)
            maps = torch.cat([daily, static, *(part[:, :, None] for part in carried)], 2)
            answer = self.network(maps, scalars).float()
            mean = mean + TYPICAL_ERROR * answer[:, :, 0]
            log_std = answer[:, :, 1]
            means.append(mean)
            if self.design.flow:
                change = functional.avg_pool2d(answer[:, :, 2:].flatten(0, 1), COARSE, ceil_mode=True)
                flow = flow + change.reshape(flow.shape)
                flows.append(flow)
        floor = torch.tensor(math.log(SMALLEST_STD), device=guess.device)
        log_std = torch.logaddexp(log_std + math.log(TYPICAL_ERROR), floor)
        return Answer(torch.stack(means), log_std, torch.stack(flows) if flows else None)


def _carried(departure: Tensor, observed: Tensor, flow: Tensor) -> list[Tensor]:
    """Return the departures of adjacent days where the flow of a day has carried them, and with which weight.

    Each (batch, days, lat, lon): of a day and a lag, what the day so much later has at the place where the water is
    by then.
    """
    batch, days, lat, lon = departure.shape
    fine = on_all_cells(flow, (lat, lon)).permute(0, 1, 3, 4, 2)
    rows, columns = torch.meshgrid(
        torch.arange(lat, device=flow.device), torch.arange(lon, device=flow.device), indexing="ij"
    )
    here = torch.stack([columns, rows], -1).float()
    both = torch.stack([departure, observed.float()], 2)
    carried_days = []
    for lag in LAGS:
        first, last = max(0, -lag), min(days, days - lag)
        places = (here + lag * fine[:, first:last]).flatten(0, 1)
        part = sampled(both[:, first + lag : last + lag].flatten(0, 1), places).reshape(batch, -1, 2, lat, lon)
        part = functional.pad(part, (0, 0, 0, 0, 0, 0, first, days - last))
        carried_days += list(part.unbind(2))
    return carried_days


def on_all_cells(flow: Tensor, shape: Sequence[int]) -> Tensor:
    """Return a flow on cells of the map, (batch, days, 2, lat, lon), from one on cells `COARSE` times as large."""
    fine = functional.interpolate(flow.flatten(0, 1), scale_factor=COARSE, mode="bilinear", align_corners=False)
    return fine[..., : shape[0], : shape[1]].reshape(*flow.shape[:3], *shape)


def _nearest(departure: Tensor, observed: Tensor) -> list[Tensor]:
    """Return the last value seen up to each day, 0 where there is none, and exp(−lag / MEMORY)."""
    value, weight = torch.zeros_like(departure[:, 0]), torch.zeros_like(departure[:, 0])
    values, weights, fade = [], [], math.exp(-1 / MEMORY)
    for day in range(departure.shape[1]):
        here = observed[:, day]
        value = torch.where(here, departure[:, day], value)
        weight = torch.where(here, 1.0, fade * weight)
        values.append(value)
        weights.append(weight)
    return [torch.stack(values, 1), torch.stack(weights, 1)]


def offshore(sea: Tensor) -> Tensor:
    """Return the distance from land in cells, over `COAST_CELLS` and at most 1."""
    total, near = torch.zeros_like(sea), sea
    for _ in range(COAST_CELLS):
        total = total + near
        near = -functional.max_pool2d(-near, 3, stride=1, padding=1)
    return total / COAST_CELLS
