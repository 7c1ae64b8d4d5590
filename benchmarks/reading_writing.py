"""What reading and writing take of a fill of the whole Mediterranean at 1/24°, on one core.

Usage: ``python benchmarks/reading_writing.py [METHOD…] [--days 20] [--work year]``. Sea and models are those of
`year.py`, in its working folder. The fill is done in this process, within which the calls that read the store of the
input and write that of the output are timed: *reading* is xarray's from Zarr, *checksums* are those of the images,
their second reading included, *writing* is that of the maps, judged, laid out, compressed and compared with the disk,
and of the books. `guard.py` times what of it is spent on judging and comparing.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import dask
from xarray.backends.zarr import ZarrArrayWrapper

import sereno
from scaling import table
from sereno.io.stores.checksums import Images
from sereno.io.stores.filled import FilledStore
from sereno.workflow import fill_to
from year import fitted, midst, on_cores, sea_in

PARTS = ("reading", "checksums", "writing")


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", default=["climatology", "interpolation", "unet"], metavar="METHOD")
    parser.add_argument("--days", type=int, default=20, help="days that are filled, in the middle of the year")
    parser.add_argument("--work", type=Path, default=Path("year"))
    asked = parser.parse_args()
    clock = Clock()
    ZarrArrayWrapper.__getitem__ = clock.timing("reading", ZarrArrayWrapper.__getitem__)  # type: ignore[method-assign]
    for name in ("of", "around"):
        setattr(Images, name, clock.timing("checksums", getattr(Images, name)))
    for name in ("write", "mark", "maps_of", "damaged"):
        setattr(FilledStore, name, clock.timing("writing", getattr(FilledStore, name)))
    rows = []
    for method in asked.methods:
        cube = sea_in(asked.work)
        model = sereno.load(fitted(asked.work, cube, method))
        output = asked.work / f"{method}-timed.zarr"
        shutil.rmtree(output, ignore_errors=True)
        sea = sereno.open_cube(cube)
        with on_cores(1), dask.config.set(num_workers=1):
            clock.seconds.clear()
            started = time.perf_counter()
            fill_to.fill_to(sea, model, output, days=midst(sea, asked.days))
            whole = time.perf_counter() - started
        shutil.rmtree(output)
        each = [clock.seconds[part] for part in PARTS]
        rows.append([f"`{method}`", f"{whole / asked.days:.2f}"])
        rows[-1] += [f"{100 * seconds / whole:.1f}" for seconds in (*each, sum(each))]
    print("\n".join(table(("method", "seconds a day", *(f"{part} (%)" for part in PARTS), "together (%)"), rows)))


class Clock:
    """Adds up the seconds that calls of some kinds take; what is called within another counts for that one."""

    def __init__(self) -> None:
        self.seconds, self.busy = Counter[str](), False

    def timing(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its time taken; one thread calls it."""

        @wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            if self.busy:
                return function(*args, **kwargs)
            self.busy, started = True, time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[part] += time.perf_counter() - started
                self.busy = False

        return timed


if __name__ == "__main__":
    main()
