"""What the guard costs: judging each value before it is written, and comparing the maps with what is on the disk.

Usage: ``python benchmarks/guard.py [--side 380 1016] [--days 20]``. Days of noise on a map of the size of the
Mediterranean at 1/24° are laid out and written, in one thread; printed are milliseconds of the processor a day.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import dask
import numpy as np
import xarray as xr

from scaling import table
from sereno.io.outputs.analysis import write_analysis
from sereno.io.outputs.final_checks import limits_of, require_values, require_whole
from sereno.io.outputs.provenance import Product
from sereno.io.stores.filled import FilledStore, blank_analysis

WATER = 0.45
"""Share of the cells."""


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, nargs=2, default=(380, 1016), metavar="CELLS")
    parser.add_argument("--days", type=int, default=20)
    asked = parser.parse_args()
    part = noise(*asked.side, days=asked.days)
    water, days, where = part["water"].values, part["time"].values, Path("out.nc")
    with TemporaryDirectory() as name, dask.config.set(scheduler="sync"):
        folder = Path(name)
        (folder / "model").mkdir()
        (folder / "model" / "weights").write_bytes(b"none")
        cube = part.rename(mean="sst")[["sst", "water"]].assign_attrs(field="sst")
        made = {"product": Product(), "packed": True, "settings": {}, "model": folder / "model"}
        store = FilledStore.create(folder / "out.zarr", blank=blank_analysis(cube, days), **made)

        def judge() -> None:
            for name, limits in limits_of(temperature=True).items():
                require_values(part[name].values, limits, water, days, name)

        sizes = {"time": len(days)}
        rows = [
            ("write a store, guard included", lambda: store.write(part, Product(), output=where, packed=True)),
            ("judge values", judge),
            ("checksums of what was written", lambda: store.maps_of(days)),
            ("compare them at the end", lambda: store.damaged(days)),
            ("write a file, guard included", lambda: write_analysis(part, folder / "out.nc")),
            (
                "look at the file's chunks",
                lambda: require_whole(folder / "out.nc", sizes=sizes, output=where),
            ),
        ]
        measured = []
        for what, call in rows:
            measured.append([what, f"{1000 * seconds(call) / len(days):.1f}"])
            if what.startswith("checksums"):
                store.mark(days, np.ones(len(days), int), np.ones(len(days), int), store.maps_of(days))
        print("\n".join(table(("part", "ms a day"), measured)))


def noise(rows: int, columns: int, *, days: int) -> xr.Dataset:
    """Return an analysis that nobody made."""
    rng = np.random.default_rng(0)
    shape, dims = (days, rows, columns), ("time", "lat", "lon")
    water = rng.random(shape[1:]) < WATER
    maps = {
        "mean": np.where(water, rng.normal(290, 1, shape), np.nan).astype("float32"),
        "std": np.where(water, rng.uniform(0.2, 0.5, shape), np.nan).astype("float32"),
        "source": np.where(water, np.int8(2), np.int8(0)) * np.ones(shape, np.int8),
        "data_age": np.where(water, rng.integers(0, 9, shape), np.nan).astype("float32"),
    }
    analysis = xr.Dataset({name: (dims, values) for name, values in maps.items()}).assign(water=(dims[1:], water))
    analysis["mean"].attrs["units"] = "kelvin"
    time_ = np.datetime64("2019-01-01", "ns") + np.arange(days) * np.timedelta64(1, "D")
    return analysis.assign_coords(time=time_, lat=np.linspace(30, 46, rows), lon=np.linspace(-6, 36, columns))


def seconds(call: Callable[[], object]) -> float:
    """Return the processor seconds of a call."""
    started = time.process_time()
    call()
    return time.process_time() - started


if __name__ == "__main__":
    main()
