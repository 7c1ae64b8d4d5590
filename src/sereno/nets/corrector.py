"""What a network is shown of a window and of its first guess, and what becomes of its answer."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from sereno.config import ConvLSTMUNet
from sereno.config import UNet as UNetConfig
from sereno.nets.alldays import MEMORY, SMALLEST_STD, TYPICAL_ERROR, AllDays, Design, offshore
from sereno.nets.bottleneck import LocalAttention, Nothing, Recurrence
from sereno.nets.unet import UNet

SCALARS = 11
"""Numbers that describe a whole window: see `sereno.reconstruct.unet.context.window_scalars`."""
LAGS = (1, 2, 4, 6)
"""Days before and after the central one whose first guess is shown, as a departure from that of the central day."""


def channels(window: int) -> int:
    """Return the number of channels that `encode` makes."""
    return 2 * window + (1 + 2 * len([lag for lag in LAGS if lag <= window // 2])) + 4 + 3 + SCALARS


def encode(values: Tensor, guess: Tensor, water: Tensor, spread: Tensor, scalars: Tensor) -> Tensor:
    """Return the channels of a network.

    Parameters
    ----------
    values
        Anomalies over the climatological standard deviation, (batch, window, lat, lon), NaN where missing.
    guess
        First guess of every day, in the same unit, of the same shape.
    water
        bool (batch, lat, lon).
    spread
        Logarithm of the climatological standard deviation over its mean, (batch, lat, lon).
    scalars
        What holds for the whole window: scales, noise, season; (batch, n).

    Returns
    -------
    Tensor
        (batch, `channels`, lat, lon): departures of the observations from the first guess, where there are any; the
        first guess of the central day, and how those of other days depart from it; the nearest departure before
        and after with its lag; water, distance from the coast, spread; the numbers of the whole window.
    """
    half = values.shape[1] // 2
    observed = torch.isfinite(values) & water[:, None]
    departure = torch.where(observed, values - guess, 0.0)
    centre = guess[:, half : half + 1]
    lags = [lag for lag in LAGS if lag <= half]
    others = [guess[:, half + sign * lag : half + sign * lag + 1] - centre for lag in lags for sign in (-1, 1)]
    before = _nearest(departure[:, : half + 1].flip(1), observed[:, : half + 1].flip(1))
    after = _nearest(departure[:, half:], observed[:, half:])
    sea = water[:, None].float()
    constant = scalars[:, :, None, None].expand(-1, -1, *water.shape[1:])
    return torch.cat(
        [
            departure,
            observed.float(),
            centre,
            *others,
            *before,
            *after,
            sea,
            offshore(sea),
            spread[:, None],
            constant,
        ],
        1,
    )


def _nearest(departure: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first value seen along the days, 0 where there is none, and exp(−lag / MEMORY); (batch, 1, …)."""
    lag = torch.argmax(observed.int(), 1, keepdim=True)  # of several the first
    weight = torch.where(observed.any(1, keepdim=True), torch.exp(-lag / MEMORY), 0.0)
    return departure.gather(1, lag), weight


class Corrector(nn.Module):
    """A network that corrects the first guess of the central day and says how uncertain the result is.

    Parameters
    ----------
    network
        Takes `channels` maps and three of each day, returns two.
    passes
        How often the same network is applied, each time to what came out before.
    """

    def __init__(self, network: nn.Module, *, passes: int = 1) -> None:
        super().__init__()
        self.network, self.passes = network, passes

    def forward(
        self, values: Tensor, guess: Tensor, water: Tensor, spread: Tensor, scalars: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return mean and logarithm of the standard deviation, float32 (batch, lat, lon), in the unit of `values`."""
        half = values.shape[1] // 2
        observed = torch.isfinite(values) & water[:, None]
        for _ in range(self.passes):
            maps = encode(values, guess, water, spread, scalars).contiguous(memory_format=torch.channels_last)
            days = torch.stack(
                [torch.where(observed, values - guess, 0.0), observed.float(), guess - guess[:, half : half + 1]], 2
            )
            correction, log_std = self.network(maps, days).float().unbind(1)
            mean = guess[:, half] + TYPICAL_ERROR * correction
            guess = torch.cat([guess[:, :half], mean[:, None], guess[:, half + 1 :]], 1)
        return mean, torch.logaddexp(log_std + math.log(TYPICAL_ERROR), torch.tensor(math.log(SMALLEST_STD)))


class Mixture(nn.Module):
    """Correctors as one network: the mean and the standard deviation of the mixture of their Gaussians."""

    def __init__(self, members: Iterable[Corrector | AllDays]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    @property
    def estimates_flow(self) -> bool:
        """Whether the members estimate how the water moves."""
        return all(isinstance(member, AllDays) and member.design.flow for member in self.members)

    def forward(
        self, values: Tensor, guess: Tensor, water: Tensor, spread: Tensor, scalars: Tensor
    ) -> tuple[Tensor, ...]:
        """Return mean and standard deviation, float32, in the unit of `values`; and the flow where they estimate it.

        (batch, lat, lon); (batch, days, lat, lon) where networks answer all days. The flow is eastward and northward
        in cells a day, (batch, days, 2, lat, lon).
        """
        answers, flows = [], []
        for member in self.members:
            if isinstance(member, AllDays) and member.design.flow:
                mean, log_std, flow = member.with_flow(values, guess, water, spread, scalars)
                flows.append(flow)
            else:
                mean, log_std = member(values, guess, water, spread, scalars)
            answers.append((mean, log_std))
        means = torch.stack([mean for mean, _ in answers])
        variance = torch.stack([torch.exp(2 * log_std) for _, log_std in answers]).mean(0)
        mean, std = means.mean(0), torch.sqrt(variance + means.var(0, correction=0))
        return (mean, std, torch.stack(flows).mean(0)) if flows else (mean, std)


def corrector(config: UNetConfig | ConvLSTMUNet) -> Corrector | AllDays:
    """Return the network that a configuration asks for, with fresh weights."""
    if config.network == "all-days":
        return AllDays(Design(config.window, "channels", config.levels, passes=config.applied, flow=True))
    coarsest = config.levels[-1]
    middle: nn.Module = Nothing()
    if isinstance(config, ConvLSTMUNet):
        middle = Recurrence(coarsest, daily=3, hidden=config.hidden, factor=2 ** (len(config.levels) - 1))
    elif config.attention:
        middle = LocalAttention(coarsest)
    network = UNet(channels(config.window), 2, config.levels, middle)
    return Corrector(network.to(memory_format=torch.channels_last), passes=config.applied)  # type: ignore[call-overload]
