"""The nightly update: which days of an analysis must be filled again because an image came in or changed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from sereno.cube import DayRange
from sereno.errors import InputError
from sereno.io.inputs.cube import SEEN
from sereno.io.stores.checksums import EMPTY
from sereno.io.stores.filled import NOT_YET, FilledStore
from sereno.workflow.fill_request import Request
from sereno.workflow.influence import Influence


@dataclass(frozen=True, eq=False)
class Update:
    """What an update found, days as datetime64[D].

    Attributes
    ----------
    new
        Days that the analysis did not have.
    again
        Days that it had, to be filled again.
    late
        Days whose image came after they had been filled from an empty one.
    changed_images
        Days whose image is another than they were filled from.
    gone
        Days that have no image any more.
    empty
        New days without an image.
    """

    new: np.ndarray
    again: np.ndarray
    late: np.ndarray
    changed_images: np.ndarray
    gone: np.ndarray
    empty: np.ndarray

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.new.size or self.again.size)


def update_store(store: FilledStore, ask: Request, influence: Influence) -> Update:
    """Make a store reach to the last of the days wanted, and mark as not done what has to be filled again.

    That is every day within the method's reach of a day that came in or changed; in near real time, which looks back
    alone, only those after it. All images of the input are compared.

    Raises
    ------
    InputError
        If the store was made with other settings, or the input does not hold what influences those days.
    """
    store.require_settings(ask.fixed_settings, remedy="repeat those settings, or fill into a new store")
    store.recover()
    had, done, images = store.days, store.checksums, ask.images
    before_input, wanted = DayRange.parse(store.settings["input"]), DayRange.of(ask.wanted)
    held = ask.cube["time"].values.astype("datetime64[D]")
    _require_forward(store, wanted.first, had[0])
    known = np.isin(had, held) & (done != NOT_YET)
    looked, before = had[known], done[known]
    now = images.of(looked)
    late, gone = looked[(before == EMPTY) & (now != EMPTY)], looked[(before != EMPTY) & (now == EMPTY)]
    other = looked[(before != EMPTY) & (now != EMPTY) & (now != before)]
    came = held[held > before_input.last]
    new = held[(held > had[-1]) & (held <= wanted.last)]
    again = influence.influenced(had[done != NOT_YET], np.concatenate([late, other, gone, came]))
    again = np.union1d(again, _influenced_by_others(store, held, before_input.first, influence))
    empty = new[images.of(new) == EMPTY]
    update = Update(new, again, late, other, gone, empty)
    if update.changed:
        influence.require_input(again, held[0], before_input.first)
        now_input = DayRange(before_input.first, max(held[-1], before_input.last))
        now_days = DayRange(had[0], max(wanted.last, had[-1]))
        moved = {"input": str(now_input), "days": str(now_days)}
        store.fill_again({**ask.settings, **moved}, again, last=now_days.last)
    return update


def _influenced_by_others(
    store: FilledStore, held: np.ndarray, begun: np.datetime64, influence: Influence
) -> np.ndarray:
    """Return the days that are done from other images than the input holds, as far as it holds all of theirs.

    An image may have changed that influences days of the analysis and is not itself of one.
    """
    noted, _ = store.noted
    comparable = (noted != NOT_YET) & (store.checksums != NOT_YET)
    if held[0] > begun:
        comparable &= influence.first(store.days) >= held[0]
    days = store.days[comparable]
    return np.asarray(days[influence.around(days) != noted[comparable]])


def with_water_of(cube: xr.Dataset, store: FilledStore) -> xr.Dataset:
    """Return a cube with the water of a store on its grid, where the water was a guess from what was observed."""
    guessed = str(cube.attrs.get("water_from", "")).startswith(SEEN)
    if not guessed or store.water.shape != cube["water"].shape:
        return cube
    return cube.assign(water=(cube["water"].dims, store.water))


def _require_forward(store: FilledStore, first: np.datetime64, begun: np.datetime64) -> None:
    if first < begun:
        raise InputError(
            f"{store.path}: begins with {begun}, and an analysis only grows forward, but the days to fill begin with "
            f"{first}; give `days` {begun}: or fill into a new store"
        )
