"""A year of the whole Mediterranean at 1/24° filled from the command line: wall time, processor time, peak memory.

Usage: ``python benchmarks/year.py [METHOD…] [--days 365] [--by 1 2 1/4] [--cores N] [--work year] [--docs docs]``.
The sea is that of `basin.py`, in a Zarr store; each method is fitted on its first 91 days, a network used as it is,
and then ``sereno fill`` runs in a process of its own, with N workers or as one shard of N (1/4), on this
many cores. Days in the midst of the year are filled where fewer are asked for. What `climatology` takes is a bound
for reading and writing. Peak memory is that of the largest process, interpreter and libraries included; each worker
has as much. What was measured is kept in the working folder and not done again. The table goes into ``scaling.md``
of the folder `--docs`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xarray as xr
from dask.system import CPU_COUNT

import sereno
from basin import mediterranean
from leaderboard import write
from scaling import finished, table
from sereno.config import configure_at_once
from sereno.methods import METHODS
from sereno.workflow.models import Model, save

YEAR, FITTED = 365, 91
MARKERS = ("<!-- year: begin -->", "<!-- year: end -->")
HEAD = (
    "method",
    "days",
    "workers, or shard",
    "cores",
    "wall time (s a day)",
    "processor time (s a day)",
    "peak of a process (MiB)",
    "output (MiB a day)",
)


def main() -> None:
    """Measure, and print the table."""
    sereno.tune_memory()  # as the command line does
    able = [name for name, row in METHODS.items() if not row.needs_training]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", default=able, metavar="METHOD", help=", ".join(able))
    parser.add_argument("--days", type=int, default=YEAR, help="days that are filled, in the middle of the year")
    parser.add_argument("--by", nargs="+", default=["1", "2", "1/4"], help="workers, or the shard that is filled")
    parser.add_argument("--cores", type=int, default=CPU_COUNT, help="cores that are used; all of them if not given")
    parser.add_argument("--work", type=Path, default=Path("year"))
    parser.add_argument("--docs", type=Path)
    asked = parser.parse_args()
    asked.work.mkdir(exist_ok=True)
    cube = sea_in(asked.work)
    for method in asked.methods:
        for by in asked.by:
            print(measured(asked.work, cube, method, asked.days, by, asked.cores), flush=True)
    kept = [json.loads(path.read_text()) for path in asked.work.glob("*.json")]
    kept.sort(key=lambda one: (able.index(one["method"]), one["days"], one["cores"], one["by"]))
    lines = table(HEAD, [row(one) for one in kept])
    print("\n".join(lines))
    if asked.docs:
        write(asked.docs / "scaling.md", lines, markers=MARKERS)


def sea_in(work: Path) -> Path:
    """Return the place of the sea, made there unless it is there already."""
    cube = work / "cube.zarr"
    if not cube.exists():
        made = mediterranean(YEAR)
        made["water"] = made["water"].astype("int8")
        made.chunk(time=1).to_zarr(work / "part.zarr", mode="w", zarr_format=2)
        (work / "part.zarr").rename(cube)
    return cube


def midst(sea: xr.Dataset, days: int) -> str:
    """Return the period of this many days in the middle of a cube."""
    first = (sea.sizes["time"] - days) // 2
    return ":".join(str(sea["time"].values[day])[:10] for day in (first, first + days - 1))


def measured(work: Path, cube: Path, method: str, days: int, by: str, cores: int) -> dict[str, Any]:
    """Fill this many days, or a shard of them, unless that was done before; return what it took."""
    kept = work / f"{method}-{days}-{by.replace('/', '-of-')}-{cores}.json"
    if not kept.exists():
        model, output = fitted(work, cube, method), work / f"{method}.zarr"
        shutil.rmtree(output, ignore_errors=True)
        period = midst(sereno.open_cube(cube), days)
        options = ["-m", str(model), "-o", str(output), "--days", period, "--shard" if "/" in by else "--workers", by]
        with on_cores(cores):
            started = time.perf_counter()
            _, usage = finished([sys.executable, "-m", "sereno.cli", "fill", str(cube), *options])
        one = {"method": method, "days": days, "by": by, "cores": cores, "seconds": time.perf_counter() - started}
        one |= {"processor": usage.ru_utime + usage.ru_stime, "peak": 1024 * usage.ru_maxrss}
        one["bytes"] = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
        kept.write_text(json.dumps(one))
    return dict(json.loads(kept.read_text()))


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """Limit the processes that are started here to this many cores."""
    able = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(able)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, able)


def fitted(work: Path, cube: Path, method: str) -> Path:
    """Return the place of a method's model, fitted there unless it is there already."""
    path = work / method
    if not path.exists():
        model = sereno.fit(sereno.open_cube(cube).isel(time=slice(FITTED)), configure_at_once(method))
        assert isinstance(model, Model)
        save(model, path)
    return path


def row(one: dict[str, Any]) -> list[str]:
    """Return a line of the table."""
    days = one["days"] / int(one["by"].partition("/")[2] or 1)
    seconds, busy, size = one["seconds"] / days, one["processor"] / days, one["bytes"] / days / 2**20
    peak = f"{one['peak'] / 2**20:.0f}"
    return [
        f"`{one['method']}`",
        f"{days:.0f}",
        one["by"],
        str(one["cores"]),
        f"{seconds:.2f}",
        f"{busy:.2f}",
        peak,
        f"{size:.2f}",
    ]


if __name__ == "__main__":
    main()
