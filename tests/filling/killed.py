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

from sereno.filling import fill_to
from sereno.workflow import load

folder, output = Path(sys.argv[1]), Path(sys.argv[2])
draw, kills = random.Random(int(sys.argv[3])), int(sys.argv[4])
cube, model = pickle.loads((folder / "cube.pickle").read_bytes()), load(folder / "model")


def fill(path: Path) -> int:
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


started = time.monotonic()
status = os.waitpid(fill(output.with_name(f"timed{output.suffix}")), 0)[1]
lasts = time.monotonic() - started
killed = 0
for _ in range(kills if status == 0 else 0):
    process = fill(output)
    time.sleep(draw.uniform(0, lasts))
    os.kill(process, signal.SIGKILL)
    killed += os.waitpid(process, 0)[1] == signal.SIGKILL
print(os.waitpid(fill(output), 0)[1], killed)
