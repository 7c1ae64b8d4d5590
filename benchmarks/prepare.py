"""Time and memory of `prepare` on files as large as the Mediterranean's at 1/120°: 1890 × 6525 cells a day.

Usage: ``python benchmarks/prepare.py [--days 4 12] [--workers 1 2] [--folder FOLDER]``. Makes the files from a small
twin sea, repeated over the real grid, prepares them to 1/24° and prints a table: seconds of wall time a day and the
highest resident memory of the command and its workers together, as /proc gives it ten times a second.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import xarray as xr

from sereno.synthetic import TwinSeaConfig, write_l3s

LAT = 30.2541667 + np.arange(1890) / 120
LON = -18.1208333 + np.arange(6525) / 120
COARSE = (189, 256)
"""Cells of the twin sea; each becomes 5 × 5, and the whole is repeated over the grid."""
SIMULATED_DAYS = 12
"""Days of the twin sea; a longer record repeats them under later dates, with other noise."""
MIB = 2**20


def make_files(folder: Path, days: int) -> Path:
    """Write daily files of the real size, with the variables, the packing and the compression of the twin sea's."""
    small = write_l3s(TwinSeaConfig(days=min(days, SIMULATED_DAYS), shape=COARSE), folder / "small")
    (folder / "l3s").mkdir()
    rows, columns = np.arange(LAT.size) // 5 % COARSE[0], np.arange(LON.size) // 5 % COARSE[1]
    rng = np.random.default_rng(0)
    for day in range(days):
        path = small[day % len(small)]
        with xr.open_dataset(path, decode_times=False, mask_and_scale=False) as dataset:
            large = dataset.isel(lat=rows, lon=columns).assign_coords(lat=LAT, lon=LON).load()
        for name in ("sea_surface_temperature", "adjusted_sea_surface_temperature"):
            noise = rng.integers(-15, 16, large[name].shape, dtype="int16")  # counts of 0.01 K, as they compress
            large[name] += np.where(large[name] == large[name].attrs["_FillValue"], 0, noise)
        large["time"] = large["time"] + 86400 * (day - day % len(small))
        encoding = {name: {"zlib": True, "complevel": 4} for name in large.data_vars}
        large.to_netcdf(folder / "l3s" / f"{day:04}.nc", encoding=encoding)
    write_mask(folder / "mask.nc", rows, columns, folder / "small" / "mask.nc")
    return folder / "l3s"


def write_mask(path: Path, rows: np.ndarray, columns: np.ndarray, small: Path) -> None:
    """Write the land mask of the repeated sea."""
    with xr.open_dataset(small, decode_times=False, mask_and_scale=False) as dataset:
        large = dataset.isel(lat=rows, lon=columns).assign_coords(lat=LAT, lon=LON).load()
    large.to_netcdf(path, encoding={"mask": {"zlib": True}})


def resident(process: int) -> int:
    """Return the bytes of a process and all that it started; 0 where it has ended."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return pages * os.sysconf("SC_PAGESIZE") + sum(resident(int(child)) for child in children)


def measure(command: list[str]) -> tuple[float, float, int]:
    """Run a command; return seconds of wall time and of all CPUs, and the highest resident bytes of all processes."""
    peak, start, before = 0, time.monotonic(), os.times()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, resident(process.pid))
            time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"failed with {process.returncode}: {' '.join(command)}")
    after = os.times()
    busy = after.children_user + after.children_system - before.children_user - before.children_system
    return time.monotonic() - start, busy, peak


def main() -> None:
    """Make the files, prepare them, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, nargs="+", default=[4, 12])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument(
        "--folder", type=Path, help="where the files are made, or lie from before; else a temporary one"
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        files = folder / "l3s"
        if not files.exists():
            make_files(folder, max(asked.days))
        size = sum(path.stat().st_size for path in files.iterdir()) / len(list(files.iterdir())) / MIB
        print(f"{size:.0f} MiB a file")
        print("| days | workers | seconds a day | CPU seconds a day | peak memory (MiB) | store, MiB a day |")
        print("| --- | --- | --- | --- | --- | --- |")
        for days in asked.days:
            for workers in asked.workers:
                store = Path(temporary) / f"{days}-{workers}.zarr"
                chosen = [str(path) for path in sorted(files.iterdir())[:days]]
                options = ["--grid", "1/24", "--water", str(folder / "mask.nc"), "--workers", str(workers)]
                words = ["prepare", *chosen, "-o", str(store), *options]
                seconds, busy, peak = measure([sys.executable, "-m", "sereno.cli", *words])
                stored = sum(path.stat().st_size for path in store.rglob("*") if path.is_file()) / days / MIB
                spent = f"{seconds / days:.1f} | {busy / days:.1f}"
                print(f"| {days} | {workers} | {spent} | {peak / MIB:.0f} | {stored:.2f} |", flush=True)


if __name__ == "__main__":
    main()
