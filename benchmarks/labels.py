"""How many labelled days a second pre-training makes and uses on one core: seas, clouds, first guesses, steps.

Usage: ``PYTHONPATH=pretraining python benchmarks/labels.py [--seas 4] [--windows 12] [--uses 2]``. A labelled day is
a map of 96 × 96 cells that a network is taught the truth of, in seconds of the processor. The last line is that of
all together, with each window used this many times.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from engine.randomness import generator
from engine.samples import WINDOW, Sampler
from engine.seas import SeaStream
from engine.training import Plan, Training, turned
from sereno.nets.alldays import Design

DESIGN = Design(kind="channels", widths=(64, 96, 128, 160), fold=1)
BLOCKS = 2
"""Blocks of seas after the first, which are measured."""


@contextmanager
def counted(seconds: list[float]) -> Iterator[None]:
    """Add the seconds of the processor that the block takes."""
    started = time.process_time()
    yield
    seconds.append(time.process_time() - started)


def main() -> None:
    """Print the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seas", type=int, default=4)
    parser.add_argument("--windows", type=int, default=12)
    parser.add_argument("--uses", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    stream, sampler = SeaStream(1, options.seas), Sampler(count=options.windows)
    training = Training(DESIGN, Plan(), "cpu")
    stream.next()
    of_seas, of_windows, of_steps, made = list[float](), list[float](), list[float](), 0
    for block in range(BLOCKS):
        with counted(of_seas):
            seas = stream.next()
        for number in range(options.seas):
            with counted(of_windows):
                windows = sampler.windows(seas, number, generator(1, block, number))
            made += len(windows)
            with counted(of_steps):
                training.learn(turned(windows, generator(2, block, number)))
    each = [sum(seconds) / made for seconds in (of_seas, of_windows, of_steps)]
    for name, seconds in zip(("seas", "clouds, errors, first guesses", "steps"), each, strict=True):
        print(f"{name:30s} {seconds:6.3f} s a window, {WINDOW / seconds:6.0f} labelled days/s")
    together = (each[0] + each[1]) / options.uses + each[2]
    print(f"{'all, on one core':30s} {together:6.3f} s a window, {WINDOW / together:6.0f} labelled days/s")


if __name__ == "__main__":
    main()
