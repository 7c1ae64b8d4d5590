"""Time and memory of every stage against days, pixels and workers, and how far that reaches.

Usage: ``python benchmarks/scaling.py [--work scaling] [--docs docs]`` (``make bench-scaling``). Each stage runs in a
process of its own (`stages.py`); its peak memory is that of its largest process, interpreter and libraries included.
What was measured is kept in the working folder and not done again; remove it to measure anew. Tables go into
``scaling.md`` and ``how-large.md`` between their markers, the figure into ``figures/scaling.png``. Seconds are those
of the processor, so that other work on the machine hardly counts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sereno.methods import METHODS, QUICK_METHODS

FILLED = [name for name in METHODS if name in QUICK_METHODS]
SHAPES = ((96, 128), (192, 256), (288, 384))
DAYS = 4
"""Days that are filled on each shape."""
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Run:
    """A stage and what it is run with."""

    stage: str
    method: str = "climatology"
    shape: tuple[int, int] = (48, 64)
    days: int = DAYS
    workers: int = 1

    def measured(self, folder: Path) -> dict[str, Any]:
        """Run the stage, unless that was done before; return its numbers, with the peak memory in bytes."""
        name = f"{self.stage}-{self.method}-{self.shape[0]}x{self.shape[1]}-{self.days}-{self.workers}"
        kept = folder / f"{name}.json"
        if not kept.exists():
            rows, columns = map(str, self.shape)
            options = ["--method", self.method, "--shape", rows, columns]
            options += ["--days", str(self.days), "--workers", str(self.workers)]
            command = [sys.executable, str(HERE / "stages.py"), self.stage, str(folder), *options]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                told = process.stdout.read()
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise SystemExit(f"failed with {process.returncode}: {' '.join(command)}")
            kept.write_text(json.dumps(json.loads(told) | {"peak": 1024 * usage.ru_maxrss}))
            print(name, kept.read_text(), flush=True)
        numbers: dict[str, Any] = json.loads(kept.read_text())
        return numbers


FITS = {method: Run("fit", method) for method in FILLED}
FILLS = {method: [Run("fill", method, shape) for shape in SHAPES] for method in FILLED}
BY_DAYS = {
    "fill, interpolation": [Run("fill", "interpolation", SHAPES[0], days) for days in (4, 16, 48)],
    "prepare": [Run("prepare", shape=SHAPES[0], days=days) for days in (8, 24, 72)],
    "write": [Run("write", shape=SHAPES[0], days=days) for days in (8, 24, 72)],
}
BY_PIXELS = {
    "prepare": [Run("prepare", shape=shape, days=8) for shape in SHAPES],
    "write": [Run("write", shape=shape, days=8) for shape in SHAPES],
}
BY_WORKERS = {
    "fill, interpolation": [Run("fill", "interpolation", SHAPES[0], 16, workers) for workers in (1, 2)],
    "prepare": [Run("prepare", shape=SHAPES[0], days=24, workers=workers) for workers in (1, 2)],
}
TRAINING = {
    "windows": Run("windows", shape=SHAPES[1]),
    "step, unet": Run("step", "unet"),
    "step, convlstm": Run("step", "convlstm"),
}


def runs() -> Iterator[Run]:
    """Yield all runs, each after those that it builds on."""
    yield from (Run("sea", shape=shape) for shape in SHAPES)
    for method in FILLED:
        yield FITS[method]
        yield from FILLS[method]
    yield from TRAINING.values()
    for group in (BY_PIXELS, BY_DAYS, BY_WORKERS):
        for several in group.values():
            yield from several


def main() -> None:
    """Measure, and write the documents."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("scaling"))
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    arguments = parser.parse_args()
    arguments.work.mkdir(exist_ok=True)
    for run in runs():
        run.measured(arguments.work)


if __name__ == "__main__":
    main()
