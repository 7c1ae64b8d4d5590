"""The iterations of DINEOF: fill the gaps with the leading modes, take the modes of what was filled, and so on.

Beckers and Rixen (2003, J. Atmos. Oceanic Technol. 20, 1839–1856); Alvera-Azcárate et al. (2005, Ocean Modelling 9,
325–346). Gaps start at zero; modes are added one by one, each time until the filled values hardly change any more,
and the number of modes is the one that serves withheld observations best.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from sereno.reconstruct.dineof.eof import GUARD, Eofs, first_vectors, over_rows, power_step, project

WARM_UP = 4
"""Steps that fresh vectors get."""
RISES = 3
"""Modes are no longer added when the error at withheld pixels has risen so often in a row."""


@dataclass(frozen=True)
class Stopping:
    """When the filled values count as settled.

    Attributes
    ----------
    tolerance
        Root mean square change of the filled values, in units of the standard deviation of the observations.
    most_iterations
        Iterations of one number of modes at most.
    """

    tolerance: float = 1e-3
    most_iterations: int = 300


class Filling:
    """A gappy matrix on its way to being filled.

    Parameters
    ----------
    observations
        Anomalies, float (pixels, days), NaN where missing; taken over, not copied.
    filtering
        The matrix that vectors along time are smoothed by, (days, days): see `sereno.reconstruct.dineof.filter`.
    seed
        Seed of the first vectors.
    """

    def __init__(self, observations: np.ndarray, filtering: np.ndarray, *, seed: int = 0) -> None:
        self.missing = np.isnan(observations)
        self.matrix = observations
        self.matrix[self.missing] = 0
        self.filtering = filtering
        self.count = int(np.count_nonzero(self.missing))
        known = self.missing.size - self.count
        self.scale = float(np.sqrt(self._square() / max(known, 1)))
        self._seed = seed
        self._vectors = np.empty((self.matrix.shape[1], 0))

    def settle(self, modes: int, stopping: Stopping) -> tuple[Eofs, int]:
        """Iterate with a number of modes until the filled values settle; return the modes and the iterations made."""
        iteration, change = 0, np.inf
        # Blocks of rows have all cores already, and small matrices are slowed by threads that wait for each other.
        with threadpool_limits(1, user_api="blas"):
            self._widen(modes)
            while change > stopping.tolerance * self.scale and iteration < stopping.most_iterations:
                iteration += 1
                basis = power_step(self.matrix, self.filtering, self._vectors)
                eofs, self._vectors = project(self.matrix, self.filtering, basis, modes)
                change = self._fill(eofs)
        return eofs, iteration

    def _widen(self, modes: int) -> None:
        """Provide as many vectors as `modes` need; fresh ones come to resemble the matrix's before it is filled."""
        days, have = self._vectors.shape
        want = min(days, modes + GUARD)
        if have < want:
            fresh = first_vectors(days, want, self._seed)
            self._vectors = np.linalg.qr(np.hstack([self._vectors, fresh]))[0][:, :want]
            for _ in range(WARM_UP):
                self._vectors = power_step(self.matrix, self.filtering, self._vectors)

    def _fill(self, eofs: Eofs) -> float:
        """Put the truncated series into the gaps; return the root mean square change there."""
        amplitudes = np.ascontiguousarray(eofs.amplitudes.T, dtype=self.matrix.dtype)

        def fill(rows: slice) -> float:
            here = self.matrix[rows]
            difference = eofs.maps[rows] @ amplitudes
            difference -= here
            difference *= self.missing[rows]
            here += difference
            return float(np.vdot(difference, difference))

        return float(np.sqrt(sum(over_rows(self.matrix.shape, fill)) / max(self.count, 1)))

    def _square(self) -> float:
        """Return the sum of squares of the matrix."""
        return sum(over_rows(self.matrix.shape, lambda rows: float(np.vdot(self.matrix[rows], self.matrix[rows]))))


@dataclass(frozen=True)
class Trial:
    """What a number of modes is worth at the withheld pixels.

    Attributes
    ----------
    modes, iterations
        Modes, and the iterations that they took.
    error
        Root mean square error at the withheld pixels, K.
    eofs
        The modes, of the matrix without the withheld pixels.
    """

    modes: int
    iterations: int
    error: float
    eofs: Eofs


def numbers_of_modes(first: int, most: int) -> Iterator[int]:
    """Yield numbers of modes that grow by one each time, from eight on by a quarter; `first` and `most` are two."""
    modes = first
    while modes < most:
        yield modes
        modes = min(most, modes + max(1, modes // 4))
    yield modes


def trials(
    observations: np.ndarray,
    withheld: np.ndarray,
    filtering: np.ndarray,
    *,
    first: int,
    most: int,
    stopping: Stopping,
    seed: int = 0,
) -> Iterator[Trial]:
    """Add modes one by one and yield what each number of them is worth, until it has become worse for a while.

    Parameters
    ----------
    observations
        Anomalies, (pixels, days), NaN where missing.
    withheld
        bool, the observations that the modes may not see and are judged by.
    first, most
        Numbers of modes to start and to end with; never more than days or pixels.
    """
    filling = Filling(np.where(withheld, np.nan, observations), filtering, seed=seed)
    row, day = np.nonzero(withheld)
    truth = observations[row, day]
    errors: list[float] = []
    for modes in numbers_of_modes(first, min(most, *observations.shape)):
        eofs, iterations = filling.settle(modes, stopping)
        residual = np.einsum("im,im->i", eofs.maps[row], eofs.amplitudes[day]) - truth
        errors.append(float(np.sqrt(np.mean(residual**2))))
        yield Trial(modes, iterations, errors[-1], eofs)
        if len(errors) > RISES and all(b > a for a, b in zip(errors[-RISES - 1 :], errors[-RISES:], strict=False)):
            break
