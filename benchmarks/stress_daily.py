"""Fill a folder of daily files from a folder of daily files, again and again, and compare every value with a store's.

Usage: ``python benchmarks/stress_daily.py [--days 800] [--times 20] [--threads 2 4] [--work stress]``. A twin sea is
written as daily files and prepared as a Zarr store; a model of `linear` is fitted once. Filling the store gives what
must come out. Then, in a process of its own each time, the daily files are filled into a folder of daily files: in
delayed mode, with ``--nrt`` and with ``--update`` from a folder that ends earlier and holds a day whose image has
changed since. In near real time, where each day has a cube of its own, the last 60 days are filled. Blocks are of few
days, so that all threads read, compute and write at once. Any value that differs, and any process that ends otherwise
than well, is reported; the last line counts both.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import xarray as xr

import sereno
from sereno import cube as schema
from sereno.io.hdf5 import load_netcdf
from sereno.synthetic import TwinSeaConfig, write_l3s
from sereno.workflow.fill_to import fill_to
from sereno.workflow.prepare import prepare

MODES = ("delayed", "nrt", "update")
_BLOCK_DAYS = 8
_NRT, _LATE = 60, 20
"""Days that are filled in near real time, and that come in by the update."""
_NAMES = ("analysed_sst", "analysis_error", "source_flag", "mask", "data_age")


def main() -> None:
    """Make what is needed, and go through all runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=800)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES)
    parser.add_argument("--work", type=Path, default=Path("stress"))
    parser.add_argument("--one", nargs=2, metavar=("MODE", "THREADS"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    work: Path = asked.work
    if asked.one:
        fill_once(work, asked.one[0], int(asked.one[1]))
        return
    ready(work, asked.days)
    wrong = 0
    for mode in asked.modes:
        expected = maps_of_store(work / f"{'nrt' if mode == 'nrt' else 'delayed'}.zarr")
        for threads in asked.threads:
            started, failed = time.perf_counter(), 0
            for number in range(asked.times):
                failed += not ends_well(work, mode, threads, expected)
                tell(mode, threads, f"run {number + 1} of {asked.times}, {failed} wrong so far")
            wrong += failed
            seconds = (time.perf_counter() - started) / asked.times
            print(
                f"{mode}, {threads} threads: {failed} of {asked.times} runs wrong, {seconds:.1f} s each", flush=True
            )
    print(f"{wrong} runs wrong")
    sys.exit(1 if wrong else 0)


def ready(work: Path, days: int) -> None:
    """Make the daily files, the store, the model, and what comes out of the store."""
    if (work / "ready").exists():
        return
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    write_l3s(TwinSeaConfig(days=days, shape=(24, 32)), work)
    mask, images = work / "mask.nc", sorted((work / "l3s").iterdir())
    prepare(images, work / "l3s.zarr", water=mask)
    store = sereno.open_cube(work / "l3s.zarr")
    model = sereno.fit(store, "linear")
    sereno.save(model, work / "model")
    for name, nrt in (("delayed", False), ("nrt", True)):
        fill_to(store, model, work / f"{name}.zarr", days=nrt_days(store) if nrt else None, nrt=nrt)
    late = images[-_LATE:]
    (work / "begun").mkdir()
    for path in images[:-_LATE]:
        shutil.copy(path, work / "begun" / path.name)
    shutil.copy(images[-2 * _LATE], work / "begun" / images[-_LATE - 1].name)  # to be dated as that day
    _date(work / "begun" / images[-_LATE - 1].name, images[-_LATE - 1])
    fill_to(sereno.open_cube(work / "begun", water=mask), model, work / "begun-out", update=True)
    (work / "ready").write_text(f"{len(images)} files, {len(late)} of them late\n")


def _date(path: Path, as_of: Path) -> None:
    """Give a file the time of another."""
    image, dated = (load_netcdf(one, decode_times=False) for one in (path, as_of))
    image.assign_coords(time=dated["time"]).to_netcdf(path)


def fill_once(work: Path, mode: str, threads: int) -> None:
    """Fill the folder, in this process."""
    import dask

    schema.BLOCK_CELLS = _BLOCK_DAYS * 24 * 32
    model = sereno.load(work / "model")
    with dask.config.set(num_workers=threads):
        cube = sereno.open_cube(work / "l3s", water=work / "mask.nc")
        days = nrt_days(cube) if mode == "nrt" else None
        fill_to(cube, model, work / "out", days=days, nrt=mode == "nrt", update=mode == "update")


def nrt_days(cube: xr.Dataset) -> str:
    """Return the period that is filled in near real time."""
    return f"{cube['time'].values[-_NRT:][0]!s:.10}:"


def ends_well(work: Path, mode: str, threads: int, expected: dict[str, np.ndarray]) -> bool:
    """Fill the folder in a process of its own, and return whether every value is as it must be."""
    out = work / "out"
    for path in (out, work / ".out.filling", work / "out.filling.zarr"):
        shutil.rmtree(path, ignore_errors=True)
    if mode == "update":
        shutil.copytree(work / "begun-out", out)
        shutil.copytree(work / "begun-out.filling.zarr", work / "out.filling.zarr")
    command = [sys.executable, __file__, "--work", str(work), "--one", mode, str(threads)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        tell(mode, threads, f"ended with {ended.returncode}\n{ended.stderr[-2000:]}")
        return False
    files = sorted(out.glob("*.nc"))
    differ = [name for name, maps in expected.items() if len(files) != len(maps)]
    for place, path in enumerate(files if not differ else []):
        made = load_netcdf(path)
        wrong = [name for name in _NAMES if not same(made[name].values[0], expected[name][place])]
        differ += [f"{name} in {path.name}" for name in wrong]
    if differ:
        tell(mode, threads, f"{len(files)} files; not as they must be: {', '.join(differ[:5])}")
    return not differ


def tell(mode: str, threads: int, text: str) -> None:
    """Print a line at once."""
    print(f"{mode}, {threads} threads: {text}", flush=True)


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether two maps hold the same values in the same places."""
    return bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))


def maps_of_store(path: Path) -> dict[str, np.ndarray]:
    """Return the maps that a store holds."""
    with xr.open_zarr(path) as store:
        return {name: store[name].values for name in _NAMES}


if __name__ == "__main__":
    main()
