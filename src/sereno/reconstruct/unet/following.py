"""Water that is followed: the covariance along the flow that a network estimates, and images carried along it.

Where the water is followed, what is left of the changes from day to day is slow, and observations of other days are
worth more. The errors of an analysis that follows the water differ from those of one that does not, so that the mean
of both is better than either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import xarray as xr

from sereno.cube import DIMS, field_of
from sereno.grids.tiles import even_parts
from sereno.nets.carry import carried, paths_of_flow
from sereno.reconstruct.oi_grid.covariance import GriddedCovariance
from sereno.reconstruct.oi_grid.regions import Region
from sereno.reconstruct.unet.first_guess import FirstGuess
from sereno.reconstruct.variogram.covariance_terms import fit_terms
from sereno.reconstruct.variogram.pairs import LAGS, Image, Pair, PairMoments, pair_moments, pays
from sereno.reconstruct.variogram.record import unit_of

CELLS, MOST_WINDOWS, FEWEST_WINDOWS = 6e5, 60, 8
"""Cells of all maps on which the flow is estimated, about, and windows that these make."""
SIDE = 256
"""Cells along a side of the part of the map that one window shows, at most."""
FIRSTS = (0, 3, 6, 9)
"""Days of a window that are the earlier ones of pairs."""
TERMS = 6

Flow = Callable[[np.ndarray, Region, np.datetime64], np.ndarray]
"""Takes the anomalies of a window, its region and its central day; returns how the water moves, eastward and
northward in cells a day, (days, 2, lat, lon)."""


def followed_guess(
    cubes: Sequence[xr.Dataset], region: Region, still: FirstGuess, window: int, estimate: Flow
) -> FirstGuess | None:
    """Return the first guess of images that are carried along the flow, None where it does not pay to follow it.

    Parameters
    ----------
    cubes
        Anomaly cubes of one grid, each a record of its own.
    still
        The first guess of the images where they are.
    window
        Days.
    estimate
        Estimates the flow.
    """
    moments = [PairMoments.none(), PairMoments.none()]
    for values, here, centre in _windows(cubes, region, window):
        flow = estimate(values, here, centre)
        scaled, sides = values / here.scale, (here.height, float(here.widths.mean()))
        for place, of_pairs in enumerate((_pairs(scaled, None, sides), _pairs(scaled, flow, sides))):
            moments[place] = moments[place] + pair_moments(of_pairs, here.water.shape, sides)
    if not (moments[0].images and pays(moments[1], moments[0])):
        return None
    fitted = fit_terms(moments[1], TERMS, cell=region.grid.cell)
    noise = fitted.noise * unit_of(region.water, region.scale)
    covariance = GriddedCovariance(*fitted[:3], noise, fitted.shared_error, fitted.error_width)
    return FirstGuess(tuple(covariance.terms()), noise, still.typical_error)


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


def _windows(
    cubes: Sequence[xr.Dataset], region: Region, window: int
) -> Iterator[tuple[np.ndarray, Region, np.datetime64]]:
    """Yield windows, an even spread over the records and the map, with their regions and central days."""
    rows, columns = (even_parts(size, longest=SIDE) for size in region.water.shape)
    parts = [(row, column) for row in rows for column in columns if region.water[row, column].any()]
    cells = np.mean([(row.stop - row.start) * (column.stop - column.start) for row, column in parts])
    count = int(np.clip(CELLS / cells, FEWEST_WINDOWS, MOST_WINDOWS))
    starts = [(cube, start) for cube in cubes for start in range(0, cube.sizes["time"] - window + 1, window)]
    for number in np.unique(np.linspace(0, len(starts) - 1, count).astype(int)) if starts else ():
        cube, start = starts[number]
        row, column = parts[int(number) % len(parts)]
        here = region.part(row, column)
        days = slice(start, start + window)
        values = field_of(cube).transpose(*DIMS)[days, row, column].values
        yield np.where(here.water, values, np.nan), here, cube["time"].values[start + window // 2]


def _pairs(values: np.ndarray, flow: np.ndarray | None, sides: tuple[float, float]) -> Iterator[Pair]:
    """Yield pairs of days of a window, the later one carried to the earlier where a flow is given."""
    for day in FIRSTS:
        images = values[day:] if flow is None else along(values[day:], flow[day:], 0)
        if len(images) > 1:
            first = Image(images[0], sides)
            for place, lag in enumerate(LAGS):
                if lag < len(images):
                    yield place, first, first if lag == 0 else Image(images[lag], sides)
