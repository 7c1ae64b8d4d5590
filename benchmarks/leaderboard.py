"""The leaderboard: every method on the same withheld pixels of two benchmark cubes and of three twin seas.

Usage: ``python benchmarks/leaderboard.py FOLDER [--minutes N] [--seas …] [--methods …] [--work leaderboard]
[--document docs/leaderboard.md]``, with the folder of `tasmania_l3.nc` and `alboran_l3.nc`. Every method is fitted
once on each sea with its defaults, and its model is kept in the working folder. Methods that must be trained take
part with ``--minutes`` (of each training), or where their model lies in ``WORK/SEA/METHOD`` already. What is there is
not done again, so a run that was stopped continues where it was; remove the folder to measure again. The tables are
printed and written into the document between its markers.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import sereno
from sereno.config import RunConfig, configure, configure_at_once
from sereno.errors import InputError
from sereno.gaps.hiding import hide
from sereno.methods import METHODS
from sereno.synthetic import TwinSeaConfig, twin_sea
from sereno.workflow.fit import fit
from sereno.workflow.models import Model

YARDSTICK = "oi"
"""The method that the others' errors are divided by."""
PACKAGED = "unet-packaged"
"""The network with the weights of the package, not trained any further."""
ALL = (*METHODS, PACKAGED)
SEEDS = (1, 2, 3)
TWIN = "twin-"
BEGIN, END = "<!-- leaderboard: begin -->", "<!-- leaderboard: end -->"
FILLED_DAYS = 30
"""The filling of this many days, the last of the cube, is timed."""
COLUMNS = (
    "method",
    "RMSE (K)",
    f"ratio to {YARDSTICK}",
    "bias (K)",
    "CRPS (K)",
    "within 1σ",
    "within 2σ",
    "std of z",
    "effective resolution (km)",
    "fit (s)",
    "fill (s a day)",
)
FURTHER = ("method", "std of z, least", "greatest", "near real time (K)", "ratio to delayed")
STRATA, FEWEST_PIXELS = ("days_to_nearest_observation", "cloud_cover"), 1000
"""Strata among which the std of z is compared, those of at least this many pixels."""


@dataclass(frozen=True)
class Sea:
    """A cube and its split: the whole record without the withheld pixels is fitted on where there is no `train`."""

    title: str
    open: Callable[[], xr.Dataset]
    train: str | None = None
    valid: str | None = None
    scored: str | None = None

    def config(self, method: str, minutes: float | None) -> RunConfig:
        """Return a method's configuration: its defaults on this sea's periods."""
        settings = {"train": self.train, "valid": self.valid, "max_minutes": minutes}
        given = {name: value for name, value in settings.items() if value is not None}
        return configure_at_once("unet", **given) if method == PACKAGED else configure(method, **given)


def seas(bench: Path) -> dict[str, Sea]:
    """Return the seas by name; of a twin sea two and a half years are fitted on and the last 100 days scored."""
    twins = {
        f"{TWIN}{seed}": Sea(
            f"The twin sea, seed {seed}",
            partial(twin_sea, TwinSeaConfig(days=1100, shape=(96, 96), seed=seed)),
            train=":2021-08-26",
            scored="2021-09-27:",
        )
        for seed in SEEDS
    }
    tasmania, alboran = (bench / f"{name}_l3.nc" for name in ("tasmania", "alboran"))
    return {
        "tasmania": Sea(
            tasmania.name,
            partial(sereno.open_cube, tasmania),
            train=":2009-12-31",
            valid="2010-02-01:2012-12-31",
            scored="2013-01-01:",
        ),
        "alboran": Sea(alboran.name, partial(sereno.open_cube, alboran)),
        **twins,
    }


def _is_network(method: str) -> bool:
    return method in METHODS and METHODS[method].is_network


def takes_part(method: str, folder: Path, minutes: float | None) -> bool:
    """Return whether a method can be had: it is cheap, or has time to be trained, or its model is there."""
    return not _is_network(method) or minutes is not None or (folder / method / "model.json").exists()


def fitted(sea: Sea, cube: xr.Dataset, method: str, folder: Path, minutes: float | None) -> Model:
    """Fit a method, or take up its model where it was saved."""
    if (folder / method / "model.json").exists():
        model = sereno.load(folder / method)
        assert isinstance(model, Model)
        return model
    seen = cube if sea.train or "sst_withheld" not in cube else hide(cube, cube["sst_withheld"].notnull())
    trained = _is_network(method)
    training = {"folder": folder / f"{method}.training", "resume": True} if trained else {}
    started = time.perf_counter()
    model = fit(seen, sea.config(method, minutes if trained else None), **training)
    seconds = time.perf_counter() - started
    (folder / f"{method}.json").write_text(json.dumps({"fit_seconds": seconds}))
    sereno.save(model, folder / method)
    return model


