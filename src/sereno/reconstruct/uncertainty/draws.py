"""What is withheld of a record to calibrate on: real clouds of other days, for a while, and voids of some length.

Clouds stay. A day that lost some of its observations to the clouds of a single other day has more visible
observations before and after than a day in a real gap, so the clouds are those of a run of days, applied to as many.
How long it is, and how much of the sea a void empties, differs from draw to draw, so that both dense and sparse
surroundings occur.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from sereno.gaps.statistics import share_of
from sereno.gaps.withholding import SMALLEST_COVERAGE, donor_clouds, donor_of, hides_enough, observed_on, shown_part

RUNS = (2, 4, 1, 15, 2, 4, 7)
"""Days either side of the withheld one that lose observations to the same run of clouds, in turns; then a void."""
VOIDS = (1, 2, 4, 7, 11, 15)
"""Half-lengths of the voids, in turns: this many days without any observation, to either side, the day itself among
them."""
LONGEST_VOID = 0.15
"""Half-length of a void at most, as a share of the record."""
ROUNDS = 4
"""How often a short record is used, each time under other clouds."""
SHARE = 0.25
"""Share of a record's days that are drawn in a round, at most."""


class Draw(NamedTuple):
    """A day of a record and what is hidden from its reconstruction.

    Attributes
    ----------
    target
        Position of the day.
    withheld
        What is withheld of it, bool (lat, lon).
    donor
        Position of the day whose clouds are applied to it, and with those of its neighbours over the neighbours; None
        in a void.
    half
        Days either side that lose observations too.
    """

    target: int
    withheld: np.ndarray
    donor: int | None
    half: int

    def hide(self, values: np.ndarray, first: int, observed: Any) -> None:  # noqa: ANN401
        """Take from the days of a record, in place, what is hidden.

        Parameters
        ----------
        values
            Observations of the days from position `first` on, (days, lat, lon).
        observed
            Where the record was observed, bool (time, lat, lon), in memory or lazy.
        """
        begin, end = max(self.target - self.half, first), min(self.target + self.half + 1, first + len(values))
        for day in range(begin, end):
            here = values[day - first]
            if day == self.target:
                here[self.withheld] = np.nan
            elif self.donor is None:
                here[:] = np.nan
            elif 0 <= (donor := self.donor + day - self.target) < len(observed):
                here[~np.asarray(observed[donor])] = np.nan


def draw(
    cube: xr.Dataset, targets: np.ndarray, wanted: int, rng: np.random.Generator, *, together: bool = False
) -> Iterator[tuple[xr.Dataset, list[Draw], float]]:
    """Yield what is shown of a cube, draws of which none hides anything twice, and about what share of all one is.

    A round of draws at a time.

    Parameters
    ----------
    targets
        Positions of the days that may be drawn.
    wanted
        Draws in all, at most.
    together
        Whether the days of a round are reconstructed from one cube: then none but the day itself loses anything.
    """
    shown = shown_part(cube)
    clear = share_of(shown["observed"], shown["water"]).values
    eligible = targets[clear[targets] >= SMALLEST_COVERAGE]
    number, longest = 0, max(1, int(LONGEST_VOID * cube.sizes["time"]))
    of_round = min(max(4, round(SHARE * len(eligible))), len(eligible))
    for _ in range(ROUNDS):
        most = min(wanted - number, of_round)
        draws = list[Draw]()
        for index in rng.permutation(eligible):
            if len(draws) == most:
                break
            one = _draw_one(shown, int(index), clear, number + len(draws), longest, rng, together=together)
            if one is not None:
                draws.append(one)
        if not draws:
            return
        yield shown, sorted(draws, key=lambda one: one.target), 1 / min(wanted, ROUNDS * of_round)
        number += len(draws)
        if number >= wanted:
            return


def _draw_one(
    shown: xr.Dataset,
    index: int,
    clear: np.ndarray,
    number: int,
    longest: int,
    rng: np.random.Generator,
    *,
    together: bool,
) -> Draw | None:
    """Return the draw of a day, by its number in turns; None where no clouds will do."""
    observed = observed_on(shown, index)
    turn, place = divmod(number, len(RUNS) + 1)
    if place == len(RUNS):
        half = min(VOIDS[turn % len(VOIDS)], longest) - 1
        return Draw(index, observed, None, 0 if together else half)
    donor = donor_of(shown, index, observed, clear, rng)
    if donor is None:
        withheld = observed & donor_clouds(shown, index, observed, clear, rng)
        return Draw(index, withheld, None, 0) if hides_enough(withheld, observed) else None
    return Draw(index, observed & ~observed_on(shown, donor), donor, 0 if together else RUNS[place])
