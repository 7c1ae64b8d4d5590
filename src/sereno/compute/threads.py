"""Threads that share the work on many small matrices, one core each."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

from sereno.compute.cores import cores


@contextmanager
def workers() -> Iterator[ThreadPoolExecutor]:
    """Give as many threads as a process may use cores, in each of which torch keeps to a core.

    Matrices of a hundred rows gain nothing from being worked on by two cores together, and on a busy machine the two
    spend most of their time waiting for each other.
    """
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(cores(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield pool
    torch.set_num_threads(threads)  # the number set last is what threads to come would start with