def measured(sea: Sea, folder: Path, methods: list[str], minutes: float | None) -> dict[str, Any]:
    """Return the scores and times of the methods on a sea, from the working folder where they are all there."""
    path, methods = folder / "scores.json", [name for name in methods if takes_part(name, folder, minutes)]
    if path.exists() and set((record := json.loads(path.read_text()))["asked"]) == set(methods):
        return dict(record)
    folder.mkdir(parents=True, exist_ok=True)
    cube = sea.open().load()
    models: dict[str, Model] = {}
    refused: dict[str, str] = {}
    for method in methods:
        print(f"{folder.name}: {method}", flush=True)
        try:
            models[method] = fitted(sea, cube, method, folder, minutes)
        except InputError as error:
            refused[method] = str(error)
    against = {"relative_to": YARDSTICK} if YARDSTICK in models else {}
    result = sereno.evaluate(cube, models, days=sea.scored, **against)
    late = sereno.evaluate(cube, models, days=sea.scored, nrt=True)
    # A path of its own for the times of a fit: a model that was laid there by hand has none.
    times = {name: folder / f"{name}.json" for name in models}
    record = {
        "asked": methods,
        "scores": result.scores,
        "near_real_time": {name: row["rmse"] for name, row in against_truth(late.scores)["methods"].items()},
        "refused": refused,
        "fit_seconds": {n: json.loads(p.read_text())["fit_seconds"] for n, p in times.items() if p.exists()},
        "fill_seconds": {name: fill_seconds(cube, model) for name, model in models.items()},
    }
    path.write_text(json.dumps(record))
    return record


def fill_seconds(cube: xr.Dataset, model: Model) -> float:
    """Return the seconds a day that filling takes."""
    days = cube["time"].values[-FILLED_DAYS:]
    started = time.perf_counter()
    sereno.fill(cube, model, days=f"{days[0]!s:.10}:{days[-1]!s:.10}").compute()
    return (time.perf_counter() - started) / len(days)


