"""Strata: errors by cloud cover, distance to observations in space and time, coast, season, and marine heatwaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from sereno.evaluation.metrics import Sums, scores
from sereno.grids.coast import distance_to


@dataclass(frozen=True)
class StratumScores:
    """Scores of a method on the pixels of a bin; see `sereno.evaluation.metrics.PooledScores`."""

    n_pixels: int
    rmse: float
    bias: float
    std: float
    mae: float
    crps: float
    z_std: float
    coverage_1sigma: float
    coverage_2sigma: float


_POOLED = [each.name for each in fields(StratumScores) if each.name != "n_pixels"]
BinnedScores = dict[str, dict[str, StratumScores]]
"""Scores by label of the bin, and method; bins without a pixel are left out."""
StrataScores = dict[str, BinnedScores]
"""Scores by stratum; strata without a pixel are left out."""


@dataclass(frozen=True)
class Stratum:
    """A quantity by which scored pixels are divided into bins.

    Attributes
    ----------
    title
        What the quantity is, for figures.
    labels
        The bins in order.
    edges
        Where one bin ends and the next begins: bin i holds edges[i − 1] ≤ value < edges[i]. A last edge of infinity
        sets apart what has no value, such as the distance to an observation on a day without one.
    """

    title: str
    labels: tuple[str, ...]
    edges: tuple[float, ...]

    @property
    def last_is_apart(self) -> bool:
        """Whether the last bin holds what has no value, and so does not continue the others."""
        return self.edges[-1] == np.inf


_DAYS = ("1 day", "2 days", "3 days", "4-5 days", "6-7 days", "8 days and more", "none in the window")
_DAY_EDGES = (2, 3, 4, 6, 8, np.inf)

STRATA = {
    "cloud_cover": Stratum(
        "Cloud cover of the day",
        ("0-25 %", "25-50 %", "50-75 %", "75-90 %", "90-100 %", "100 %"),
        (25, 50, 75, 90, 100),
    ),
    "distance_to_observation": Stratum(
        "Distance to the nearest observation of the day",
        ("0-5 km", "5-10 km", "10-20 km", "20-40 km", "40-80 km", "80-160 km", "160 km and more", "nothing visible"),
        (5, 10, 20, 40, 80, 160, np.inf),
    ),
    "days_since_observation": Stratum("Days since the pixel was last observed", _DAYS, _DAY_EDGES),
    "days_to_nearest_observation": Stratum("Days to the pixel's nearest observation", _DAYS, _DAY_EDGES),
    "distance_to_coast": Stratum(
        "Distance to the coast",
        ("0-10 km", "10-25 km", "25-50 km", "50-100 km", "100-200 km", "200 km and more", "no land"),
        (10, 25, 50, 100, 200, np.inf),
    ),
    "season": Stratum("Season", ("DJF", "MAM", "JJA", "SON"), (1, 2, 3)),
    "marine_heatwave": Stratum("Marine heatwave", ("none", "heatwave"), (1,)),
}
"""The strata by the names they have in ``scores.json``; heatwaves are there only where they are known."""
COUNTS = {name: len(stratum.labels) for name, stratum in STRATA.items()}
"""How many bins each has."""


def bins(
    observed: np.ndarray,
    since: np.ndarray,
    nearest: np.ndarray,
    scored: np.ndarray,
    *,
    time: np.ndarray,
    water: np.ndarray,
    coast: np.ndarray,
    size: tuple[float, float],
    heatwave: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Sort the scored pixels of a block of days into the bins of every stratum.

    Parameters
    ----------
    observed
        Where the day may be seen, bool (time, lat, lon).
    since, nearest
        Days to observations, as of `days_to_observation`.
    scored
        The pixels to sort, bool (time, lat, lon).
    time, water
        Days (time,), and the mask of the sea (lat, lon).
    coast, size
        Distance to the coast, km (lat, lon), and the size of cells, as for `distance_to`.
    heatwave
        Where there is a marine heatwave, bool (time, lat, lon); the stratum is left out where not given.

    Returns
    -------
    dict
        By stratum, int8 (time, lat, lon): the bin of each scored pixel, 0 elsewhere.
    """
    left_out = {"marine_heatwave"} if heatwave is None else set()
    bins = {name: np.zeros(scored.shape, np.int8) for name in STRATA if name not in left_out}
    cells = int(water.sum())
    season = pd.DatetimeIndex(time).month.to_numpy() % 12 // 3
    for index, day in enumerate(scored):
        visible = observed[index] & water
        values = {
            "cloud_cover": 100 * (cells - int(visible.sum())) / cells,
            "distance_to_observation": distance_to(visible, size)[day],
            "days_since_observation": since[index][day],
            "days_to_nearest_observation": nearest[index][day],
            "distance_to_coast": coast[day],
            "season": season[index],
        }
        if heatwave is not None:
            values["marine_heatwave"] = heatwave[index][day]
        for name, value in values.items():
            bins[name][index][day] = np.digitize(value, STRATA[name].edges)
    return bins


def tabulate(totals: Mapping[str, Mapping[str, Sequence[Sums]]]) -> StrataScores:
    """Return the scores by stratum, bin and method from the sums by method, stratum and bin."""
    table: StrataScores = {name: {} for name in STRATA}
    for method, strata in totals.items():
        for name, binned in strata.items():
            for label, total in zip(STRATA[name].labels, binned, strict=True):
                if total.pixels:
                    pooled = vars(scores(total))
                    row = {score: pooled[score] for score in _POOLED}
                    table[name].setdefault(label, {})[method] = StratumScores(int(total.pixels), **row)
    return {name: bins for name, bins in table.items() if bins}
