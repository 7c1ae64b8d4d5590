"""Which windows answer the days of a run, and where in these the days lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sereno.config import UNet
from sereno.reconstruct.oi_grid.regions import RUN, Run

AFTER = 5
"""Days after the last of a run that a window of all days ends with: the run is then in its middle."""
LONG_ENOUGH = RUN + 2 * AFTER
"""Days of a window from which on it answers a run; each day has a window of its own where they are fewer."""
FURTHER = 5
"""Days on either side of a window of all days that its first guess knows too."""


@dataclass(frozen=True)
class Placed:
    """Days that windows answer, all from one first guess.

    Attributes
    ----------
    context
        The days of the first guess, among those given.
    at
        Positions, among the days asked for, of those that are answered.
    windows
        Of each of them the window, among the days of the first guess.
    slots
        Of each of them its day of the window; the network of the central day answers no other.
    """

    context: slice
    at: np.ndarray
    windows: list[slice]
    slots: np.ndarray

    def each_window(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield the windows, each with the numbers of the days that it answers."""
        starts = np.array([window.start for window in self.windows])
        for start in np.unique(starts):
            which = np.flatnonzero(starts == start)
            yield self.windows[which[0]], which


def days_solved(config: UNet) -> int:
    """Return the days of a first guess."""
    return config.window + (RUN - 1 if config.network == "central-day" else 2 * FURTHER)


def margin(config: UNet) -> int:
    """Return how many days a first guess may reach further from a day that it serves than half a window."""
    if config.network == "central-day":
        return RUN - 1
    return config.window - 1 - config.window // 2 + 2 * FURTHER


def placed(run: Run, observed: np.ndarray, config: UNet) -> list[Placed]:
    """Return the windows of the days of a run.

    The network of the central day has a window of its own for each. That of all days answers the run as the middle
    of one window. Where the last days of this are without observations, as in near real time, the window lies as much
    earlier as leaves none of them: then a day is answered as one of the last, from as many observations as there are.
    The first guess, which knows `FURTHER` days on either side of the window, ends earlier in the same way. Which
    window answers a day follows from the images alone, not from what else is asked for.

    Parameters
    ----------
    run
        As of `sereno.reconstruct.oi_grid.regions.runs`.
    observed
        Whether anything was observed, of each given day: `margin` and half a window before the first
        day asked for, all of these, and as many after.
    """
    window, half = config.window, config.window // 2
    if config.network == "central-day":
        windows = [slice(day, day + window) for day in run.targets.tolist()]
        return [Placed(run.context, run.at, windows, np.full(len(run.at), half))]
    days = run.at + half + margin(config)
    first = days - run.targets
    end = first + RUN - 1 + AFTER if window >= LONG_ENOUGH else days + half
    latest = np.maximum.accumulate(np.where(observed, np.arange(len(observed)), 0))
    last = np.maximum(days, latest[end])
    parts = []
    for each in np.unique(last):
        which = last == each
        start = int(each) - window + 1
        stop = max(int(each), int(latest[int(each) + FURTHER])) + 1
        context = slice(stop - days_solved(config), stop)
        within = slice(start - context.start, start - context.start + window)
        parts.append(Placed(context, run.at[which], [within] * int(which.sum()), days[which] - start))
    return parts
