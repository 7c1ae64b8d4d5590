"""Train the network of the package on simulated seas that are made as they are used, on whatever device there is.

Usage: ``python pretraining/pretrain.py FOLDER [--device cuda] [--minutes N]``; it needs torch, numpy and scipy, and
`src` and `pretraining` on the path. It can be stopped at any time: the folder's ``checkpoint.pt`` is written every
ten minutes and when it ends, and the same command continues from it. ``log.csv`` holds the losses, ``validation.csv``
the errors on seas of their own, by kind, and ``weights.pt`` the averaged weights.
"""

from __future__ import annotations

import argparse
import csv
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from engine.clouds import RealClouds
from engine.randomness import generator
from engine.samples import FOLLOWED, Sampler, Windows, chunks
from engine.seas import SeaStream
from engine.training import Plan, Pool, Training, weights_of_network
from engine.validation import Validation
from engine.whole import write_whole
from sereno.nets.alldays import Design

SEED = 1
SAVED_EVERY, REPORTED_EVERY = 600.0, 60.0
"""Seconds from one checkpoint to the next, from one line of the log to the next."""
AT_ONCE = {
    "cpu": {"seas": 4, "windows": 12, "batch": 8, "kept": 192},
    "cuda": {"seas": 32, "windows": 96, "batch": 32, "kept": 6144},
}
"""How many at a time, by device."""


def main() -> None:
    """Train."""
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.backends.cuda.matmul.allow_tf32 = True
    options.folder.mkdir(parents=True, exist_ok=True)
    design = Design(
        kind=options.kind, widths=tuple(options.widths), fold=options.fold, passes=options.passes, flow=options.flow
    )
    plan = Plan(
        batch=options.batch,
        rate=options.rate,
        seconds=60 * options.minutes if options.minutes and options.fall else None,
        fall=options.fall or 1.0,
        uses=options.uses,
        kept=options.kept,
        central=options.answered == "central",
    )
    training = Training(design, plan, options.device)
    checkpoint = options.folder / "checkpoint.pt"
    if checkpoint.exists():
        training.load(checkpoint)
    elif options.start:
        training.begin(options.start)
    validation = Validation.kept(options.validation or options.folder / "validation.pt", options.device)
    pool = Pool(windows(options, training.block), plan, generator(options.seed, training.step))
    run(training, pool, validation, options)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cpu", choices=list(AT_ONCE))
    parser.add_argument("--minutes", type=float, help="of the processor, or by the clock on another device, in all")
    parser.add_argument("--fall", type=float, help="share of the time over which the step size falls to zero")
    parser.add_argument("--validate", type=float, default=30.0, help="minutes from one validation to the next")
    parser.add_argument("--validation", type=Path, help="where validation windows lie, or are to lie")
    parser.add_argument("--start", type=Path, help="weights to begin with, of a network no wider (begin.py)")
    parser.add_argument("--clouds", type=Path, help="real clouds (real_clouds.py)")
    parser.add_argument("--seas", type=int, help="seas at a time")
    parser.add_argument("--windows", type=int, help="windows of a sea of a block")
    parser.add_argument("--side", type=int, default=96, help="cells of a window along either side")
    parser.add_argument("--followed", type=float, default=FOLLOWED, help="share of the seas with currents")
    parser.add_argument("--kind", default="channels", choices=["channels", "shared"], help="what the days are")
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 96, 128, 160])
    parser.add_argument("--fold", type=int, default=1)
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument(
        "--flow", action="store_true", help="give the flow to the network, and follow it from one pass to the next"
    )
    parser.add_argument("--answered", choices=["all", "central"], default="all", help="the days that are taught")
    parser.add_argument("--batch", type=int, help="windows of a step")
    parser.add_argument("--rate", type=float, default=1e-3, help="step size")
    parser.add_argument("--uses", type=int, default=2, help="steps that each window is part of")
    parser.add_argument("--kept", type=int, help="windows that a step's are drawn from")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=SEED, help="of the stream of seas; another one gives other seas")
    options = parser.parse_args()
    for name, value in AT_ONCE[options.device].items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def windows(options: argparse.Namespace, block: int) -> Iterator[tuple[Windows, int]]:
    """Yield windows, each chunk with the number of its block."""
    clouds = RealClouds(options.clouds, device=options.device) if options.clouds else None
    sampler = Sampler(options.side, options.windows, clouds, options.followed)
    stream = SeaStream(options.seed, options.seas, device=options.device, start=block)
    for chunk in chunks(sampler, stream):
        yield chunk, stream.number - 1


def run(training: Training, pool: Pool, validation: Validation, options: argparse.Namespace) -> None:
    """Take steps until the time is over."""
    clock = time.monotonic if options.device != "cpu" else time.process_time
    before, begun, validated = training.spent, clock(), training.spent
    saved = reported = time.monotonic()
    sums = {"loss": 0.0, "ratio": 0.0}
    steps = 0
    ended: list[int] = []
    signals = (signal.SIGTERM, signal.SIGINT)
    handlers = [signal.signal(each, lambda number, _: ended.append(number)) for each in signals]
    while not ended and (options.minutes is None or training.spent < 60 * options.minutes):
        found = training.learn(pool.batch())
        training.block, training.spent = pool.block, before + clock() - begun
        sums, steps = {name: sums[name] + found[name] for name in sums}, steps + 1
        now = time.monotonic()
        if now - reported > REPORTED_EVERY:
            means = {name: total / steps for name, total in sums.items()}
            row = {"step": training.step, "minutes": training.spent / 60, "made": pool.made, **means}
            tell(options.folder / "log.csv", row)
            reported, sums, steps = now, dict.fromkeys(sums, 0.0), 0
        if now - saved > SAVED_EVERY:
            training.save(options.folder / "checkpoint.pt")
            saved = now
        if training.spent - validated > 60 * options.validate:
            validate(training, validation, options.folder)
            validated = training.spent
    training.save(options.folder / "checkpoint.pt")
    for each, handler in zip(signals, handlers, strict=True):
        signal.signal(each, handler)
    if not ended:
        validate(training, validation, options.folder)


def validate(training: Training, validation: Validation, folder: Path) -> None:
    """Write down how large the errors are on the validation seas."""
    rows = validation.errors(training.averaged)
    for row in rows:
        tell(folder / "validation.csv", {"step": training.step, "minutes": training.spent / 60, **row})
    write_whole(weights_of_network(training.averaged), folder / "weights.pt")


def tell(path: Path, row: dict[str, object]) -> None:
    """Add a row to a table, and print it."""
    fresh = not path.exists()
    shown = {name: f"{value:.4f}" if isinstance(value, float) else value for name, value in row.items()}
    with path.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, list(shown))
        if fresh:
            writer.writeheader()
        writer.writerow(shown)
    print(" ".join(f"{name} {value}" for name, value in shown.items()), flush=True)


if __name__ == "__main__":
    main()
