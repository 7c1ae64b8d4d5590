"""Whether the standard deviation holds over all gaps, and not at withheld pixels alone: delayed and near real time.

Usage: ``python benchmarks/uncertainty.py FOLDER [--seas …] [--methods …] [--work uncertainty] [--recalibrate]``,
with the folder of `tasmania_l3.nc`. Each method is fitted once on each sea as `leaderboard.py` has it, with its
defaults; its model is kept in the working folder; with ``--recalibrate`` only the calibration is learned again, on
the same days. Scored days are filled, the same in both modes, and z = error/std is taken at every cell of water that
was not observed, against the truth.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import sereno
from leaderboard import PACKAGED, Sea, seas
from sereno.climatology import fit_climatology
from sereno.cube import DIMS, field_of, select_period
from sereno.gaps.hiding import visible_part
from sereno.gaps.nearest import days_to_observation
from sereno.workflow.fill import fill_days
from sereno.workflow.fit import fit
from sereno.workflow.models import Model

SEAS = ("tasmania", "twin-1", "twin-2", "twin-3")
METHODS = ("linear", "interpolation", "oi-grid", "oi", PACKAGED)
RUN = 5
"""Days that are filled together: some methods share their work between them."""
HALF = 31
"""Days either side that are looked at for the last observation."""
FEWEST = 2000
"""A bin of at least this many pixels counts."""
BINS = {
    "since": ("days_since_observation", (1.5, 2.5, 3.5, 5.5, 7.5, 15.5, np.inf)),
    "nearest": ("days_to_nearest_observation", (1.5, 2.5, 3.5, 5.5, 7.5, 15.5, np.inf)),
    "cover": ("cloud_cover", (0.5, 0.75, 0.9, 0.97, 1.0)),
}
"""Upper ends of the bins."""


def fitted(sea: Sea, cube: xr.Dataset, method: str, folder: Path, *, recalibrate: bool) -> Model:
    """Fit a method, or take up its model; calibrate it again where asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / method
    if not (path / "model.json").exists():
        model = fit(cube, sea.config(method, None))
        sereno.save(model, path)
        return model
    model = sereno.load(path)
    assert isinstance(model, Model)
    return recalibrated(model, cube) if recalibrate else model


def recalibrated(model: Model, cube: xr.Dataset) -> Model:
    """Return a model with its calibration learned again, as `fit` does it."""
    made, config, seen = model.reconstructor, model.config, visible_part(cube)
    if config.valid is not None:
        return replace(model, reconstructor=made.calibrated(select_period(seen, config.valid), seed=config.seed))
    refit = partial(fit_climatology, config=config.climatology)
    train = select_period(seen, config.train)
    return replace(model, reconstructor=made.calibrated(train, seed=config.seed, refit=refit))


def chosen_days(days: np.ndarray, count: int) -> np.ndarray:
    """Return about this many of the days, in groups of the calendar, spread evenly."""
    group = days.astype("datetime64[D]").astype(int) // RUN
    groups = np.unique(group)
    wanted = groups[np.unique(np.linspace(0, len(groups) - 1, -(-count // RUN)).astype(int))]
    return np.asarray(days[np.isin(group, wanted)])


def standardised(cube: xr.Dataset, model: Model, days: np.ndarray, *, nrt: bool) -> Iterator[dict[str, np.ndarray]]:
    """Yield z of the gaps of a few days at a time with what it is parted by, (n,) each."""
    field, water = field_of(cube).transpose(*DIMS), cube["water"].values
    around = np.arange(-HALF, HALF + 1) * np.timedelta64(1, "D")
    for group in np.array_split(days, -(-len(days) // 40)):
        analysis = fill_days(cube, model, group, nrt=nrt).compute()
        z = (analysis["mean"] - cube["truth"].sel(time=group)).transpose(*DIMS).values
        z = z / analysis["std"].transpose(*DIMS).values
        for place, day in enumerate(group):
            near = field.reindex(time=day + around).values
            near = np.where(water, near, np.nan)
            if nrt:
                near[HALF + 1 :] = np.nan
            gap = water & ~np.isfinite(near[HALF])
            since, nearest = (part[0][gap] for part in days_to_observation(near, np.arange(1)))
            cover = np.full(since.size, gap.sum() / water.sum())
            yield {"z": z[place][gap].astype(float), "since": since, "nearest": nearest, "cover": cover}


def summary(found: list[dict[str, np.ndarray]]) -> dict[str, Any]:
    """Return the std of z (about zero) and the coverage in all, and the std of z by bins with their pixels."""
    whole = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
    z = whole["z"]
    result: dict[str, Any] = {
        "all": spread(z),
        "1": float((np.abs(z) < 1).mean()),
        "2": float((np.abs(z) < 2).mean()),
        "n": z.size,
    }
    for name, (_, ends) in BINS.items():
        place = np.searchsorted(ends, whole[name])
        result[name] = [(spread(z[place == number]), int((place == number).sum())) for number in range(len(ends) + 1)]
    return result


def spread(z: np.ndarray) -> float:
    """Return the root mean square of z."""
    return float(np.sqrt(np.mean(z**2))) if z.size else np.nan


def row(name: str, mode: str, summary_of: dict[str, Any], by: str) -> str:
    """Return a row of a table."""
    cells = [f"{value:.2f}" if n >= FEWEST else "–" for value, n in summary_of[by]]
    return (
        " | ".join(
            [
                f"| {name}",
                mode,
                f"**{summary_of['all']:.3f}**",
                f"{summary_of['1']:.3f}",
                f"{summary_of['2']:.3f}",
                *cells,
            ]
        )
        + " |"
    )


def head(by: str) -> str:
    """Return the head of a table."""
    ends = BINS[by][1]
    labels = [f"≤ {end:g}" if np.isfinite(end) else "more" for end in ends] + (["none"] if by != "cover" else ["all"])
    columns = ["method", "mode", "std of z", "within 1σ", "within 2σ", *(f"{by} {label}" for label in labels)]
    return "| " + " | ".join(columns) + " |\n|" + " --- |" * len(columns)


def main() -> None:
    """Fit, fill, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", type=Path)
    parser.add_argument("--seas", nargs="+", default=SEAS)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--work", type=Path, default=Path("uncertainty"))
    parser.add_argument("--days", type=int, default=250, help="days filled in each mode, about")
    parser.add_argument("--recalibrate", action="store_true", help="calibrate models that are there again")
    options = parser.parse_args()
    for name in options.seas:
        sea = seas(options.bench)[name]
        cube = sea.open().load()
        days = select_period(cube, sea.scored)["time"].values
        summaries = {}
        for method in options.methods:
            model = fitted(sea, cube, method, options.work / name, recalibrate=options.recalibrate)
            for nrt in (False, True):
                mode = "near real time" if nrt else "delayed"
                found = standardised(cube, model, chosen_days(days, options.days), nrt=nrt)
                summaries[method, mode] = summary(list(found))
                print(name, method, mode, summaries[method, mode], flush=True)
        for by in BINS:
            print(f"\n{sea.title}\n\n{head(by)}")
            print(*(row(*key, each, by) for key, each in summaries.items()), sep="\n", flush=True)


if __name__ == "__main__":
    main()
