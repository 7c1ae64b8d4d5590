"""Clouds: simulated ones of many days, many sequences at a time, and real ones of single moments.

The simulated ones are those of `sereno.synthetic.clouds`: a Gaussian field with a red spectrum, cut at a level that
follows the weather; each wave keeps part of itself to the next day, the larger the more, and drifts with the wind.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine.family import SPACING
from engine.grid import Grid
from engine.pieces import draw_pieces
from engine.randomness import generator, log_uniform, uniform

COVER = (0.3, 0.9)
"""Mean cover of a simulated sequence."""
OUTER_SCALE, POWER_SLOPE, STRETCH, LIFETIME = 1200e3, 2.85, 2.5, 1.5
WIND, WIND_GUSTS, WIND_MEMORY = 2.55, 3.5, 0.5
WEATHER_SPREAD, WEATHER_MEMORY, WINTER_CLOUDS = 1.4, 0.5, 0.5
PLACES = 0.4
"""As of the same names in `sereno.synthetic.clouds`; the mean wind, m/s, blows from any side."""
DOMAIN = 2
"""The periodic domain is this many times as long as the masks."""
DAY = 86_400.0
SOURCES = {"goes": 0.3, "scenes": 0.15}
"""Real clouds, and how often each source is drawn."""


def cloud_masks(
    random: int | torch.Generator, count: int, *, days: int, side: int, device: str | torch.device = "cpu"
) -> Tensor:
    """Draw sequences of clouds of consecutive days.

    Parameters
    ----------
    random
        A seed, or a generator on the device.
    device
        On which the masks are made; that of the generator where one is given.

    Returns
    -------
    torch.Tensor
        bool (count, days, side, side), over land as well.
    """
    random = random if isinstance(random, torch.Generator) else generator(random, device=device)
    cloudy = torch.empty(count, days, side, side, dtype=torch.bool, device=random.device)
    levels = _levels(random, count, days)
    for day, field in zip(range(days), _fields(random, count, side), strict=False):
        torch.gt(field, levels[:, day, None, None], out=cloudy[:, day])
    return cloudy


def _fields(random: torch.Generator, count: int, side: int) -> Iterator[Tensor]:
    """Yield the cloud field of each day, of unit variance, (count, side, side), without end."""
    height = log_uniform(random, *SPACING, count)
    width = height * torch.cos(torch.deg2rad(uniform(random, 0, 55, count)))
    grid = Grid(DOMAIN * side, torch.stack([height, width], 1))
    memory = torch.exp(-((grid.k * OUTER_SCALE / (2 * torch.pi)).clamp(min=1) ** (2 / 3)) / LIFETIME)
    renewed = (1 - memory**2).sqrt()
    angle = uniform(random, 0, 2 * torch.pi, count)
    mean_wind = WIND * torch.stack([angle.cos(), angle.sin()], 1)
    shape = _streets(grid, mean_wind)
    places = PLACES * grid.inverse(shape * grid.noise(random, count))[:, :side, :side]
    places = places - places.mean((1, 2), keepdim=True)  # the mean cover stays the one asked for
    field = shape * grid.noise(random, count)
    gust = torch.randn(count, 2, generator=random, device=grid.device)
    while True:
        yield (grid.inverse(field)[:, :side, :side] + places) / (1 + PLACES**2) ** 0.5
        fresh = torch.randn(count, 2, generator=random, device=grid.device)
        gust = WIND_MEMORY * gust + (1 - WIND_MEMORY**2) ** 0.5 * fresh
        wind = mean_wind + WIND_GUSTS * gust
        field = memory * grid.carry(DAY * wind) * field
        field += renewed * _streets(grid, wind) * grid.noise(random, count)


def _streets(grid: Grid, wind: Tensor) -> Tensor:
    """Return the filter of a red spectrum, stretched along the wind, (count, side, half)."""
    east, north = (wind / wind.norm(dim=1, keepdim=True))[:, :, None, None].unbind(1)
    along, across = grid.kx * east + grid.ky * north, grid.ky * east - grid.kx * north
    outer = OUTER_SCALE / (2 * torch.pi)
    square = 1 + outer**2 * (STRETCH * along**2 + across**2 / STRETCH)
    return grid.amplitude(square ** (-POWER_SLOPE / 2))


def _levels(random: torch.Generator, count: int, days: int) -> Tensor:
    """Return the level of each day that the cloud field must pass, in its standard deviations, (count, days)."""
    cover = uniform(random, *COVER, count)
    shocks = torch.randn(days, count, generator=random, device=random.device)
    weather = [shocks[0]]
    for shock in shocks[1:]:
        weather.append(WEATHER_MEMORY * weather[-1] + (1 - WEATHER_MEMORY**2) ** 0.5 * shock)
    begin = uniform(random, 0, 365.25, count, 1)
    season = -WINTER_CLOUDS * torch.cos(2 * torch.pi * (begin + torch.arange(days, device=random.device)) / 365.25)
    # See `sereno.synthetic.clouds` for why the centre is stretched.
    spread = WEATHER_SPREAD**2 + WINTER_CLOUDS**2 / 2
    centre = torch.logit(cover) * (1 + torch.pi * spread / 8) ** 0.5
    logit = centre[:, None] + season + WEATHER_SPREAD * torch.stack(weather, 1)
    level: Tensor = -torch.special.ndtri(torch.sigmoid(logit))
    return level


class RealClouds:
    """Clouds of single moments from satellite images, as `pretraining/library.py` writes them, a bit for each cell.

    Parameters
    ----------
    path
        A file with ``goes`` and ``scenes``, uint8 (n, cells, cells / 8).
    """

    def __init__(self, path: str | Path, *, device: str | torch.device = "cpu") -> None:
        with np.load(path) as packed:
            unpacked = {name: np.unpackbits(packed[name], axis=-1).astype(bool) for name in SOURCES if name in packed}
        self.masks = {name: torch.from_numpy(masks).to(device) for name, masks in unpacked.items()}

    def draw(self, random: torch.Generator, count: int, *, days: int, side: int) -> Tensor:
        """Draw sets of masks, bool (count, days, side, side): the days of a set come from one source, in no order."""
        weights = torch.tensor([SOURCES[name] for name in self.masks], device=random.device)
        source = torch.multinomial(weights, count, replacement=True, generator=random)
        step = torch.randint(1, 3, (count,), generator=random, device=random.device)
        drawn = torch.empty(count, days, side, side, dtype=torch.bool, device=random.device)
        for number, masks in enumerate(self.masks.values()):
            chosen = (source == number).nonzero()[:, 0]
            steps = step[chosen].repeat_interleave(days)
            pieces = draw_pieces(random, masks, len(steps), side=side, step=steps)
            drawn[chosen] = pieces.view(len(chosen), days, side, side)
        return drawn
