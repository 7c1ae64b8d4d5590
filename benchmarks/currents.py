"""What knowing the currents would be worth to optimal interpolation of the twin sea.

Usage: ``python benchmarks/currents.py [--days N] [--seed N]``. Clouded pixels of a twin sea are interpolated from the
observations of 15 days twice: where these were made, and where the water that was seen has been carried by the day
that is asked for, by the true currents. Lengths and times are chosen for each, with the truth at hand, from the same
candidates: the table bounds what a method could gain from currents that it finds out, and is no score of any.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import product

import numpy as np
from scipy.ndimage import map_coordinates

from sereno.synthetic import TwinSeaConfig, twin_sea
from sereno.synthetic.ocean import DAY, simulate
from sereno.synthetic.spectral import METRES_PER_DEGREE

HALF, SPIN, EVERY, PIXELS, NEAREST = 7, 20, 4, 40, 150
"""Days of context either side; days left out at either end, and which of the others are looked at; clouded pixels of
each, and observations that each is made of."""
LENGTHS, TIMES = (20.0, 30.0, 45.0), (3.0, 6.0, 12.0, 24.0)
"""Candidates: km and days of a Matérn-3/2 covariance."""
VARIANCE, WHITE, SHARED = 0.36, 0.02, 0.01
"""Of the anomalies, of the noise of a pixel, and of that of a day, K²."""
STEPS = 8
"""Steps a day in which water is carried."""


def carried(currents: np.ndarray, place: np.ndarray, start: int, end: int) -> np.ndarray:
    """Return where water at `place` on one day is on another; (2, n) rows and columns, cells and cells a day."""
    sign = 1 if end > start else -1
    for day in range(start, end, sign):
        for share in (np.arange(STEPS) + 0.5) / STEPS:
            now = (1 - share) * currents[day] + share * currents[day + sign]
            speed = np.stack([map_coordinates(part, place, order=1, mode="grid-wrap") for part in now])
            place = place + sign * speed / STEPS
    return place


def matern(distance: np.ndarray, scale: float) -> np.ndarray:
    """Return the Matérn-3/2 correlation."""
    scaled = np.sqrt(3) * distance / scale
    return (1 + scaled) * np.exp(-scaled)


def interpolated(target: np.ndarray, place: np.ndarray, lag: np.ndarray, values: np.ndarray, *scales: float) -> float:
    """Return the optimal interpolation at one place; places in km, (2,) and (2, n)."""
    length, time = scales
    distance = np.hypot(*(place - target[:, None]))
    near = np.argsort((distance / length) ** 2 + (lag / time) ** 2)[:NEAREST]
    place, lag = place[:, near], lag[near]
    apart = np.hypot(*(place[:, :, None] - place[:, None, :]))
    between = VARIANCE * matern(apart, length) * matern(np.abs(lag[:, None] - lag), time)
    noise = WHITE * np.eye(len(near)) + SHARED * (lag[:, None] == lag)
    towards = VARIANCE * matern(distance[near], length) * matern(np.abs(lag), time)
    return float(towards @ np.linalg.solve(between + noise, values[near]))


def squares(config: TwinSeaConfig) -> Iterator[tuple[str, float, float, np.ndarray]]:
    """Yield squared errors by where observations are taken to be and by the scales."""
    cube = twin_sea(config)
    water, truth, seen = cube["water"].values, cube["truth"].values, cube["sst"].values
    cell = config.spacing * METRES_PER_DEGREE
    sides = cell * np.array([1.0, np.cos(np.deg2rad(config.centre[0]))])
    days = zip(range(config.days), simulate(config), strict=False)
    currents = np.stack([np.stack([day.v / sides[0], day.u / sides[1]]) * DAY for _, day in days])
    daily = np.nanmean(truth, (1, 2), keepdims=True)
    baseline = daily + np.where(water, np.nan_to_num(truth - daily).mean(0), 0)
    rng = np.random.default_rng(0)
    for target in range(SPIN, config.days - SPIN, EVERY):
        hidden = np.argwhere(water & ~np.isfinite(seen[target]))
        chosen = rng.permutation(hidden)[:PIXELS]
        at, moved, lags, values = [], [], [], []
        for day in range(target - HALF, target + HALF + 1):
            place = np.argwhere(water & np.isfinite(seen[day])).T
            at.append(place)
            moved.append(carried(currents, place.astype(float), day, target) if day != target else place)
            lags.append(np.full(place.shape[1], day - target))
            values.append((seen[day] - baseline[day])[tuple(place)])
        lag, value = np.concatenate(lags), np.concatenate(values)
        right = (truth[target] - baseline[target])[tuple(chosen.T)]
        for name, places in (("where it was seen", at), ("where it has gone", moved)):
            place = np.concatenate(places, 1) * sides[:, None] / 1e3
            for scales in product(LENGTHS, TIMES):
                found = [interpolated(pixel * sides / 1e3, place, lag, value, *scales) for pixel in chosen]
                yield name, *scales, (np.array(found) - right) ** 2


def main() -> None:
    """Print the errors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=150)
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args()
    errors: dict[tuple[str, float, float], list[np.ndarray]] = {}
    for *key, square in squares(TwinSeaConfig(days=options.days, shape=(96, 96), seed=options.seed)):
        errors.setdefault((str(key[0]), *key[1:]), []).append(square)
    for name in ("where it was seen", "where it has gone"):
        found = {key[1:]: np.sqrt(np.concatenate(parts).mean()) for key, parts in errors.items() if key[0] == name}
        length, time = min(found, key=found.__getitem__)
        print(f"water taken {name}: RMSE {found[length, time]:.4f} K, with {length:.0f} km and {time:.0f} days")


if __name__ == "__main__":
    main()
