"""Water that is followed: the covariance along the flow that the networks estimate.

Where the water is followed, what is left of the changes from day to day is slow, and observations of other days are
worth more. The errors of an analysis that follows the water differ from those of one that does not, so that the mean
of both is better than either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr

from sereno.cube import DIMS, field_of
from sereno.grids.tiles import even_parts
from sereno.reconstruct.oi_grid.covariance import GriddedCovariance
from sereno.reconstruct.oi_grid.regions import Region
from sereno.reconstruct.unet.answers import Answers, Window, along
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


def followed_guess(cubes: Sequence[xr.Dataset], region: Region, answers: Answers) -> FirstGuess | None:
    """Return the first guess of images that are carried along the flow, None where it does not pay to follow it.

    Parameters
    ----------
    cubes
        Anomaly cubes of one grid, each a record of its own.
    answers
        The networks, with the first guess of images where they are.
    """
    moments = [PairMoments.none(), PairMoments.none()]
    for here, windows in _windows(cubes, region, answers.config.window):
        solver = answers.still.solver(here, answers.config.window)
        sides = (here.height, float(here.widths.mean()))
        for values, centre in windows:
            guess = answers.still.analyse(solver, values, here)
            window = Window(here, slice(0, len(values)), centre)
            _, flow = answers.of_window(values, guess, window, np.array([0]))
            if flow is not None:
                for place, along_flow in enumerate((None, flow)):
                    pairs = _pairs(values / here.scale, along_flow, sides)
                    moments[place] = moments[place] + pair_moments(pairs, here.water.shape, sides)
    if not (moments[0].images and pays(moments[1], moments[0])):
        return None
    fitted = fit_terms(moments[1], TERMS, cell=region.grid.cell)
    noise = fitted.noise * unit_of(region.water, region.scale)
    covariance = GriddedCovariance(*fitted[:3], noise, fitted.shared_error, fitted.error_width)
    return FirstGuess(tuple(covariance.terms()), noise, answers.still.typical_error)


def _windows(
    cubes: Sequence[xr.Dataset], region: Region, window: int
) -> Iterator[tuple[Region, Iterator[tuple[np.ndarray, np.datetime64]]]]:
    """Yield the parts of the map, each with windows and their central days: an even spread over the records."""
    rows, columns = (even_parts(size, longest=SIDE) for size in region.water.shape)
    parts = [(row, column) for row in rows for column in columns if region.water[row, column].any()]
    cells = np.mean([(row.stop - row.start) * (column.stop - column.start) for row, column in parts])
    count = int(np.clip(CELLS / cells, FEWEST_WINDOWS, MOST_WINDOWS))
    starts = [(cube, start) for cube in cubes for start in range(0, cube.sizes["time"] - window + 1, window)]
    chosen = np.unique(np.linspace(0, len(starts) - 1, count).astype(int)) if starts else np.array([], int)

    def read(numbers: np.ndarray, rows: slice, columns: slice) -> Iterator[tuple[np.ndarray, np.datetime64]]:
        for cube, start in (starts[number] for number in numbers):
            values = field_of(cube).transpose(*DIMS)[start : start + window, rows, columns].values
            known = np.where(region.water[rows, columns], values, np.nan)
            yield known, cube["time"].values[start + window // 2]

    for place, crop in enumerate(parts):
        if len(numbers := chosen[place :: len(parts)]):
            yield region.part(*crop), read(numbers, *crop)


def _pairs(values: np.ndarray, flow: np.ndarray | None, sides: tuple[float, float]) -> Iterator[Pair]:
    """Yield pairs of days of a window, the later one carried to the earlier where a flow is given."""
    for day in (day for day in FIRSTS if day < len(values) - 1):
        images = values[day:] if flow is None else along(values[day:], flow[day:], 0)
        first = Image(images[0], sides)
        for place, lag in enumerate(LAGS):
            if lag < len(images):
                yield place, first, first if lag == 0 else Image(images[lag], sides)
