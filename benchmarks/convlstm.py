"""Time the reference's deep network in sereno against the same in Keras on TensorFlow, step by step in one run.

Usage: ``make bench-convlstm``, which makes ``.venv-keras``, or ``python benchmarks/convlstm.py --keras PYTHON``
with the interpreter of an environment that has Keras. Single steps alternate between Keras and sereno in float32 and
in bfloat16, so that a busy machine slows all of them; the fastest step of each counts. Every program has a process of
its own for each shape and for training and prediction, whose peak memory is printed. The rate is of 627 kFLOP a pixel
and day forward, thrice that in training; the convolution's is the best of a 5 × 5 convolution from 64 to 128 channels
of the same maps, either layout, either direction. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

SHAPES = ((4, (15, 48, 64, 2)), (1, (15, 190, 250, 2)))
"""Batch and shape (days, lat, lon, channels) of the reference's input."""
THREADS = 2
FLOP_A_PIXEL = 2 * 25 * 128 * (34 + 64)
"""Of the two ConvLSTM layers, forward, a pixel and day, as if nothing could be left out."""
TARGETS = {("train", 4): 2.0, ("train", 1): 3.0, ("predict", 4): 2.5, ("predict", 1): 4.0}
"""Speed-up over Keras that is asked for."""


@dataclass
class Server:
    """A process that answers requests for single steps, and the times of its steps."""

    name: str
    command: list[str]
    request: dict[str, Any]
    seconds: list[float] = field(default_factory=list)
    peak: int = 0

    def __post_init__(self) -> None:
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def step(self) -> None:
        """Time one more step."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(self.request | {"steps": 1}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise SystemExit(f"{self.name}: {answer['error']}")
        self.seconds += answer["seconds"]
        self.peak = answer["peak_rss_mb"]

    def end(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def network_step(kind: str, batch: int, shape: tuple[int, ...], precision: str) -> Callable[[], object]:
    """Return a function that trains or predicts one batch of random maps."""
    import torch

    from sereno.config import ConvLSTM
    from sereno.nets.thesis import ThesisNetwork
    from sereno.training.losses import masked_mse

    torch.set_num_threads(THREADS)
    network = ThesisNetwork(ConvLSTM())
    optimizer = torch.optim.Adam(network.parameters())
    days, lat, lon, channels = shape
    maps = torch.randn(batch, days, channels, lat, lon)
    truth, hidden = torch.randn(batch, lat, lon), torch.rand(batch, lat, lon) < 0.5
    bfloat16 = precision == "bfloat16"

    def train() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = masked_mse(network(maps)[:, 0], truth, hidden)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    def predict() -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            network(maps)

    return {"train": train, "predict": predict}[kind]


def convolution_rate(batch: int, shape: tuple[int, ...], precision: str, *, repeats: int = 8) -> float:
    """Return the best rate of a convolution from 64 to 128 channels, GFLOP/s."""
    import torch

    torch.set_num_threads(THREADS)
    _, lat, lon, _ = shape
    best = 0.0
    for layout in (torch.contiguous_format, torch.channels_last):
        maps = torch.randn(batch, 64, lat, lon).to(getattr(torch, precision)).contiguous(memory_format=layout)
        kernel = torch.randn(128, 64, 5, 5).to(maps.dtype).contiguous(memory_format=layout)
        outflow = torch.randn(batch, 128, lat, lon).to(maps.dtype).contiguous(memory_format=layout)
        back = (outflow, maps, kernel, None, [1, 1], [2, 2], [1, 1], False, [0, 0], 1)
        for run in (
            lambda: torch.nn.functional.conv2d(maps, kernel, padding=2),  # noqa: B023  run at once
            lambda: torch.ops.aten.convolution_backward(*back, [True, False, False]),  # noqa: B023
            lambda: torch.ops.aten.convolution_backward(*back, [False, True, False]),  # noqa: B023
        ):
            run()
            for _ in range(repeats):
                start = time.perf_counter()
                run()
                best = max(best, 2 * 25 * 64 * 128 * batch * lat * lon / (time.perf_counter() - start) / 1e9)
    return best


def serve() -> None:
    """Answer requests, as ``benchmarks/keras_step.py`` does."""
    from sereno.compute.memory import kept_memory, tune_memory

    tune_memory()
    ready = cache(network_step)
    with kept_memory():
        answer_requests(ready)


def answer_requests(ready: Callable[..., Callable[[], object]]) -> None:
    """Answer one line after the other."""
    for line in sys.stdin:
        request = json.loads(line)
        shape = tuple(request["shape"])
        if request["do"] == "convolution":
            answer = {"seconds": [convolution_rate(request["batch"], shape, request["precision"])]}
        else:
            step = ready(request["do"], request["batch"], shape, request["precision"])
            answer = {"seconds": []}
            for _ in range(request["steps"]):
                start = time.perf_counter()
                step()
                answer["seconds"].append(time.perf_counter() - start)
        peak = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        print(json.dumps(answer | {"peak_rss_mb": peak}), flush=True)


def servers(keras: str, kind: str, batch: int, shape: tuple[int, ...]) -> list[Server]:
    """Start the programs to be compared."""
    here = Path(__file__)
    request = {"do": kind, "batch": batch, "shape": shape}
    mine = [sys.executable, str(here), "--serve"]
    theirs = [keras, str(here.with_name("keras_step.py"))]
    return [
        Server("Keras, float32", theirs, request),
        *(Server(f"sereno, {p}", mine, request | {"precision": p}) for p in ("float32", "bfloat16")),
    ]


def compare(keras: str, kind: str, batch: int, shape: tuple[int, ...], rounds: int) -> list[str]:
    """Alternate steps of all programs, and return lines of the table."""
    running = servers(keras, kind, batch, shape)
    for program in running:
        program.step()  # the first step warms up
        program.seconds.clear()
    rates: dict[str, Server] = {}
    for precision in ("float32", "bfloat16"):
        request = {"do": "convolution", "batch": batch, "shape": shape, "precision": precision}
        rates[precision] = Server(precision, [sys.executable, __file__, "--serve"], request)
    for _ in range(rounds):
        for program in (*running, *rates.values()):
            program.step()
    lines = []
    for program in running:
        best, precision = min(program.seconds), program.name.split(", ")[1]
        rate = FLOP_A_PIXEL * batch * shape[0] * shape[1] * shape[2] * (3 if kind == "train" else 1) / best / 1e9
        convolution = max(rates[precision].seconds)
        ratios = sorted(a / b for a, b in zip(running[0].seconds, program.seconds, strict=True))
        lines.append(
            f"| {kind} | {batch} × {' × '.join(map(str, shape))} | {program.name} | {best:.3f} | "
            f"{min(running[0].seconds) / best:.2f} | {ratios[len(ratios) // 2]:.2f} | {rate:.0f} | "
            f"{rate / convolution:.0%} of {convolution:.0f} | {program.peak} |"
        )
    for program in (*running, *rates.values()):
        program.end()
    lines[:-1] = [f"{line} |" for line in lines[:-1]]
    lines[-1] += f" asked: {TARGETS[kind, batch]:g} times |"
    return lines


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keras", default=".venv-keras/bin/python", help="interpreter that has Keras")
    parser.add_argument("--rounds", type=int, default=5, help="steps of each program")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    columns = ("", "shape", "program", "s a step", "faster than Keras", "median of pairs", "GFLOP/s")
    columns = (*columns, "of convolution", "peak MB", "")
    print(f"| {' | '.join(columns)} |")
    print("| --- " * len(columns) + "|")
    for kind in ("train", "predict"):
        for batch, shape in SHAPES:
            print("\n".join(compare(options.keras, kind, batch, shape, options.rounds)), flush=True)


if __name__ == "__main__":
    main()
