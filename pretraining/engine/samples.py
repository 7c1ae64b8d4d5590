"""Windows to train on: pieces of a sea below clouds, with their errors, first guess and truth, of all days."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional

from engine.clouds import RealClouds, cloud_masks
from engine.coasts import draw_coasts
from engine.currents import Quality, as_seen
from engine.guesses import Noise, first_guess, sea_terms
from engine.noise import Strengths, draw_errors, draw_strengths
from engine.randomness import generator
from engine.seas import Seas, SeaStream
from sereno.nets.alldays import COARSE
from sereno.nets.carry import DAY, carried, paths

WINDOW = 15
MISJUDGED = 0.15
"""Standard deviation of the logarithm of what is known of the errors over what they are."""
EVERY_SECOND_DAY = 0.15
"""Share of the seas of which every second day is taken."""
FOLLOWED, WRONG = 0.5, 0.07
"""Share of the seas whose currents are followed, and of these the share with currents of another sea."""
REAL = 0.45
"""Share of the windows below real clouds, where there are some."""
EMPTY_WINDOWS, EMPTY_DAYS = 0.3, 0.3
"""Share of the windows of which days are wholly hidden, and of their days that are."""
ENDS = 0.15
"""Share of the windows that lack their first days, and of those that lack their last, as where a record ends."""
UNEVEN = 0.2
"""Standard deviation of the logarithm of the climatological spread over the map, of half of the windows."""


@dataclass
class Windows:
    """Windows in units of the standard deviation of what is seen, float16 where not said otherwise.

    Attributes
    ----------
    values
        (n, days, lat, lon), NaN where nothing was seen.
    guess, truth
        Of the same shape; `truth` is NaN where it is not known.
    water
        bool (n, lat, lon).
    spread
        Logarithm of the climatological standard deviation over its mean, (n, lat, lon).
    scalars
        float32 (n, numbers).
    flow
        True eastward and northward velocity, less that of the currents that are followed, cells a day, on cells
        `COARSE` times as large, (n, days, 2, lat, lon); NaN where temperature is not carried by it.
    reference
        Day in whose frame a window is that follows the currents; −1 for one that does not; int64 (n,).
    """

    values: Tensor
    guess: Tensor
    truth: Tensor
    water: Tensor
    spread: Tensor
    scalars: Tensor
    flow: Tensor
    reference: Tensor

    def __len__(self) -> int:
        return len(self.water)

    def __getitem__(self, which: Tensor | slice) -> Windows:
        return Windows(*(part[which] for part in self.parts()))

    def parts(self) -> list[Tensor]:
        """Return all tensors in order."""
        return [getattr(self, field.name) for field in fields(self)]

    def to(self, device: torch.device | str) -> Windows:
        """Return them on a device."""
        return Windows(*(part.to(device) for part in self.parts()))

    @classmethod
    def joined(cls, several: Sequence[Windows]) -> Windows:
        """Lay some together."""
        return cls(*(torch.cat(parts) for parts in zip(*(windows.parts() for windows in several), strict=True)))


@dataclass(frozen=True)
class Sampler:
    """Makes windows of seas.

    Attributes
    ----------
    side
        Cells of a window along either side.
    count
        Windows of each sea of a block.
    clouds
        Real clouds, if there are any.
    followed
        Share of the seas whose currents are followed.
    wrong
        Of these the share with currents of another sea.
    references
        Days in whose frames windows are that follow the currents, by turns; −1 draws one.
    quality
        Of the currents; None draws one for each sea.
    """

    side: int = 96
    count: int = 12
    clouds: RealClouds | None = None
    followed: float = FOLLOWED
    wrong: float = WRONG
    references: tuple[int, ...] = (WINDOW // 2, WINDOW - 1, -1)
    quality: Quality | None = None

    def windows(self, seas: Seas, number: int, random: torch.Generator) -> Windows:
        """Return windows of one sea of a block.

        Parameters
        ----------
        seas, number
            The block, and which of its seas.
        random
            On the device of the seas.
        """
        lots = torch.rand(2, generator=random, device=random.device).tolist()
        step = 2 if lots[0] < EVERY_SECOND_DAY else 1
        anomaly, spacing = seas.anomaly[number], seas.spacing[number]
        aside = generator(*_below(2**31, 1, random), device=random.device)
        current = self._current(seas, number, aside) if lots[1] < self.followed else None
        strengths = draw_strengths(random, 1)
        white, shared, length = (float(part) for part in strengths[:3])
        std = math.sqrt(1 + white**2 + shared**2)
        terms, followed = sea_terms(anomaly, seas.resting[number], spacing, current, step=step)
        terms = [term._replace(variance=term.variance / std**2) for term in terms]
        current = current if followed else None
        groups, each = (
            [_whole(reference, random) for reference in self.references],
            self.count // len(self.references),
        )
        made = [self._group(seas, number, current, day, strengths, step, each, random) for day in groups]
        values, truth, water, spread, flow = (torch.cat(parts) for parts in zip(*made, strict=True))
        values, truth = values / std, truth / std
        wrong = torch.exp(MISJUDGED * torch.randn(2, generator=random, device=random.device)).tolist()
        known = Noise(wrong[0] * white / std, wrong[1] * shared / std, length / math.sqrt(2))
        guess, numbers = first_guess(values, water, spacing, terms, known, spread)
        angle = 2 * math.pi * torch.rand(len(values), generator=random, device=random.device)
        scalars = torch.from_numpy(numbers).to(angle).repeat(len(values), 1)
        scalars = torch.cat([scalars[:, :-2], angle.sin()[:, None], angle.cos()[:, None], 0 * scalars[:, :1]], 1)
        scalars[:, -1] = float(current is not None)
        reference = torch.tensor(groups, device=angle.device).repeat_interleave(each)
        if current is None:
            reference = torch.full_like(reference, -1)
        if seas.kind[number] == "smooth":
            flow = torch.full_like(flow, torch.nan)
        values, guess, truth, spread, flow = (part.half() for part in (values, guess, truth, spread, flow))
        return Windows(values, guess, truth, water, spread, scalars, flow, reference)

    def _current(self, seas: Seas, number: int, random: torch.Generator) -> Tensor:
        """Return what is known of the currents of a sea, (days, 2, side, side)."""
        wrong = torch.rand((), generator=random, device=random.device) < self.wrong
        source = (number + 1) % len(seas.kind) if wrong else number
        quality = self.quality or Quality.draw(random)
        return as_seen(seas.current[source], seas.spacing[number], quality, random)

    def _group(
        self,
        seas: Seas,
        number: int,
        current: Tensor | None,
        reference: int,
        strengths: Strengths,
        step: int,
        count: int,
        random: torch.Generator,
    ) -> tuple[Tensor, ...]:
        """Return values, truth, water, spread and flow of windows that share a reference day."""
        anomaly, spacing = seas.anomaly[number], seas.spacing[number].expand(count, 2)
        reach, size = step * (WINDOW - 1) + 1, anomaly.shape[-1]
        days = [slice(first, first + reach, step) for first in _below(len(anomaly) - reach + 1, count, random)]
        truth = torch.stack([anomaly[part] for part in days]).float()
        cloudy = self._cloudy(count, size, random)
        coast = draw_coasts(random, count, side=size) & seas.water[number]
        each = Strengths(*(part.expand(count) for part in strengths))
        values = truth + draw_errors(random, cloudy, spacing, each)
        spread = _spread(count, size, random)
        # The sea is the same in units of the spread, its errors are not.
        values = truth + (values - truth) * torch.exp(-spread[:, None])
        values[cloudy | ~coast[:, None]] = torch.nan
        _hide(values, random)
        flow = torch.stack([seas.current[number][part] for part in days]).float()
        if current is not None:
            known = torch.stack([current[part] for part in days])
            places = paths(step * known, spacing, reference)
            resting = seas.resting[number].expand(count, 1, -1, -1)
            values = carried(values, places, resting=resting, nearest=True)
            truth = carried(truth, places, resting=resting)
            flow = torch.stack([carried(part, places) for part in (flow - known).unbind(2)], 2)
        flow = step * DAY / 1e3 * flow / spacing.flip(1)[:, None, :, None, None]
        rows, columns = (_below(size - self.side + 1, count, random) for _ in range(2))
        values, truth, coast, spread = (
            _cut(maps, rows, columns, self.side) for maps in (values, truth, coast, spread)
        )
        values[~coast[:, None].expand_as(values)] = torch.nan
        flow = functional.avg_pool2d(_cut(flow, rows, columns, self.side).flatten(0, 1), COARSE)
        return values, truth, coast, spread, flow.reshape(count, WINDOW, 2, *flow.shape[-2:])

    def _cloudy(self, count: int, size: int, random: torch.Generator) -> Tensor:
        """Return clouds, simulated or real, bool (count, `WINDOW`, size, size)."""
        cloudy = cloud_masks(random, count, days=WINDOW, side=size)
        if self.clouds is None:
            return cloudy
        real = self.clouds.draw(random, count, days=WINDOW, side=size)
        chosen = torch.rand(count, generator=random, device=random.device) < REAL
        return torch.where(chosen[:, None, None, None], real, cloudy)


def chunks(sampler: Sampler, stream: SeaStream) -> Iterator[Windows]:
    """Yield windows of one sea after another, without end: each follows from the stream's seed and block alone."""
    while True:
        block = stream.number
        seas = stream.next()
        for number in range(len(seas.kind)):
            yield sampler.windows(seas, number, generator(stream.seed, block, number, device=stream.device))


