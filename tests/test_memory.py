import subprocess
import sys

import pytest

PROGRAM = """
import numpy as np
from pathlib import Path
from sereno.nets.memory import return_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

if {returned}:
    return_memory()
first = np.ones(2**21)
del first  # from now on blocks as large as this one are kept, if not told otherwise
before = resident()
blocks = [(np.ones(2**20), np.ones(2**14)) for _ in range(8)]
kept = [small for _, small in blocks]  # so that the large ones are not at the end of the heap
del blocks
print(resident() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of Linux alone is told")
@pytest.mark.parametrize(("returned", "least", "most"), [(True, -8, 8), (False, 32, 80)])
def test_large_blocks_are_given_back_as_they_are_freed(returned: bool, least: float, most: float) -> None:
    program = PROGRAM.format(returned=returned)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert least <= float(done.stdout) <= most
