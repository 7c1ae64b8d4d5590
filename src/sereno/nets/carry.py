"""Images carried along currents, so that the water of a reference day stays where it is on that day.

In the frame of a reference day the image of any other day is looked up where the water has come from or gone to
(semi-Lagrangian: Staniforth and Côté 1991, Monthly Weather Review 119, 2206–2223). What is left of the changes from
day to day is slow.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

STEPS = 2
"""Steps a day along the paths, by the midpoint rule: currents that altimetry resolves turn slowly."""
DAY = 86_400.0
ROUNDING = 1e-2
"""Cells by which a place may be outside of the outermost cells' middles through rounding alone."""


def paths(current: Tensor, spacing: Tensor, reference: int) -> Tensor:
    """Return where the water of each cell of a reference day is on every day.

    Parameters
    ----------
    current
        Eastward and northward velocity of each day, m/s, (batch, days, 2, lat, lon), latitudes ascending; 0 where it
        is not known.
    spacing
        Height and width of a cell, km, (batch, 2), or of each row, (batch, 2, lat).
    reference
        Number of the reference day.

    Returns
    -------
    Tensor
        Column and row, in cells, float32 (batch, days, lat, lon, 2). They may lie outside of the map.
    """
    cells = spacing if spacing.ndim == 3 else spacing[:, :, None].expand(-1, -1, current.shape[3])
    eastward, northward = current.float().unbind(2)
    height, width = cells[:, None, :, :, None].unbind(2)
    return paths_of_flow(DAY / 1e3 * torch.stack([eastward / width, northward / height], 2), reference)


def paths_of_flow(per_day: Tensor, reference: int) -> Tensor:
    """Return the same of a flow in cells a day, eastward and northward, (batch, days, 2, lat, lon)."""
    batch, days, _, lat, lon = per_day.shape
    rows, columns = torch.meshgrid(
        torch.arange(lat, device=per_day.device), torch.arange(lon, device=per_day.device), indexing="ij"
    )
    start = torch.stack([columns, rows], -1).float().expand(batch, -1, -1, -1)
    places = [start] * days
    for sense in (1, -1):
        place = start
        for day in range(reference, days - 1 if sense > 0 else 0, sense):
            for part in range(STEPS):
                place = _step(place, per_day[:, day], per_day[:, day + sense], part / STEPS, sense / STEPS)
            places[day + sense] = place
    return torch.stack(places, 1)


def _step(place: Tensor, before: Tensor, after: Tensor, done: float, step: float) -> Tensor:
    """Return places a step later or earlier, by the midpoint rule; currents change evenly between two days."""

    def speed(at: Tensor, share: float) -> Tensor:
        return sampled(torch.lerp(before, after, share), at, edge=True).permute(0, 2, 3, 1)

    middle = place + step / 2 * speed(place, done)
    return place + step * speed(middle, done + abs(step) / 2)


def sampled(maps: Tensor, places: Tensor, *, edge: bool = False, nearest: bool = False) -> Tensor:
    """Return maps looked up at places.

    Parameters
    ----------
    maps
        (batch, n, lat, lon).
    places
        Column and row, (batch, lat, lon, 2).
    edge
        Take the nearest cell of the map where a place is outside of it, rather than 0.
    nearest
        Take the nearest cell, rather than what lies between four.
    """
    lat, lon = maps.shape[-2:]
    # Each by a number: a tensor of both would keep the size of the map that a network is traced with for OpenVINO.
    column, row = ((2 * places[..., axis] + 1) / size - 1 for axis, size in enumerate((lon, lat)))
    return functional.grid_sample(
        maps,
        torch.stack([column, row], -1),
        mode="nearest" if nearest else "bilinear",
        padding_mode="border" if edge else "zeros",
        align_corners=False,
    )


def carried(images: Tensor, places: Tensor, *, resting: Tensor | None = None, nearest: bool = False) -> Tensor:
    """Return the images of all days in the frame of the reference day that `places` belong to.

    Parameters
    ----------
    images
        (batch, days, lat, lon). Observations, NaN where missing, want `nearest`, which keeps their errors
        uncorrelated.
    places
        As of `paths`.
    resting
        What the images are departures from, (batch, days or 1, lat, lon), such as their climatology. Water takes the
        whole along, not the departure: what a climatology has of fronts and of passing eddies would else be torn.

    Returns
    -------
    Tensor
        Of the same shape; NaN outside of the map.
    """
    batch, days, lat, lon = images.shape
    if resting is not None:
        return carried(images + resting, places, nearest=nearest) - resting
    at = places.flatten(0, 1)
    values = sampled(images.reshape(-1, 1, lat, lon), at, edge=True, nearest=nearest)[:, 0]
    column, row = at.unbind(-1)
    beyond = 0.5 if nearest else ROUNDING
    inside = (column > -beyond) & (column < lon - 1 + beyond) & (row > -beyond) & (row < lat - 1 + beyond)
    return torch.where(inside, values, torch.nan).reshape(batch, days, lat, lon)
