"""Fills in processes that are forked and killed at random moments; the parent of them imports all once.

Usage: ``python killed.py FOLDER OUTPUT SEED KILLS``, where FOLDER holds ``cube.pickle`` and ``model``. Prints how the
last run, which is not killed, ended, and how many of the others were killed before their end.
"""

import os
import pickle
import random
import signal
import sys
import time
from pathlib import Path

import xarray as xr

from sereno.workflow.bare_networks import BareNetwork
from sereno.workflow.fill_to import fill_to
from sereno.workflow.models import Model, load


def start(cube: xr.Dataset, model: Model | BareNetwork, path: Path) -> int:
    """Start a fill in a process of its own."""
    process = os.fork()
    if process == 0:
        os.setsid()
        try:
            fill_to(cube, model, path)
            os._exit(0)
        except BaseException as error:
            sys.stderr.write(f"{error!r}\n")
            os._exit(1)
    return process


def main(folder: Path, output: Path, *, seed: int, kills: int) -> None:
    cube, model = pickle.loads((folder / "cube.pickle").read_bytes()), load(folder / "model")
    draw = random.Random(seed)
    started = time.monotonic()
    status = os.waitpid(start(cube, model, output.with_name(f"timed{output.suffix}")), 0)[1]
    lasts = time.monotonic() - started
    killed = 0
    for _ in range(kills if status == 0 else 0):
        process = start(cube, model, output)
        time.sleep(draw.uniform(0, lasts))
        os.kill(process, signal.SIGKILL)
        killed += os.waitpid(process, 0)[1] == signal.SIGKILL
    print(os.waitpid(start(cube, model, output), 0)[1], killed)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), seed=int(sys.argv[3]), kills=int(sys.argv[4]))
