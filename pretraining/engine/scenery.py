"""What stays where it is in a sea: jets, streams along coasts, fronts, plumes. Fields are periodic, as the sea is."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft
from scipy import ndimage

SMOOTHED = 1.5
"""Cells over which a stream along a coast is smoothed, so that its spectrum does not ring."""


def band(side: int, course: dict[str, Any]) -> np.ndarray:
    """Return the phase across a band that winds through the sea, radians, (side, side).

    Parameters
    ----------
    course
        ``waves``, how often the phase turns northward and eastward over the domain; ``phase``, radians; and
        ``meander``, ``meander_waves`` and ``meander_phase`` of the wave along the band.
    """
    turns = 2 * np.pi * np.arange(side) / side
    north, east = course["waves"]
    y, x = turns[:, None], turns[None, :]
    along = course["meander_waves"] * (north * x - east * y) + course["meander_phase"]
    phase: np.ndarray = north * y + east * x + course["phase"] + course["meander"] * np.sin(along)
    return phase


def edge(phase: np.ndarray, sharpness: float) -> np.ndarray:
    """Return −1 on one side of the band and 1 on the other: two fronts a period, the sharper the narrower."""
    rise: np.ndarray = np.tanh(sharpness * np.sin(phase))
    return rise


def coastal_stream(water: np.ndarray, width: float) -> np.ndarray:
    """Return the stream function of a flow along the coasts, fastest at the shore, 1 / cell there, (side, side).

    Parameters
    ----------
    water
        bool (side, side).
    width
        Cells over which the flow falls by e.
    """
    side = len(water)
    offshore = ndimage.distance_transform_edt(np.pad(water, side // 2, mode="wrap"))
    offshore = offshore[side // 2 : side // 2 + side, side // 2 : side // 2 + side]
    stream: np.ndarray = ndimage.gaussian_filter(width * (1 - np.exp(-offshore / width)), SMOOTHED, mode="wrap")
    return stream


def flow_of(stream: np.ndarray, spacing: tuple[float, float], *, speed: float) -> np.ndarray:
    """Return the flow along the contours of a periodic stream function, (2, side, side), eastward and northward, m/s.

    Parameters
    ----------
    spacing
        Height and width of a cell, metres.
    speed
        Of the fastest thousandth of the cells; negative for the opposite direction.
    """
    side = len(stream)
    ky = 2j * np.pi * np.fft.fftfreq(side, spacing[0])[:, None]
    kx = 2j * np.pi * np.fft.rfftfreq(side, spacing[1])
    spectrum = scipy.fft.rfft2(stream)
    spectrum[side // 2], spectrum[:, -1] = 0, 0  # of the shortest waves a derivative is not known
    flow = scipy.fft.irfft2(np.stack([-ky * spectrum, kx * spectrum]), s=(side, side))
    fastest = np.quantile(np.hypot(*flow), 0.999)
    scaled: np.ndarray = (speed / max(fastest, 1e-12) * flow).astype(np.float32)
    return scaled


def nearest_shore(water: np.ndarray, centre: list[float]) -> list[float]:
    """Return the cell of the shore that is nearest to a place, or the place where there is no land, in cells."""
    shore = np.argwhere(ndimage.binary_dilation(~water) & water)
    if not len(shore):
        return centre
    return [float(c) for c in shore[np.square(shore - centre).sum(1).argmin()]]


def patch(side: int, spacing: tuple[float, float], centre: list[float], *, radius: float) -> np.ndarray:
    """Return the shape of a plume, 1 in its middle, (side, side).

    Parameters
    ----------
    spacing
        Height and width of a cell, metres.
    centre
        Northward and eastward, cells.
    radius
        Standard deviation of the Gaussian, metres.
    """
    square = np.zeros((side, side))
    for axis, (middle, cell) in enumerate(zip(centre, spacing, strict=True)):
        away = np.abs(np.arange(side) - middle)
        metres = cell * np.minimum(away, side - away)
        square += np.expand_dims((metres / radius) ** 2, 1 - axis)
    shape: np.ndarray = np.exp(-square / 2)
    return shape
