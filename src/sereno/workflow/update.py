"""The nightly update: which days of an analysis must be filled anew because an image came in or changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from sereno.errors import InputError
from sereno.io.inputs.cube import SEEN
from sereno.io.stores.checksums import EMPTY, Images
from sereno.io.stores.filled import NOT_YET, FilledStore
from sereno.workflow.fill_request import MOVING

DAY = np.timedelta64(1, "D")


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


def update_store(
    store: FilledStore, cube: xr.Dataset, images: Images, settings: Mapping[str, str], *, reach: int, nrt: bool
) -> Update:
    """Make a store reach to the last of the days wanted, and mark as not done what has to be filled again.

    That is every day within the method's reach of a day that came in or changed; in near real time, which looks back
    alone, only those after it. Looked at are all images that the input holds.

    Raises
    ------
    InputError
        If the store was made with other settings, or the input does not hold what bears on those days.
    """
    store.require_settings(
        {name: value for name, value in settings.items() if name not in MOVING},
        remedy="repeat those settings, or fill into a new store",
    )
    store.recover()
    had, done = store.days, store.checksums
    begun, ended = store.settings["input"].split(":")
    held = cube["time"].values.astype("datetime64[D]")
    first, last = (np.datetime64(day) for day in settings["days"].split(":"))
    _require_forward(store, first, had[0])
    known = np.isin(had, held) & (done != NOT_YET)
    looked, before = had[known], done[known]
    now = images.of(looked)
    late, gone = looked[(before == EMPTY) & (now != EMPTY)], looked[(before != EMPTY) & (now == EMPTY)]
    other = looked[(before != EMPTY) & (now != EMPTY) & (now != before)]
    came = held[held > np.datetime64(ended)]
    new = held[(held > had[-1]) & (held <= last)]
    again = _within(had[done != NOT_YET], np.concatenate([late, other, gone, came]), reach, nrt=nrt)
    again = np.union1d(again, _influenced_by_others(store, images, held, np.datetime64(begun), reach, nrt=nrt))
    empty = new[images.of(new) == EMPTY]
    found = Update(new, again, late, other, gone, empty)
    if found.changed:
        require_context(again, held[0], np.datetime64(begun), reach)
        moved = {"input": f"{begun}:{max(held[-1], np.datetime64(ended))}", "days": f"{had[0]}:{max(last, had[-1])}"}
        store.fill_again({**settings, **moved}, again, last=max(last, had[-1]))
    return found


def _influenced_by_others(
    store: FilledStore, images: Images, held: np.ndarray, begun: np.datetime64, reach: int, *, nrt: bool
) -> np.ndarray:
    """Return the days that are done from other images than the input holds, as far as it holds all of theirs.

    An image may have changed that influences days of the analysis and is not itself of one.
    """
    noted, _ = store.noted
    comparable = (noted != NOT_YET) & (store.checksums != NOT_YET)
    if held[0] > begun:
        comparable &= store.days - reach * DAY >= held[0]
    days = store.days[comparable]
    return np.asarray(days[images.around(days, reach=reach, nrt=nrt) != noted[comparable]])


def with_water_of(cube: xr.Dataset, store: FilledStore) -> xr.Dataset:
    """Return a cube with the water of a store on its grid, where the water was a guess from what was observed."""
    guessed = str(cube.attrs.get("water_from", "")).startswith(SEEN)
    if not guessed or store.water.shape != cube["water"].shape:
        return cube
    return cube.assign(water=(cube["water"].dims, store.water))


def _within(days: np.ndarray, images: np.ndarray, reach: int, *, nrt: bool) -> np.ndarray:
    """Return those of the days that an image bears on."""
    apart = (days[:, None] - images[None]) / DAY
    return np.asarray(days[((apart <= reach) & (apart >= (0 if nrt else -reach))).any(axis=1)])


def _require_forward(store: FilledStore, first: np.datetime64, begun: np.datetime64) -> None:
    if first < begun:
        raise InputError(
            f"{store.path}: begins with {begun}, and an analysis only grows forward, but the days to fill begin with "
            f"{first}; give --days {begun}: or fill into a new store"
        )


def require_context(again: np.ndarray, held: np.datetime64, begun: np.datetime64, reach: int) -> None:
    """Refuse an input that begins later than what bears on a day, unless it began there all along."""
    if again.size and held > max(begun, again[0] - reach * DAY):
        raise InputError(
            f"{again[0]} must be filled, on which images from {again[0] - reach * DAY} on bear, but the input "
            f"begins with {held}; give the files before it as well"
        )
