"""The memory that filling one day of a large map needs, from files to a store.

Usage: ``python benchmarks/memory.py METHOD... --folder DIR [--shape LAT LON]``. The sea is a patch of a twin sea laid
next to its mirror images until the map is full, kept in DIR; each method is fitted on the patch, its climatology is
laid out in the same way, and one day in the middle of the record is filled in a process of its own, whose peak
memory and time are printed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from pathlib import Path

import numpy as np
import xarray as xr

import sereno
from basin import laid_out
from sereno.config import configure_at_once
from sereno.cube import make_cube
from sereno.synthetic import TwinSeaConfig, twin_sea
from sereno.workflow.fill_to import fill_to
from stages import laid_out_model

PATCH, DAYS, SPACING, CORNER = (48, 64), 91, 1 / 112, (30.0, -18.0)


def make_sea(folder: Path, shape: tuple[int, int]) -> None:
    """Write the large cube, a day at a time, unless it is there."""
    if (folder / "large.zarr").exists():
        return
    cube = patch()
    lat, lon = (first + SPACING * np.arange(n) for first, n in zip(CORNER, shape, strict=True))
    for day in range(DAYS):
        field = laid_out(cube["sst"].values[day : day + 1], shape)
        water = laid_out(cube["water"].values, shape)
        large = make_cube(field, time=cube["time"].values[day : day + 1], lat=lat, lon=lon, water=water)
        large["water"] = large["water"].astype("int8")
        large = large.chunk(lat=1024, lon=1024)
        where = {"append_dim": "time"} if day else {"mode": "w"}
        large.drop_vars("water" if day else []).to_zarr(folder / "large.part.zarr", zarr_format=2, **where)
    (folder / "large.part.zarr").rename(folder / "large.zarr")


def patch() -> xr.Dataset:
    """Return the small sea, as if its cells were as small as those of the large one."""
    sea = twin_sea(TwinSeaConfig(days=DAYS, shape=PATCH))[["sst", "water"]]
    axes = {dim: 36 + SPACING * np.arange(size) for dim, size in zip(("lat", "lon"), PATCH, strict=True)}
    return sea.assign_coords({dim: (dim, values, sea[dim].attrs) for dim, values in axes.items()})


def measure(method: str, folder: Path) -> None:
    """Fill a day and print what it took."""
    model = sereno.fit(patch(), configure_at_once(method))
    cube = sereno.open_cube(folder / "large.zarr")
    model = laid_out_model(model, cube)
    before, started = peak(), time.perf_counter()
    day = str(cube["time"].values[DAYS // 2])[:10]
    fill_to(cube, model, folder / f"{method}.zarr", days=day)
    print(f"{method}: {peak():.1f} GiB (before the filling {before:.1f}), {time.perf_counter() - started:.0f} s")


def peak() -> float:
    """Return the most memory that the process has had, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Measure the methods that are named."""
    sereno.tune_memory()  # as the command line does
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="+")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--shape", type=int, nargs=2, default=(1890, 6525))
    arguments = parser.parse_args()
    arguments.folder.mkdir(exist_ok=True)
    make_sea(arguments.folder, tuple(arguments.shape))
    for method in arguments.methods:
        process = multiprocessing.get_context("spawn").Process(target=measure, args=(method, arguments.folder))
        process.start()
        process.join()


if __name__ == "__main__":
    main()
