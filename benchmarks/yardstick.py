"""How far the error of `oi` and `oi-grid` hangs on the seed and on the years that their scales were found from.

Usage: ``python benchmarks/yardstick.py FOLDER [--seas tasmania twin-1 …] [--methods oi-grid oi] [--seeds N]``, with
the folder of `tasmania_l3.nc`. A sea is a name of the leaderboard's or ``twin-SEED``. The scales are found by the
method's own fit on each of three choices of years, with each of the seeds, and scored as on the leaderboard: with the
climatology of the first choice, and with that of the same years. Where seeds find different scales, all errors are
printed. The processor time is that of the scales and the spread; that of the calibration is left out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import xarray as xr

import sereno
from leaderboard import TWIN, Sea, against_truth, seas
from sereno.config import configure
from sereno.reconstruct.oi.method import OptimalInterpolation
from sereno.reconstruct.oi_grid.method import GriddedInterpolation
from sereno.synthetic import TwinSeaConfig, twin_sea
from sereno.workflow.models import Model

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


def with_scales(model: Model, other: Model) -> Model:
    """Return a model with the covariance of another: what is left of the choice of years is that of the scales."""
    wrapped, covariance = model.reconstructor, other.reconstructor.inner.covariance  # type: ignore[attr-defined]
    inner = replace(wrapped.inner, covariance=covariance)  # type: ignore[attr-defined]
    return replace(model, reconstructor=replace(wrapped, inner=inner))  # type: ignore[type-var]


def rmse(cube: xr.Dataset, model: Model, scored: str | None) -> float:
    """Return the error of a model as the leaderboard has it."""
    return float(against_truth(sereno.evaluate(cube, {"it": model}, days=scored).scores)["methods"]["it"]["rmse"])


def timed(method: str, seconds: list[float]) -> Callable[..., Any]:
    """Return the fit of a method that notes its processor time."""
    original = CLASSES[method].fit

    def fit(*args: Any, **settings: Any) -> Any:  # noqa: ANN401
        started = time.process_time()
        found = original(*args, **settings)
        seconds.append(time.process_time() - started)
        return found

    return fit


def measured(cube: xr.Dataset, sea: Sea, method: str, years: Sequence[str], seeds: int) -> None:
    """Print the rows of a method on a sea."""
    seconds: list[float] = []
    whole: Model | None = None
    every: list[tuple[float, float]] = []
    with patch.object(CLASSES[method], "fit", timed(method, seconds)):
        for period in years:
            errors: dict[Any, tuple[float, float]] = {}
            for seed in range(seeds):
                settings = {"train": period, "valid": sea.valid, "calibration_days": FEWEST_DAYS, "seed": seed}
                config = configure(method, **{name: value for name, value in settings.items() if value is not None})
                model = sereno.fit(cube, config)
                assert isinstance(model, Model)
                whole = whole or model
                covariance = model.reconstructor.inner.covariance  # type: ignore[attr-defined]
                if covariance not in errors:  # the same scales give the same maps
                    alone, both = (rmse(cube, m, sea.scored) for m in (with_scales(whole, model), model))
                    errors[covariance] = alone, both
            every += errors.values()
            columns = ", ".join(f"{alone:.4f} | {both:.4f}" for alone, both in errors.values())
            print(f"| {sea.title} | `{method}` | {period} | {columns} | {np.mean(seconds):.1f} |", flush=True)
    low, high = np.min(every, axis=0), np.max(every, axis=0)
    apart = " | ".join(f"±{part:.1%}" for part in (high - low) / (high + low))
    print(f"| {sea.title} | `{method}` | all | {apart} | |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seas", nargs="+", default=["tasmania", "twin-1", "twin-2"])
    parser.add_argument("--methods", nargs="+", default=list(CLASSES), choices=list(CLASSES))
    parser.add_argument("--seeds", type=int, default=10)
    given = parser.parse_args()
    print("| sea | method | scales from | RMSE (K), scales alone | climatology too | processor time (s) |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in given.seas:
        sea = sea_of(name, given.folder)
        cube = sea.open().load()
        for method in given.methods:
            measured(cube, sea, method, YEARS["tasmania" if name == "tasmania" else TWIN], given.seeds)


if __name__ == "__main__":
    main()
