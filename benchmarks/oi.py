"""Cost of optimal interpolation on the whole Mediterranean at 1/24°: one day, from the days around it.

Usage: ``python benchmarks/oi.py [--method oi-grid] [--days N]``. The sea is that of `basin.py`. The parameters are
tuned on the record first; then the clock runs for one day, from the cube in memory to its mean and std.
"""

from __future__ import annotations

import argparse
import os
import resource
import time

import sereno
from basin import mediterranean
from sereno.config import configure


def main() -> None:
    """Print the cost of a day."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=41, help="length of the record")
    parser.add_argument("--method", choices=("oi", "oi-grid"), default="oi", help="which of the two")
    arguments = parser.parse_args()
    cube = mediterranean(arguments.days)
    seen = 100 * float(cube["sst"].notnull().sum() / (cube["water"].sum() * cube.sizes["time"]))
    print(f"{int(cube['water'].sum())} cells of sea, {seen:.0f} % of them seen on a day, {os.cpu_count()} cores")
    started = time.perf_counter()
    model = sereno.fit(cube, configure(arguments.method))
    print(f"fit: {time.perf_counter() - started:.1f} s; {model.reconstructor.inner.covariance}")
    day = str(cube["time"].values[arguments.days // 2])[:10]
    for turn in ("first", "second"):
        started, busy = time.perf_counter(), time.process_time()
        sereno.fill(cube, model, days=day).compute()
        seconds, busy = time.perf_counter() - started, time.process_time() - busy
        print(f"one day, {turn} time: {seconds:.1f} s, {busy:.1f} s of processor time", flush=True)
    print(f"peak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")


if __name__ == "__main__":
    main()
