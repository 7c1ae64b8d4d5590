"""What a method costs on the whole Mediterranean at 1/24°: its fit, and days from the days around them.

Usage: ``python benchmarks/cost.py METHOD [--days N] [--filled N]``. The sea is that of `basin.py`. The method is
fitted on the record first, a pre-trained network unchanged; then the filling of days in its middle is timed, from the
cube in memory to mean and std.
"""

from __future__ import annotations

import argparse
import os
import resource
import time

import sereno
from basin import mediterranean
from sereno.config import configure_at_once
from sereno.methods import METHODS


def main() -> None:
    """Print the cost of a day."""
    sereno.tune_memory()  # as the command line does
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=[name for name, row in METHODS.items() if not row.needs_training])
    parser.add_argument("--days", type=int, default=51, help="length of the record")
    parser.add_argument("--filled", type=int, default=10, help="days that are filled")
    arguments = parser.parse_args()
    cube = mediterranean(arguments.days)
    seen = 100 * float(cube["sst"].notnull().sum() / (cube["water"].sum() * cube.sizes["time"]))
    print(f"{int(cube['water'].sum())} cells of sea, {seen:.0f} % of them seen on a day, {os.cpu_count()} cores")
    started, busy = time.perf_counter(), time.process_time()
    model = sereno.fit(cube, configure_at_once(arguments.method))
    print(f"fit: {time.perf_counter() - started:.1f} s, {time.process_time() - busy:.1f} s of processor time")
    first = (arguments.days - arguments.filled) // 2
    period = ":".join(str(cube["time"].values[day])[:10] for day in (first, first + arguments.filled - 1))
    for turn in ("first", "second"):
        started, busy = time.perf_counter(), time.process_time()
        sereno.fill(cube, model, days=period).compute()
        seconds, busy = time.perf_counter() - started, time.process_time() - busy
        each = f"{seconds / arguments.filled:.2f} s a day, {busy / arguments.filled:.2f} s of processor time"
        print(f"{arguments.filled} days, {turn} time: {each}", flush=True)
    print(f"peak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")


if __name__ == "__main__":
    main()
