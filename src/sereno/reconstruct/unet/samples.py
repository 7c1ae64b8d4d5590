"""What a corrector is trained and validated on: windows of a cube with their first guesses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from sereno.compute.threads import workers
from sereno.config import UNet
from sereno.reconstruct.oi_grid.regions import Region
from sereno.reconstruct.unet.first_guess import FirstGuess, spread_of
from sereno.training.archive import HiddenWindow
from sereno.training.samples import CorrectorSample

_SIGNED = ("values", "guess", "truth")
"""Maps whose sign may be turned."""
_MAPS = (*_SIGNED, "water", "spread", "weight")


@dataclass(frozen=True, eq=False)
class Pool:
    """Windows of a cube with their first guesses, drawn once: samples to train or to validate a corrector on.

    Attributes
    ----------
    samples
        Of each window what `sereno.training.objectives` trains on.
    count, seed
        Samples of an epoch, drawn again each, turned and mirrored; 0 for all of them as they are.
    """

    samples: list[CorrectorSample[np.ndarray]]
    count: int = 0
    seed: int = 0

    def __len__(self) -> int:
        return self.count or len(self.samples)

    def of_epoch(self, epoch: int) -> Iterator[CorrectorSample[np.ndarray]]:
        """Yield the samples of an epoch."""
        if not self.count:
            yield from self.samples
        rng = np.random.default_rng((self.seed, epoch))
        for _ in range(self.count):
            yield turned(self.samples[rng.integers(len(self.samples))], rng)


def turned(sample: CorrectorSample[np.ndarray], rng: np.random.Generator) -> CorrectorSample[np.ndarray]:
    """Return a sample turned, mirrored and of either sign: all of these are equally possible seas.

    Sides that differ are not exchanged.
    """
    maps = {name: getattr(sample, name) for name in _MAPS}
    axes = tuple(axis for axis in (-2, -1) if rng.random() < 0.5)
    maps = {name: np.flip(part, axes) for name, part in maps.items()}
    if sample.water.shape[0] == sample.water.shape[1] and rng.random() < 0.5:
        maps = {name: part.swapaxes(-1, -2) for name, part in maps.items()}
    sign = np.float32(rng.choice([-1, 1]))
    maps = {name: np.ascontiguousarray(part) for name, part in maps.items()}
    return sample._replace(**maps | {name: sign * maps[name] for name in _SIGNED})


def days_drawn(config: UNet) -> int:
    """Return the days of the windows that `pool` takes: any day of its own window is that with the hidden pixels."""
    return config.window if config.network == "central-day" else 2 * config.window - 1


def shown_days(values: np.ndarray, config: UNet, *, past: bool) -> tuple[np.ndarray, int]:
    """Return the days that a network is shown round the middle one of some, and which of them this is.

    Parameters
    ----------
    values
        (days, lat, lon), of `days_drawn` days.
    past
        Whether nothing is known of the days after it: it is the last then, where the network answers all days.
    """
    half = config.window // 2
    if config.network == "all-days":
        first, day = (0, config.window - 1) if past else (config.window - 1 - half, half)
        return values[first : first + config.window].copy(), day
    values = values.copy()
    if past:
        values[half + 1 :] = np.nan
    return values, half


def scalars_of(
    guess: FirstGuess, region: Region, centre: np.datetime64, config: UNet, *, follows: bool = False
) -> np.ndarray:
    """Return the inputs that describe a window of a region around a day, and whether it follows the water."""
    scalars = guess.scalars(region, centre)
    return scalars if config.network == "central-day" else np.append(scalars, np.float32(follows))


def pool(
    windows: Iterable[HiddenWindow],
    guess: FirstGuess,
    region: Region,
    *,
    config: UNet,
    seed: int,
    progress: Callable[[int], None] = lambda done: None,
) -> list[CorrectorSample[np.ndarray]]:
    """Return samples to train a corrector on.

    Parameters
    ----------
    windows
        Windows with hidden pixels, of this many days as `days_drawn` says.
    guess, region
        The first guess, and the grid that windows were cut from.
    config
        Of the network; a share of `past_fraction` of the windows has no day after the one with the hidden pixels.
    progress
        Called with the number of samples made.
    """

    def one(item: tuple[int, HiddenWindow]) -> CorrectorSample[np.ndarray]:
        number, window = item
        past = np.random.default_rng((seed, number)).random() < config.past_fraction
        here, (values, day) = region.part(*window.crop), shown_days(window.values, config, past=past)
        first = guess.analyse(guess.solver(here, len(values)), values, here)
        scaled = (values / here.scale).astype(np.float32)
        truth = np.where(window.hidden, window.truth / here.scale, 0).astype(np.float32)
        weight, noise = window.hidden.astype(np.float32), np.array(guess.error_variance(here), np.float32)
        centre = window.day + np.timedelta64(config.window // 2 - day, "D")
        about = scalars_of(guess, here, centre, config)
        day_at = np.array(day)
        return CorrectorSample(scaled, first, here.water, spread_of(here), about, truth, weight, noise, day_at)

    made = []
    with workers() as threads:
        for sample in threads.map(one, enumerate(windows)):
            made.append(sample)
            progress(len(made))
    return made
