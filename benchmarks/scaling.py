"""Time and memory of every stage against days, pixels and workers, and how far that reaches.

Usage: ``python benchmarks/scaling.py [--work scaling] [--docs docs]`` (``make bench-scaling``). Each stage runs in a
process of its own (`stages.py`); its peak memory is that of its largest process, interpreter and libraries included.
What was measured is kept in the working folder and not done again; remove it to measure again. Tables go into
``scaling.md`` and ``how-large.md`` between their markers, the figure into ``figures/scaling.png``. Seconds are those
of the processor, so that other work on the machine hardly counts.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import NullFormatter

from leaderboard import write
from sereno.grids.coast import land_mask
from sereno.methods import METHODS
from sereno.report.styles import look
from stages import STEPS, WINDOWS

Numbers = dict[str, Any]

FILLED = [name for name, row in METHODS.items() if not row.needs_training]
SHAPES = ((96, 128), (192, 256), (288, 384))
DAYS = 4
"""Days that are filled on each shape."""
SHOWN = ("linear", "interpolation", "oi", "oi-grid", "unet")
"""Methods of the page on large seas."""
MARKERS = ("<!-- scaling: begin -->", "<!-- scaling: end -->")
HERE = Path(__file__).parent


def finished(command: Sequence[str]) -> tuple[str, resource.struct_rusage]:
    """Run a process; return what it printed, and what it and those that it started used (memory: the largest's)."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"failed with {process.returncode}: {' '.join(command)}")
    return output, usage


@dataclass(frozen=True)
class Run:
    """A stage and what it is run with."""

    stage: str
    method: str = "climatology"
    shape: tuple[int, int] = (48, 64)
    days: int = DAYS
    workers: int = 1

    def measured(self, folder: Path) -> Numbers:
        """Run the stage, unless that was done before; return its numbers, with the peak memory in bytes."""
        name = f"{self.stage}-{self.method}-{self.shape[0]}x{self.shape[1]}-{self.days}-{self.workers}"
        kept = folder / f"{name}.json"
        if not kept.exists():
            rows, columns = map(str, self.shape)
            options = ["--method", self.method, "--shape", rows, columns]
            options += ["--days", str(self.days), "--workers", str(self.workers)]
            printed, usage = finished([sys.executable, str(HERE / "stages.py"), self.stage, str(folder), *options])
            kept.write_text(json.dumps(json.loads(printed) | {"peak": 1024 * usage.ru_maxrss}))
            print(name, kept.read_text(), flush=True)
        numbers: Numbers = json.loads(kept.read_text())
        return numbers


FITS = {method: Run("fit", method) for method in FILLED}
FILLS = {method: [Run("fill", method, shape) for shape in SHAPES] for method in FILLED}
STAGES = [
    *(Run("prepare", shape=shape, days=8) for shape in SHAPES),
    *(Run("prepare", shape=SHAPES[0], days=days) for days in (24, 72)),
    Run("prepare", shape=SHAPES[0], days=72, workers=2),
    *(Run("fill", "interpolation", SHAPES[0], days) for days in (16, 48)),
    Run("fill", "interpolation", SHAPES[0], 48, workers=2),
    *(Run("write", shape=shape, days=8) for shape in SHAPES),
    *(Run("write", shape=SHAPES[0], days=days) for days in (24, 72)),
]
RECORDS = [Run("record", "linear", days=years * 365) for years in (1, 5, 20, 40)]
TRAINING = [Run("windows", shape=SHAPES[1]), Run("step", "unet"), Run("step", "convlstm")]
SEAS = (
    ("Mediterranean, 1/24°, a year", 378 * 1305, 264_261, 365),
    ("Mediterranean, 1/120°, ten years", 25 * 378 * 1305, 25 * 264_261, 3652),
    ("globe, 0.25°, forty years", 720 * 1440, None, 14_610),
    ("globe, 0.05°, forty years", 3600 * 7200, None, 14_610),
    ("globe, 0.01°, a day", 18_000 * 36_000, None, 1),
    ("globe, 0.01°, forty years", 18_000 * 36_000, None, 14_610),
)
"""Name, cells, cells of sea (those of the globe where None), days. The Mediterranean is that of `basin.py`."""
GIB = 2**30
ONE_PROCESS, ONE_MACHINE = 12.0, 200.0
"""Processor hours up to which one process will do, and one machine."""
MEMORY = 32
"""GiB that a process may have before maps must be cut into tiles."""


class Line(NamedTuple):
    """A straight line through measurements."""

    start: float
    slope: float

    @classmethod
    def through(cls, x: Iterable[float], y: Iterable[float]) -> Line:
        """Fit it by least squares; neither part is less than nothing."""
        slope, start = np.polyfit(list(x), list(y), 1)
        return cls(max(float(start), 0.0), max(float(slope), 0.0))

    def at(self, x: float) -> float:
        """Return its value."""
        return self.start + self.slope * x


class Cost(NamedTuple):
    """What a method's filling takes: seconds by pixels of sea and days, peak memory and bytes of output by cells."""

    seconds: Line
    memory: Line
    output: Line


def everything() -> list[Run]:
    """Return all runs, each after those that it builds on."""
    seas = [*(Run("sea", shape=shape) for shape in SHAPES), *(Run("days", days=run.days) for run in RECORDS)]
    by_method = [run for method in FILLED for run in (FITS[method], *FILLS[method])]
    return [*seas, *by_method, *TRAINING, *STAGES, *RECORDS]


def costs(results: Mapping[Run, Numbers]) -> dict[str, Cost]:
    """Return the cost of each method, from its filling of the three seas."""
    found = {}
    for method, several in FILLS.items():
        each = [results[run] for run in several]
        work, cells = [DAYS * one["sea"] for one in each], [one["cells"] for one in each]
        found[method] = Cost(
            Line.through(work, [one["seconds"] for one in each]),
            Line.through(cells, [one["peak"] for one in each]),
            Line.through([DAYS * n for n in cells], [one["bytes"] for one in each]),
        )
    return found


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table in Markdown."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def measured_tables(results: Mapping[Run, Numbers]) -> list[str]:
    """Return the tables of what was measured."""
    head = ["method", "fit (s)", "fill, s per million sea pixels", "fill, start (s)", "bytes a cell", "peak (MiB)"]
    rows = []
    for method, cost in costs(results).items():
        fit, largest = results[FITS[method]]["seconds"], results[FILLS[method][-1]]["peak"]
        seconds = [f"{fit:.0f}", f"{1e6 * cost.seconds.slope:.1f}", f"{cost.seconds.start:.1f}"]
        rows.append([f"`{method}`", *seconds, f"{cost.memory.slope:.0f}", f"{largest / 2**20:.0f}"])
    lines = ["![Time and memory of the stages](figures/scaling.png)", "", *table(head, rows), ""]
    head = ["stage", "days", "cells", "workers", "seconds", "peak (MiB)", "written (MiB)"]
    rows = []
    for run in (*STAGES, *RECORDS):
        one = results[run]
        name = run.stage if run.method == "climatology" else f"{run.stage}, `{run.method}`"
        numbers = [f"{one['seconds']:.2f}", f"{one['peak'] / 2**20:.0f}", f"{one['bytes'] / 2**20:.2f}"]
        rows.append([name, str(run.days), str(one["cells"]), str(run.workers), *numbers])
    lines += [*table(head, rows), ""]
    windows, unet, convlstm = (results[run] for run in TRAINING)
    rows = [
        [
            "a thousand training windows",
            f"{1000 / WINDOWS * windows['seconds']:.2f}",
            f"{windows['peak'] / 2**20:.0f}",
        ],
        ["a step of `unet`, 16 windows", f"{unet['seconds'] / STEPS:.2f}", f"{unet['peak'] / 2**20:.0f}"],
        ["a step of `convlstm`, 4 windows", f"{convlstm['seconds'] / STEPS:.2f}", f"{convlstm['peak'] / 2**20:.0f}"],
    ]
    return [*lines, *table(["training, tiles of 64 × 64", "seconds", "peak (MiB)"], rows)]


def reach_table(results: Mapping[Run, Numbers]) -> list[str]:
    """Return what larger seas would take, by the lines through what was measured."""
    found, largest = costs(results), results[FILLS["unet"][-1]]
    head = ["sea", "cells", "sea pixels, all days", *(f"`{name}` (h)" for name in SHOWN)]
    rows = []
    share = sea_share()
    seas = [("measured: the largest sea here", largest["cells"], largest["sea"], DAYS), *SEAS]
    for name, cells, of_sea, days in seas:
        sea = round(cells * share) if of_sea is None else of_sea
        hours = {method: found[method].seconds.at(sea * days) / 3600 for method in SHOWN}
        if name.startswith("measured"):
            hours = {method: results[FILLS[method][-1]]["seconds"] / 3600 for method in SHOWN}
        memory = found["unet"].memory.at(cells) / GIB
        output = found["unet"].output.at(cells * days) / GIB
        columns = [_number(memory), _number(output), _engine(hours["unet"], memory)]
        work = [f"{cells:,}", _number(sea * days), *(_number(value) for value in hours.values()), *columns]
        rows.append([name, *work])
    return table([*head, "memory, `unet` (GiB)", "output (GiB)", "what it needs, `unet`"], rows)


def sea_share() -> float:
    """Return the share of the cells of a global grid that are sea."""
    lat, lon = -89.5 + np.arange(180), -179.5 + np.arange(360)
    return float(1 - land_mask(lat, lon).mean())


def _number(value: float) -> str:
    """Return a number to two digits."""
    if value >= 1e6:
        return f"{value:.1e}"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _engine(hours: float, memory: float) -> str:
    """Return what a filling needs."""
    place = (
        "one process" if hours <= ONE_PROCESS else "`--workers`" if hours <= ONE_MACHINE else "`--shard`, a cluster"
    )
    return place if memory <= MEMORY else f"{place}; maps in tiles"


def figure(results: Mapping[Run, Numbers], path: Path) -> None:
    """Draw seconds and memory of each method against the size of the sea, and of the stages against days."""
    drawn, (*axes, by_days) = plt.subplots(1, 4, figsize=(16.5, 4.2), layout="constrained")
    for order, (method, several) in enumerate(FILLS.items()):
        each = [results[run] for run in several]
        style = {**look(order), "label": method, "markersize": 5}
        axes[0].plot([DAYS * one["sea"] for one in each], [one["seconds"] for one in each], **style)
        axes[1].plot([one["cells"] / 1000 for one in each], [one["peak"] / 2**20 for one in each], **style)
    for order, stage in enumerate(("prepare", "fill", "write")):
        chosen = [
            run for run in (*STAGES, FILLS["interpolation"][0]) if run.stage == stage and run.shape == SHAPES[0]
        ]
        for workers, line in ((1, "-"), (2, "none")):
            part = sorted((run.days, results[run]["seconds"]) for run in chosen if run.workers == workers)
            label = f"{stage}, {workers} worker{'s' if workers > 1 else ''}"
            if part:
                filling = {} if workers == 1 else {"markerfacecolor": "none", "markersize": 10}
                axes[2].plot(*zip(*part, strict=True), linestyle=line, label=label, **look(order), **filling)
    lengths = [run.days / 365 for run in RECORDS]
    by_days.plot(lengths, [results[run]["peak"] / 2**20 for run in RECORDS], **look(0), label="linear")
    by_days.set(xlabel="years that are filled", ylabel="peak memory (MiB)", ylim=0, xscale="log", xticks=lengths)
    by_days.xaxis.set_major_formatter("{x:.0f}")
    by_days.xaxis.set_minor_formatter(NullFormatter())
    axes[0].set(xlabel="pixels of sea that are filled", ylabel="processor seconds", xscale="log", yscale="log")
    axes[0].xaxis.set_minor_formatter(NullFormatter())
    axes[1].set(xlabel="thousand cells of a map", ylabel="peak memory (MiB)", ylim=0)
    axes[2].set(xlabel=f"days of {SHAPES[0][0]} × {SHAPES[0][1]} cells", ylabel="processor seconds", ylim=0)
    titles = ("Filling: time", f"Filling {DAYS} days: memory", "Stages: time by days and workers")
    for each, title in zip((*axes, by_days), (*titles, "Whole records: memory"), strict=True):
        each.set_title(title, loc="left", fontsize=10)
        each.grid(alpha=0.3)
    axes[0].legend(fontsize=8, frameon=False)
    axes[2].legend(fontsize=8, frameon=False)
    drawn.savefig(path, dpi=110)


def main() -> None:
    """Measure, and write the documents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("scaling"))
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    arguments = parser.parse_args()
    arguments.work.mkdir(exist_ok=True)
    results = {run: run.measured(arguments.work) for run in everything()}
    write(arguments.docs / "scaling.md", measured_tables(results), markers=MARKERS)
    write(arguments.docs / "how-large.md", reach_table(results), markers=MARKERS)
    figure(results, arguments.docs / "figures" / "scaling.png")


if __name__ == "__main__":
    main()
