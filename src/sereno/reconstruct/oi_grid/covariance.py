"""The covariance of gridded optimal interpolation: its parameters, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from sereno.reconstruct.oi_grid.solver import Grid, Term, resolved
from sereno.saved import number, numbers

NARROWEST = 12.0
"""Width in km of the narrowest term before tuning; of 1.2 cells where these are larger."""
WIDEST = 300.0
"""Width in km of the widest one before tuning; of four times the narrowest where that is more."""
TIMES = (3.0, 20.0)
"""Time scales in days of these two before tuning; others lie between, evenly on a logarithmic axis."""
SHARED_ERROR = (0.1, 100.0)
"""Standard deviation, in climatological ones, and width in km of an error shared by a day, before tuning."""
FORGOTTEN = 0.35
"""Correlation with the target day below which a term's observations may be taken in blocks that do not resolve it."""
SAVED = {
    "variances": (1e-9, 1e4),
    "widths": (1e-3, 1e5),
    "times": (1e-3, 1e5),
    "noise": (1e-9, 1e9),
    "shared_error": (1e-9, 1e4),
    "error_width": (1e-3, 1e5),
}
"""Bounds of what is read from a saved model."""
BLOCKS = (2, 4)
"""Cells of these blocks."""


@dataclass(frozen=True)
class GriddedCovariance:
    """A sum of terms, Gaussian in space and Matérn-3/2 in time, and the errors of observations.

    Attributes
    ----------
    variances, widths, times
        Of each term of the anomaly, as for `sereno.reconstruct.oi_grid.solver.Term`.
    noise
        Standard deviation of the uncorrelated error of an observation, the field's unit.
    shared_error, error_width
        Standard deviation, in climatological ones, and width in km of an error that a day's observations share.
    """

    variances: tuple[float, ...]
    widths: tuple[float, ...]
    times: tuple[float, ...]
    noise: float
    shared_error: float
    error_width: float

    @classmethod
    def start(cls, count: int, *, cell: float, noise: float) -> Self:
        """Return that of `count` terms which tuning starts from, for cells of this many km."""
        narrowest = max(NARROWEST, 1.2 * cell)
        widths = np.geomspace(narrowest, max(WIDEST, 4 * narrowest), count)
        numbers = [
            tuple(map(float, values)) for values in (np.full(count, 1 / count), widths, np.geomspace(*TIMES, count))
        ]
        return cls(numbers[0], numbers[1], numbers[2], noise, *SHARED_ERROR)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Rebuild from `vars` of one, as JSON holds it."""
        count = len(values["variances"])
        variances, widths, times = (
            numbers(values, name, *SAVED[name], length=count) for name in ("variances", "widths", "times")
        )
        errors = (number(values, name, *SAVED[name]) for name in ("noise", "shared_error", "error_width"))
        return cls(variances, widths, times, *errors)

    def logarithms(self) -> Tensor:
        """Return all parameters as unbounded numbers, float32 (3 terms + 3,)."""
        numbers = (*self.variances, *self.widths, *self.times, self.noise, self.shared_error, self.error_width)
        return torch.log(torch.tensor(numbers))

    @classmethod
    def from_logarithms(cls, logarithms: Tensor) -> Self:
        """Return the covariance of what `logarithms` gave."""
        numbers = [float(value) for value in logarithms.detach().exp()]
        count = len(numbers) // 3 - 1
        parts = [tuple(numbers[k * count : (k + 1) * count]) for k in range(3)]
        return cls(parts[0], parts[1], parts[2], *numbers[3 * count :])

    def terms(self) -> list[Term]:
        """Return the terms, the narrowest first, and that of the correlated error."""
        signal = sorted(zip(self.widths, self.variances, self.times, strict=True))
        error = Term(self.shared_error**2, self.error_width, 0.0, False)
        return [*(Term(variance, width, time) for width, variance, time in signal), error]


def terms_of(logarithms: Tensor, *, cell: float) -> tuple[list[Term], Tensor]:
    """Return the terms and the noise, differentiable; widths are a cell at least."""
    numbers = logarithms.exp()
    count = len(numbers) // 3 - 1
    variances, widths, times = numbers[: 3 * count].view(3, count)
    noise, shared, width = numbers[3 * count :]
    widths = widths.clamp(min=cell)
    signal = [Term(variances[k], widths[k], times[k]) for k in range(count)]
    return [*signal, Term(shared**2, width.clamp(min=cell), 0.0, False)], noise


def day_blocks(terms: Sequence[Term], grid: Grid, window: int, *, targets: int = 1) -> list[int]:
    """Return how large the blocks are whose means represent the observations of each day round target days.

    The further from the target days, the larger: the terms that they blur have been forgotten by then.
    """
    sizes, half = [], window // 2
    for day in range(-half, targets + half):
        lag = max(-day, day - targets + 1, 0)
        forgotten = [t for t in terms if t.signal and correlation_in_time(t, lag) < FORGOTTEN]
        good = [n for n in BLOCKS if all(resolved(t, grid.coarser(n)) or t in forgotten for t in terms if t.signal)]
        sizes.append(max(good, default=1) if lag else 1)  # the target day is needed cell by cell
    return sizes


def correlation_in_time(term: Term, lag: int) -> float:
    """Return the correlation of a term with itself some days later."""
    scaled = math.sqrt(3) * lag / float(term.time)
    return (1 + scaled) * math.exp(-scaled)