def against_truth(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was scored against the truth, where it is known, else against the withheld observations."""
    return dict(scores.get("truth", scores))


def z_in_strata(scores: Mapping[str, Any], method: str) -> list[float]:
    """Return the stds of z in the strata of lag and of cover that are large enough."""
    strata = against_truth(scores)["strata"]
    z_rows = [stratum[method] for name in STRATA for stratum in strata.get(name, {}).values() if method in stratum]
    return [row["z_std"] for row in z_rows if row["n_pixels"] >= FEWEST_PIXELS and row["z_std"] is not None]


def rows(record: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the scores of the methods, best first: against the truth where it is known, with their times."""
    methods = against_truth(record["scores"])["methods"]
    timed = {
        name: row
        | {key: record[key].get(name) for key in ("fit_seconds", "fill_seconds", "near_real_time")}
        | {"z_strata": z_in_strata(record["scores"], name)}
        for name, row in methods.items()
    }
    if YARDSTICK not in methods:  # then the ratios are to something else
        timed = {name: row | {"ratio": None} for name, row in timed.items()}
    return dict(sorted(timed.items(), key=lambda item: float(item[1]["rmse"])))


def number(value: float | None, digits: int) -> str:
    """Write a number with this many digits after the point; a dash for one that there is not."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}".replace("-", "−")


def ranged(value: float | None, interval: list[float] | None) -> str:
    """Write a number with its interval in brackets, where it has one."""
    bounds = "" if interval is None else f" [{number(interval[0], 3)}, {number(interval[1], 3)}]"
    return number(value, 3) + bounds


def cells(name: str, row: Mapping[str, Any]) -> list[str]:
    """Return one line of the table."""
    ratio = row.get("ratio") or {}
    return [
        name,
        ranged(row["rmse"], row.get("rmse_interval")),
        ranged(ratio.get("rmse"), ratio.get("rmse_interval")),
        number(row["bias"], 3),
        number(row["crps"], 3),
        number(row["coverage_1sigma"], 3),
        number(row["coverage_2sigma"], 3),
        number(row["z_std"], 3),
        number(row.get("effective_resolution"), 0),
        number(row["fit_seconds"], 1),
        number(row["fill_seconds"], 3),
    ]


def further_cells(name: str, row: Mapping[str, Any]) -> list[str]:
    """Return one line of the table of strata and of near real time."""
    stds, late = row["z_strata"], row["near_real_time"]
    bounds = (min(stds), max(stds)) if stds else (None, None)
    ratio = None if late is None else late / row["rmse"]
    return [name, *(number(bound, 2) for bound in bounds), number(late, 3), number(ratio, 3)]


def markdown(lines: list[list[str]], columns: Sequence[str] = COLUMNS) -> list[str]:
    """Return a table as lines of Markdown."""
    table = [list(columns), ["---"] * len(columns), *lines]
    return [f"| {' | '.join(line)} |" for line in table]


def tables(by_method: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the two tables of a sea, or of the mean over seas."""
    return [
        *markdown([cells(name, row) for name, row in by_method.items()]),
        "",
        *markdown([further_cells(name, row) for name, row in by_method.items()], FURTHER),
        "",
    ]


def section(title: str, record: Mapping[str, Any]) -> list[str]:
    """Return a sea's heading, what was scored, its table, and what a method said that would not be fitted."""
    scores = record["scores"]
    against = "the truth" if "truth" in scores else "the withheld observations"
    summary = (
        f"{scores['n_pixels']:,} withheld pixels on {scores['n_days']} days of {scores['days']}, against {against}."
    )
    refused = [f"- `{name}` could not be fitted: {said.splitlines()[0]}" for name, said in record["refused"].items()]
    return [f"## {title}", "", summary, "", *tables(rows(record)), *refused, *([""] if refused else [])]


def over_seeds(records: list[Mapping[str, Any]]) -> list[str]:
    """Return the means over twin seas of what all of them have, with the least and the greatest in brackets."""
    tables_of = [rows(record) for record in records]
    shared = [name for name in tables_of[0] if all(name in one for one in tables_of)]
    lines = {name: mean_row([one[name] for one in tables_of]) for name in shared}
    ranked = sorted(lines, key=lambda name: lines[name]["rmse"])
    heading = f"The mean of {len(records)} seeds; in brackets the least and the greatest of them."
    return ["## The twin sea", "", heading, "", *tables({name: lines[name] for name in ranked})]


def mean_row(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean of the rows of a method, the intervals of RMSE and ratio being the range over them."""

    def known(values: list[Any]) -> list[float]:
        return [] if any(value is None for value in values) else [float(value) for value in values]

    means: dict[str, Any] = {}
    for key in ("rmse", "bias", "crps", "coverage_1sigma", "coverage_2sigma", "z_std", "effective_resolution"):
        values = known([row.get(key) for row in records])
        means[key] = float(np.mean(values)) if values else None
    means["z_strata"] = [std for row in records for std in row["z_strata"]]
    for key in ("fit_seconds", "fill_seconds", "near_real_time"):
        values = known([row[key] for row in records])
        means[key] = float(np.mean(values)) if values else None
    errors = [row["rmse"] for row in records]
    means["rmse_interval"] = [min(errors), max(errors)]
    ratios = known([(row.get("ratio") or {}).get("rmse") for row in records])
    if ratios:
        means["ratio"] = {"rmse": float(np.mean(ratios)), "rmse_interval": [min(ratios), max(ratios)]}
    return means


def write(document: Path, lines: list[str], *, markers: tuple[str, str] = (BEGIN, END)) -> None:
    """Put the tables between the document's markers."""
    head, begin, rest = document.read_text().partition(markers[0])
    _, end, tail = rest.partition(markers[1])
    if not (begin and end):
        raise SystemExit(f"{document}: has no lines {markers[0]} and {markers[1]} to write between")
    document.write_text("\n".join([head + begin, "", *lines, end]) + tail)


def main() -> None:
    """Fit, score, print, and write."""
    sereno.tune_memory()  # as the command line does
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, help="train the networks for this many minutes each")
    parser.add_argument("--seas", nargs="+", choices=list(seas(Path())), default=list(seas(Path())))
    parser.add_argument("--methods", nargs="+", choices=ALL, default=ALL)
    parser.add_argument("--work", type=Path, default=Path("leaderboard"))
    parser.add_argument("--document", type=Path, help="write the tables into this file too")
    options = parser.parse_args()
    known = seas(options.folder)
    records = {
        name: measured(known[name], options.work / name, options.methods, options.minutes) for name in options.seas
    }
    twins = [record for name, record in records.items() if name.startswith(TWIN)]
    lines = [
        line for name, record in records.items() if record not in twins for line in section(known[name].title, record)
    ]
    if len(twins) > 1:
        lines += over_seeds(twins)
    for name, record in records.items():
        if name.startswith(TWIN):
            lines += section(known[name].title, record)
    print("\n".join(lines))
    if options.document:
        write(options.document, lines)


if __name__ == "__main__":
    main()
