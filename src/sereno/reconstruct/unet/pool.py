"""What a corrector is trained and validated on: windows of a cube with their first guesses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from sereno.features import HiddenWindow
from sereno.reconstruct.oi.workers import workers
from sereno.reconstruct.oi_grid.windows import Region
from sereno.reconstruct.unet.guess import FirstGuess, spread_of
from sereno.windows import Sample


@dataclass(frozen=True, eq=False)
class Pool:
    """Windows of a cube with their first guesses, drawn once: samples to train or to validate a corrector on.

    Attributes
    ----------
    samples
        Of each window what `sereno.learners` trains on.
    count, seed
        Samples of an epoch, drawn anew each, turned and mirrored; 0 for all of them as they are.
    """

    samples: list[Sample]
    count: int = 0
    seed: int = 0

    def __len__(self) -> int:
        return self.count or len(self.samples)

    def of_epoch(self, epoch: int) -> Iterator[Sample]:
        """Yield the samples of an epoch."""
        if not self.count:
            yield from self.samples
        rng = np.random.default_rng((self.seed, epoch))
        for _ in range(self.count):
            yield turned(self.samples[rng.integers(len(self.samples))], rng)


def turned(sample: Sample, rng: np.random.Generator) -> Sample:
    """Return a sample turned, mirrored and of either sign: none of which a sea could tell.

    Its members are those of `pool`'s samples; sides that differ are not exchanged.
    """
    values, guess, water, spread, told_, truth, weight, noise = sample
    maps = [values, guess, water, spread, truth, weight]
    axes = tuple(axis for axis in (-2, -1) if rng.random() < 0.5)
    maps = [np.flip(part, axes) for part in maps]
    if water.shape[0] == water.shape[1] and rng.random() < 0.5:
        maps = [part.swapaxes(-1, -2) for part in maps]
    sign = np.float32(rng.choice([-1, 1]))
    values, guess, water, spread, truth, weight = (np.ascontiguousarray(part) for part in maps)
    return sign * values, sign * guess, water, spread, told_, sign * truth, weight, noise


def pool(
    windows: Iterable[HiddenWindow],
    guess: FirstGuess,
    region: Region,
    *,
    past_fraction: float,
    seed: int,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Sample]:
    """Return samples to train a corrector on, in climatological standard deviations.

    Each holds values and first guess (window, lat, lon); water and spread (lat, lon); what is told (n,); truth and
    weight (lat, lon); the variance of the truth's noise.

    Parameters
    ----------
    windows
        Windows with hidden pixels.
    guess, region
        The first guess, and the grid that windows were cut from.
    past_fraction
        Share of windows that lose all days after the central one.
    progress
        Called with the number of samples made.
    """

    def one(item: tuple[int, HiddenWindow]) -> Sample:
        number, window = item
        here, values = region.part(*window.crop), window.values.copy()
        if np.random.default_rng((seed, number)).random() < past_fraction:
            values[len(values) // 2 + 1 :] = np.nan
        first = guess.analyse(guess.solver(here, len(values)), values, here)
        scaled = (values / here.scale).astype(np.float32)
        truth = np.where(window.hidden, window.truth / here.scale, 0).astype(np.float32)
        weight, noise = window.hidden.astype(np.float32), np.array(guess.error_variance(here), np.float32)
        return scaled, first, here.water, spread_of(here), guess.told(here, window.day), truth, weight, noise

    made = []
    with workers() as threads:
        for sample in threads.map(one, enumerate(windows)):
            made.append(sample)
            progress(len(made))
    return made
