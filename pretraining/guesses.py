"""Draw samples from a library, make their first guesses, and lay both into shards.

Usage: ``python pretraining/guesses.py LIBRARY SHARDS [--count N]``. A shard that is there is not made again.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from samples import WINDOW, DrawnSamples, Simulated
from sereno.nets.gridded import two_scale_terms
from sereno.nets.told import told
from sereno.reconstruct.oi_grid.windows import Region
from sereno.reconstruct.unet.guess import FirstGuess
from sereno.synthetic.family import FIRST_SEED

SAMPLES = 256
"""Samples of a shard."""
VALIDATION_SHARDS, HELD_OUT = 2, 10
"""The first shards validate: they hold every so many-th sea, which no other shard has anything of."""
LENGTHS, TIMES, ERRORS, AMPLITUDES = 0.15, 0.2, 0.15, 0.1
"""Standard deviations of the logarithms of what the scales are made wrong by, as tuned ones are."""
LARGEST_AMPLITUDE, SHORTEST = 2.0, 0.3
"""Greatest amplitude, in climatological standard deviations, and shortest length, in cells, of a first guess."""
SEASON = 2
"""Numbers at the end of what is told that tell the season, which a simulated sea has none of."""
SEED = 7


class Shard(NamedTuple):
    """Samples in units of their climatological standard deviation.

    Attributes
    ----------
    values, guess
        float16 (samples, window, lat, lon), NaN in `values` where nothing was seen.
    truth, water
        float16 and bool (samples, lat, lon).
    told
        What `sereno.correction.told` tells, less the season: float32 (samples, n).
    """

    values: np.ndarray
    guess: np.ndarray
    truth: np.ndarray
    water: np.ndarray
    told: np.ndarray


def read_shard(path: Path) -> Shard:
    """Read a shard."""
    with np.load(path) as held:
        return Shard(*(held[name] for name in Shard._fields))


def with_guess(drawn: Simulated, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Return a sample's values, first guess, truth, water, and what is told of it."""
    std, found = drawn.climatology_std, drawn.covariance
    scales = dict(found["scales"])
    for name in sorted(scales.keys() - {"share"}):
        scales[name] *= float(np.exp(rng.normal(0, TIMES if name.endswith("time") else LENGTHS)))
    scales["length"] = max(scales["length"], SHORTEST * drawn.spacing[0])
    noise = float(found["noise"] * np.exp(rng.normal(0, ERRORS)))
    terms = two_scale_terms(
        scales,
        amplitude=min(found["amplitude"] * np.exp(rng.normal(0, AMPLITUDES)), LARGEST_AMPLITUDE),
        shared_error=found["correlated_noise"] / std * np.exp(rng.normal(0, 2 * ERRORS)),
        error_length=found["noise_length"],
    )
    shape = drawn.water.shape
    region = Region(
        drawn.water, np.full(shape, std, np.float32), drawn.spacing[0], np.full(shape[0], drawn.spacing[1])
    )
    guess = FirstGuess(tuple(terms), noise)
    first = guess.analyse(guess.solver(region, len(drawn.values)), drawn.values, region)
    truth = np.where(drawn.water, drawn.truth / std, 0)
    about = told(terms, noise=noise / std, side=float(np.sqrt(np.prod(drawn.spacing))), day_of_year=0)[:-SEASON]
    return drawn.values / std, first, truth, drawn.water, about


def make_shard(library: Path, path: Path, number: int) -> float:
    """Write a shard of samples drawn from what the library holds now; return the error of their first guesses."""
    validating = number < VALIDATION_SHARDS
    seeds_of_seas = [seed for seed in range(FIRST_SEED, 2 * FIRST_SEED) if (seed % HELD_OUT == 0) == validating]
    drawn = DrawnSamples(library, seed=0, seeds=seeds_of_seas)
    seeds = (np.random.default_rng([SEED, number, index]) for index in range(SAMPLES))
    samples = [with_guess(drawn.sample(number, index), rng) for index, rng in enumerate(seeds)]
    kinds = (np.float16, np.float16, np.float16, bool, np.float32)
    parts = zip(zip(*samples, strict=True), kinds, strict=True)
    shard = Shard(*(np.stack(part).astype(kind) for part, kind in parts))
    partial = path.with_name(f".{path.name}")
    np.savez(partial, **shard._asdict())
    partial.rename(path)
    error = (shard.guess[:, WINDOW // 2].astype(np.float32) - shard.truth)[shard.water]
    return float(np.sqrt(np.mean(error**2)))


def main() -> None:
    """Make shards."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", type=Path)
    parser.add_argument("shards", type=Path)
    parser.add_argument("--count", type=int, default=60, help="how many there are to be")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.shards.mkdir(parents=True, exist_ok=True)
    for number in range(options.count):
        path = options.shards / f"{number:04d}.npz"
        if not path.exists():
            started = time.monotonic()
            error = make_shard(options.library, path, number)
            print(f"{path.name} {time.monotonic() - started:5.0f} s, first guess in error by {error:.3f}", flush=True)


if __name__ == "__main__":
    main()