def _hide(values: Tensor, random: torch.Generator) -> None:
    """Take away whole days, in place."""
    count, days = values.shape[:2]
    lots = torch.rand(3, count, 1, generator=random, device=values.device)
    empty = torch.rand(count, days, generator=random, device=values.device) < EMPTY_DAYS
    missing = torch.randint(1, days - 4, (count, 1), generator=random, device=values.device)
    day = torch.arange(days, device=values.device)
    hidden = (lots[0] < EMPTY_WINDOWS) & empty
    hidden |= (lots[1] < ENDS) & (day < missing)
    hidden |= (lots[1] > 1 - ENDS) & (day >= days - missing)
    values[hidden] = torch.nan


def _spread(count: int, size: int, random: torch.Generator) -> Tensor:
    """Return the logarithm of the climatological spread over its mean, (count, size, size); 0 for half of them."""
    coarse = UNEVEN * torch.randn(count, 1, 5, 5, generator=random, device=random.device)
    coarse *= torch.rand(count, 1, 1, 1, generator=random, device=random.device) < 0.5
    fine = functional.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=True)[:, 0]
    return fine - fine.mean((1, 2), keepdim=True)


def _cut(maps: Tensor, rows: Sequence[int], columns: Sequence[int], side: int) -> Tensor:
    """Return a piece of each of the maps (n, …, lat, lon)."""
    places = zip(maps, rows, columns, strict=True)
    return torch.stack([part[..., row : row + side, column : column + side] for part, row, column in places])


def _below(end: int, count: int, random: torch.Generator) -> list[int]:
    return torch.randint(end, (count,), generator=random, device=random.device).tolist()


def _whole(reference: int, random: torch.Generator) -> int:
    """Return a reference day; a drawn one for −1."""
    (drawn,) = _below(WINDOW, 1, random)
    return reference if reference >= 0 else drawn
