"""Currents as altimetry sees them: smooth in space and in time, wrong in places, missing in places."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

RESOLVED, AVERAGED = (120.0, 250.0), (5.0, 15.0)
"""Wavelength, km, and days of which the half is left."""
ERROR = (0.1, 0.5)
"""Root mean square of the error, in that of what is left of the current."""
GAPS, FADE = 0.15, 4.0
"""Share of the seas with a part of the map without currents; cells over which they fade towards it: where they end at
once, water on either side that belongs together would be torn apart."""
TRUNCATE = 3.0


@dataclass(frozen=True)
class Quality:
    """What a set of currents resolves.

    Attributes
    ----------
    wavelength, days
        Of a wave, km, and of a mean, days, that leave half of it.
    error
        Root mean square of the error, in that of the smooth current.
    gaps
        Probability that a part of the map is without currents.
    """

    wavelength: float
    days: float
    error: float
    gaps: float = 0.0

    @classmethod
    def draw(cls, random: torch.Generator) -> Quality:
        """Draw one."""
        lot = torch.rand(3, generator=random, device=random.device).tolist()
        return cls(_between(RESOLVED, lot[0]), _between(AVERAGED, lot[1]), _between(ERROR, lot[2]), GAPS)


def as_seen(current: Tensor, spacing: Tensor, quality: Quality, random: torch.Generator) -> Tensor:
    """Return the currents of a sea as a product of some quality has them.

    Parameters
    ----------
    current
        (days, 2, lat, lon), m/s.
    spacing
        Height and width of a cell, km, (2,).
    random
        On the device of the currents.

    Returns
    -------
    Tensor
        float32, of the same shape.
    """
    smooth = low_pass(current.float(), spacing, quality)
    power = smooth.square().mean().sqrt()
    lot = torch.rand(3, generator=random, device=random.device).tolist()
    white = torch.randn(current[:, :1].shape, generator=random, device=random.device)
    error = _turned_stream(low_pass(white, spacing, quality)[:, 0], spacing)  # no finer than what is resolved
    smooth = smooth + quality.error * power * error / error.square().mean().sqrt().clamp(min=1e-9)
    if lot[0] < quality.gaps:
        rows = torch.arange(current.shape[-2], device=current.device)
        beyond = torch.sigmoid((rows - lot[1] * len(rows)) / FADE)
        smooth = smooth * (beyond if lot[2] < 0.5 else 1 - beyond)[:, None]
    return smooth


def low_pass(current: Tensor, spacing: Tensor, quality: Quality) -> Tensor:
    """Return (days, n, lat, lon) less what is shorter than a quality resolves."""
    width = quality.wavelength * math.sqrt(2 * math.log(2)) / (2 * math.pi)
    days, n, lat, lon = current.shape
    by_day = current.permute(1, 2, 3, 0).reshape(1, -1, days)
    smooth = _smooth(by_day, quality.days / math.sqrt(12)).reshape(n, lat, lon, days).permute(3, 0, 1, 2)
    rows = _smooth(smooth.reshape(1, -1, lon), width / float(spacing[1])).reshape(days, n, lat, lon)
    columns = _smooth(rows.transpose(2, 3).reshape(1, -1, lat), width / float(spacing[0]))
    return columns.reshape(days, n, lon, lat).transpose(2, 3).contiguous()


def _smooth(lines: Tensor, deviation: float) -> Tensor:
    """Return lines (1, n, length) smoothed by a Gaussian of a standard deviation in cells, mirrored at their ends."""
    length = lines.shape[-1]
    reach = min(math.ceil(TRUNCATE * deviation), length - 1)
    at = torch.arange(-reach, reach + 1, device=lines.device)
    kernel = torch.exp(-0.5 * (at / max(deviation, 1e-6)) ** 2)
    padded = functional.pad(lines, (reach, reach), mode="reflect")
    return functional.conv1d(padded.transpose(0, 1), (kernel / kernel.sum())[None, None]).transpose(0, 1)


def _turned_stream(stream: Tensor, spacing: Tensor) -> Tensor:
    """Return the current along the lines of a stream function (days, lat, lon), (days, 2, lat, lon)."""
    north, east = torch.gradient(stream, dim=(1, 2))
    return torch.stack([-north / spacing[0], east / spacing[1]], 1)


def _between(bounds: tuple[float, float], lot: float) -> float:
    return bounds[0] + lot * (bounds[1] - bounds[0])
