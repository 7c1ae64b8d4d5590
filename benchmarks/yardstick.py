"""How far the error of `oi` and `oi-grid` hangs on the seed and on the years that their scales were found from.

Usage: ``python benchmarks/yardstick.py FOLDER [--seas tasmania twin-1 …] [--methods oi-grid oi] [--seeds N]``, with
the folder of `tasmania_l3.nc`. A sea is a name of the leaderboard's or ``twin-SEED``. The scales are found by the
method's own fit on each of three choices of years, with each of the seeds, and scored as on the leaderboard. The
processor time is that of the scales and the spread; that of the calibration is left out.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import sereno
from leaderboard import TWIN, Sea, against_truth, seas
from sereno.config import configure
from sereno.reconstruct.oi.method import OptimalInterpolation
from sereno.reconstruct.oi_grid.method import GriddedInterpolation
from sereno.synthetic import TwinSeaConfig, twin_sea

YEARS = {
    "tasmania": (":2009-12-31", "1995-01-01:2009-12-31", ":1999-12-31"),
    TWIN: (":2021-08-26", "2020-01-01:2021-08-26", ":2020-09-30"),
}
CLASSES = {"oi": OptimalInterpolation, "oi-grid": GriddedInterpolation}
FEWEST_DAYS = 8
"""Days of the calibration, which the mean does not depend on."""


def sea_of(name: str, folder: Path) -> Sea:
    """Return a sea by its name."""
    known = seas(folder)
    if name in known or not name.startswith(TWIN):
        return known[name]
    config = TwinSeaConfig(days=1100, shape=(96, 96), seed=int(name.removeprefix(TWIN)))
    return Sea(name, partial(twin_sea, config), train=":2021-08-26", scored="2021-09-27:")


def measured(cube: xr.Dataset, method: str, years: str, scored: str | None, seeds: int) -> tuple[list[float], float]:
    """Return the RMSE with each seed, and the mean processor time of the scales and the spread."""
    seconds: list[float] = []
    inner = CLASSES[method]
    original = inner.fit

    def timed(*args: Any, **settings: Any) -> Any:  # noqa: ANN401
        started = time.process_time()
        found = original(*args, **settings)
        seconds.append(time.process_time() - started)
        return found

    errors: dict[Any, float] = {}
    found = []
    inner.fit = timed  # type: ignore[method-assign, assignment]
    try:
        for seed in range(seeds):
            config = configure(method, train=years, calibration_days=FEWEST_DAYS, seed=seed)
            model = sereno.fit(cube, config)
            covariance = model.reconstructor.inner.covariance  # type: ignore[attr-defined]
            if covariance not in errors:  # the same scales give the same maps
                scores = against_truth(sereno.evaluate(cube, {method: model}, days=scored).scores)
                errors[covariance] = float(scores["methods"][method]["rmse"])
            found.append(errors[covariance])
    finally:
        inner.fit = original  # type: ignore[method-assign]
    return found, float(np.mean(seconds))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seas", nargs="+", default=["tasmania", "twin-1", "twin-2"])
    parser.add_argument("--methods", nargs="+", default=list(CLASSES), choices=list(CLASSES))
    parser.add_argument("--seeds", type=int, default=10)
    given = parser.parse_args()
    print("| sea | method | years | RMSE (K), least to greatest over the seeds | processor time (s) |")
    print("| --- | --- | --- | --- | --- |")
    for name in given.seas:
        sea = sea_of(name, given.folder)
        cube = sea.open().load()
        for method in given.methods:
            every: list[float] = []
            for years in YEARS["tasmania" if name == "tasmania" else TWIN]:
                found, seconds = measured(cube, method, years, sea.scored, given.seeds)
                every += found
                print(
                    f"| {name} | `{method}` | {years} | {min(found):.4f} to {max(found):.4f} | {seconds:.1f} |",
                    flush=True,
                )
            half = (max(every) - min(every)) / (max(every) + min(every))
            print(f"| {name} | `{method}` | all | within ±{half:.1%} of the middle | |", flush=True)


if __name__ == "__main__":
    main()
