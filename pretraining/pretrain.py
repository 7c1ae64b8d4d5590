"""Train the network that comes with the package on samples with their first guesses (`guesses.py`).

Usage: ``python pretraining/pretrain.py SHARDS -o FOLDER [--epochs N] [--minutes N] [--start WEIGHTS]``. It can be
stopped at any time and goes on where it was; shards that are added meanwhile are taken up. ``metrics.csv`` in the
folder holds the losses, and ``weights.safetensors`` the averaged weights with the least validation loss.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from safetensors.torch import load_file

from guesses import VALIDATION_SHARDS, Shard, read_shard
from sereno.config import UNet
from sereno.reconstruct.unet.pool import turned
from sereno.training import train_on
from sereno.windows import Sample

HIDDEN, OBSERVED = 1.0, 0.25
"""Weights of cells that are not seen, and that are."""
SPREAD = 0.2
"""Standard deviation of the logarithm of what each sample is told of its climatological spread."""


@dataclass(frozen=True, eq=False)
class Shards:
    """Samples of a folder of shards, drawn anew each epoch, turned and mirrored."""

    folder: Path
    count: int
    seed: int
    fixed: bool = False

    def __len__(self) -> int:
        return self.count

    def of_epoch(self, epoch: int) -> Iterator[Sample]:
        """Yield the samples of an epoch."""
        paths = sorted(self.folder.glob("[0-9]*.npz"))
        paths = paths[:VALIDATION_SHARDS] if self.fixed else paths[VALIDATION_SHARDS:]
        rng = np.random.default_rng((self.seed, 0 if self.fixed else epoch))
        shards = [read_once(path) for path in paths]
        for index in range(self.count):
            shard = shards[index % len(shards)] if self.fixed else shards[rng.integers(len(shards))]
            place = index // len(shards) if self.fixed else int(rng.integers(len(shard.truth)))
            yield sample(shard, place, rng, turn=not self.fixed)


read_once = cache(read_shard)


def sample(shard: Shard, place: int, rng: np.random.Generator, *, turn: bool) -> Sample:
    """Return what `sereno.learners` trains the corrector on."""
    values, guess, truth = (part[place].astype(np.float32) for part in (shard.values, shard.guess, shard.truth))
    water = shard.water[place]
    seen = np.isfinite(values[len(values) // 2])
    weight = np.where(water, np.where(seen, OBSERVED, HIDDEN), 0).astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    told = np.append(shard.told[place], [np.sin(angle), np.cos(angle)]).astype(np.float32)
    spread = np.full(truth.shape, rng.normal(0, SPREAD), np.float32)
    made = (values, guess, water, spread, told, truth, weight, np.zeros((), np.float32))
    return turned(made, rng) if turn else made


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--rate", type=float, default=8e-4)
    parser.add_argument("--start", type=Path, help="weights.safetensors to begin with")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    config = UNet(max_epochs=options.epochs, steps_per_epoch=200, learning_rate=options.rate, patience=options.epochs)
    training = Shards(options.shards, config.steps_per_epoch * config.batch_size, 1)
    validation = Shards(options.shards, 320, 2, fixed=True)

    def progress(stage: str, fraction: float) -> None:
        path = options.output / "metrics.csv"
        if path.exists() and (line := path.read_text().splitlines()[-1]) != told.get("line"):
            told["line"] = line
            print(f"{fraction:6.1%} {line}", flush=True)

    told: dict[str, str] = {}
    trained = train_on(
        training,
        validation,
        config,
        scale=1.0,
        weights=None if options.start is None else load_file(options.start),
        folder=options.output,
        resume=True,
        max_minutes=options.minutes,
        progress=progress,
    )
    weights = {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in trained.weights.items()}
    save_file(weights, options.output / "weights.safetensors")


if __name__ == "__main__":
    main()
