"""Accuracy on the fixed benchmark cubes: every method on the same withheld pixels, against observations and truth.

Usage: ``python benchmarks/accuracy.py FOLDER [--minutes N] [--output FILE.md]``, with the folder of `tasmania_l3.nc`
and `alboran_l3.nc`. With ``--minutes`` the network is trained for so long on top. Fits see the years up to 2009, the
network is selected on 2010 to 2012, scores are of 2013 to 2016; nothing is fitted on a withheld pixel or the truth.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import sereno
from sereno.config import RunConfig, parse_config
from sereno.evaluation.evaluate import Evaluation

TRAIN, VALID, SCORED = ":2009-12-31", "2010-02-01:2012-12-31", "2013-01-01:2016-12-31"


def configurations(minutes: float | None) -> dict[str, RunConfig]:
    """Return the runs by the name each has in the table."""
    bare = {"recent_days": 0, "trend": False}
    runs = {
        "climatology, no trend, no basin-mean anomaly": {"model": {"method": "climatology"}, "climatology": bare},
        "climatology, no basin-mean anomaly": {"model": {"method": "climatology"}, "climatology": {"recent_days": 0}},
        "climatology": {"model": {"method": "climatology"}},
        "interpolation": {"model": {"method": "interpolation"}},
    }
    if minutes:
        runs[f"convlstm, {minutes:g} minutes"] = {
            "model": {"method": "convlstm"},
            "max_minutes": minutes,
            "valid": VALID,
        }
    return {name: parse_config({"train": TRAIN, **run}) for name, run in runs.items()}


def tasmania(path: Path, minutes: float | None) -> list[str]:
    """Score on the long cube, and time the filling of all of its days."""
    cube = sereno.open_cube(path)
    models, fitting = {}, {}
    for name, run in configurations(minutes).items():
        started = time.perf_counter()
        models[name] = sereno.fit(cube, run)
        fitting[name] = time.perf_counter() - started
    result = sereno.evaluate(cube, models, days=SCORED)
    lines = ["", f"## {path.name}: {result.scores['n_pixels']} withheld pixels on {result.scores['n_days']} days", ""]
    lines += table(result)
    lines += ["", "| | fit, s |", "| --- | --- |", *(f"| {name} | {fitting[name]:.1f} |" for name in models)]
    started = time.perf_counter()
    sereno.fill(cube, models["interpolation"]).compute()
    days = cube.sizes["time"]
    lines += ["", f"`interpolation` fills all {days} days in {time.perf_counter() - started:.1f} s."]
    return lines


def alboran(path: Path) -> list[str]:
    """Score on the short, real cube; the quick methods are fitted on it without its withheld pixels."""
    result = sereno.evaluate(sereno.open_cube(path), {name: name for name in ("climatology", "interpolation")})
    return ["", f"## {path.name}: {result.scores['n_pixels']} withheld pixels", "", *table(result)]


def table(result: Evaluation) -> list[str]:
    """Return the scores as lines of Markdown."""
    columns = ("rmse", "bias", "std", "mae", "crps", "coverage_1sigma", "coverage_2sigma", "z_std")
    targets = {"withheld observations": result.scores["methods"]}
    if "truth" in result.scores:
        targets["truth"] = result.scores["truth"]["methods"]
    lines = [f"| method | against | {' | '.join(columns)} |", "| --- " * (len(columns) + 2) + "|"]
    for against, methods in targets.items():
        for name, scored in methods.items():
            lines.append(f"| {name} | {against} | " + " | ".join(f"{scored[c]:.3f}" for c in columns) + " |")
    return lines


def main() -> None:
    """Print the tables, and write them where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, help="train the network for this many minutes")
    parser.add_argument("--output", type=Path, help="write the tables to this Markdown file too")
    arguments = parser.parse_args()
    lines = tasmania(arguments.folder / "tasmania_l3.nc", arguments.minutes)
    lines += alboran(arguments.folder / "alboran_l3.nc")
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.output:
        arguments.output.write_text(text)


if __name__ == "__main__":
    main()
