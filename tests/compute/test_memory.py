import ctypes
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes
import numpy as np
from pathlib import Path
from sereno.compute.memory import return_memory, trim_memory, tune_memory

NAMES = "arena ordblks smblks hblks hblkhd usmblks fsmblks used free top"  # of malloc.h

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in NAMES.split()]

library = ctypes.CDLL(None)
library.mallinfo2.restype = Info

def free():
    return library.mallinfo2().free / 2**20

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

def make(megabytes):
    blocks = [(np.ones(megabytes * 2**17), np.ones(2**14)) for _ in range(64 // megabytes)]
    return [small for _, small in blocks]  # kept, so that the large ones are not at the end of the heap

if {tuned}:
    tune_memory()
if {returned}:
    return_memory()
first = np.ones(2**21)
del first  # from now on blocks as large as this one are kept, if not told otherwise
had, before = free(), resident()
kept = make({megabytes})
left = free() - had
trim_memory()
print(left, resident() - before)
"""

needs_glibc = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallinfo2"),
    reason="the C library of Linux is looked at",
)


def run(*, returned: bool, megabytes: int, tuned: bool = True) -> tuple[float, float]:
    """Return the free MiB that the C library holds, and by how much the process has grown once they are trimmed."""
    program = PROGRAM.replace("{returned}", str(returned)).replace("{megabytes}", str(megabytes))
    program = program.replace("{tuned}", str(tuned))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    free, grown = map(float, done.stdout.split())
    return free, grown


@needs_glibc
@pytest.mark.parametrize(("returned", "least", "most"), [(True, -8, 8), (False, 32, 80)])
def test_large_blocks_are_given_back_as_they_are_freed(returned: bool, least: float, most: float) -> None:
    assert least <= run(returned=returned, megabytes=8)[0] <= most


@needs_glibc
def test_a_process_that_was_not_tuned_stays_as_it_is() -> None:
    assert run(returned=True, megabytes=8, tuned=False)[0] >= 32


CHANGES = """
import logging, os, signal, sys, threading, warnings
def state():
    numbers = (signal.SIGINT, signal.SIGTERM)
    heeded = [signal.getsignal(number) for number in numbers]
    return dict(os.environ), heeded, threading.excepthook, logging.root.manager.disable
before = state()
import sereno
for name in sereno.__all__:
    getattr(sereno, name)
print([name for name, was, now in zip(("environment", "signals", "hook", "logging"), before, state()) if was != now])
"""


def test_importing_the_library_changes_nothing_in_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", CHANGES], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@needs_glibc
def test_smaller_blocks_are_given_back_when_asked() -> None:
    free, grown = run(returned=True, megabytes=1)
    assert free > 32
    assert grown < 16  # eight of them are the small blocks that are kept


FAULTS = """
import resource
from threading import Thread
import numpy as np
from sereno.compute.memory import kept_memory, return_memory, tune_memory

tune_memory()
return_memory()
with kept_memory():
    pass

def work():
    first = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(200):
        np.ones(2**17)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - first)

thread = Thread(target=work)
thread.start()
thread.join()
"""


@needs_glibc
def test_the_memory_of_a_smaller_block_is_used_again_by_the_next() -> None:
    """Two hundred of a MiB are 51,200 pages, if a pool that gives back its end must ask for each again."""
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2_000
