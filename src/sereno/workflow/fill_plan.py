"""The plan of a fill: the store that is made or continued, its model, and the days that are left to fill."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from sereno.cube import DayRange, list_of_days
from sereno.errors import InputError
from sereno.io.models.model_folder import check_fits
from sereno.io.outputs.analysis import day_file
from sereno.io.outputs.atomic import discard
from sereno.io.outputs.daily import DailyFolder
from sereno.io.stores.base import differences
from sereno.io.stores.filled import NOT_YET, FilledStore, blank_analysis
from sereno.progress import Progress
from sereno.workflow.fill_request import Request, store_beside, store_of
from sereno.workflow.influence import Influence
from sereno.workflow.kept_model import Fitted, fitted_or_kept
from sereno.workflow.models import Model, load, save
from sereno.workflow.update import Update, update_store


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be done.

    Attributes
    ----------
    ask
        The request.
    store
        The store that is filled.
    fitted
        The model that fills it, and where it is kept.
    days
        The days of the output, or of the shard.
    lost
        Those that had been filled, but whose maps or files are lost or damaged.
    left
        Those to fill now.
    update
        What an update found, where it is one.
    was_finished
        Whether the store was whole before.
    """

    ask: Request
    store: FilledStore
    fitted: Fitted
    days: np.ndarray
    lost: np.ndarray
    left: np.ndarray
    update: Update | None
    was_finished: bool

    @property
    def model(self) -> Model:
        """The model that fills the store."""
        return self.fitted.model


def make_plan(ask: Request, progress: Progress) -> Plan:
    """Open or make the store of an output and find the days that are left to fill.

    Raises
    ------
    InputError
        If the store was made with other settings or from other images, or the input lacks days that are needed.
    """
    store, fitted = _open_or_make(ask, progress)
    influence = Influence(ask.images, fitted.model.reconstructor.reach, ask.options.nrt)
    if not ask.update and _require_same(ask, store, influence):
        discard_store(ask, store)
        store, fitted = _open_or_make(ask, progress)
    update, was_finished = None, not store.unfinished
    if ask.update:
        store.keep_books()
        update = update_store(store, ask, influence)
    days = ask.part_of(store.days)
    lost = find_lost(ask, store, fitted.model, days)
    store.unmark(lost)
    left = np.intersect1d(days, store.missing)
    if ask.update:  # files that were lost may be older than what the input holds by now
        begun = DayRange.parse(store.settings["input"]).first
        influence.require_input(left, ask.cube["time"].values[0].astype("datetime64[D]"), begun)
    return Plan(ask, store, fitted, days, lost, left, update, was_finished)


def find_lost(ask: Request, store: FilledStore, model: Model, scope: np.ndarray) -> np.ndarray:
    """Return the days that are done and whose maps, or files, are lost or damaged."""
    done = np.isin(store.days, scope) & (store.checksums != NOT_YET)
    if not ask.in_folder:
        return store.damaged(store.days[done])
    folder, blank, product = DailyFolder(ask.output), blank_analysis(ask.cube, ask.wanted[:1]), ask.product(model)
    sums = [None if not store.unfinished or noted == NOT_YET else int(noted) for noted in store.noted[1][done]]
    days = store.days[done]
    names = [day_file(ask.output, blank, product, day).name for day in days]
    return np.asarray(days[[folder.lacks(*each) for each in zip(names, sums, strict=True)]])


def discard_store(ask: Request, store: FilledStore) -> None:
    """Remove a store that is made, and the files that wait."""
    discard(store.path)
    DailyFolder(ask.output).discard()


def model_of(store: FilledStore) -> Model:
    """Load the model that a store holds."""
    with TemporaryDirectory() as folder:
        store.model_files(Path(folder))
        model = load(folder)
    assert isinstance(model, Model)
    return model


def _open_or_make(ask: Request, progress: Progress) -> tuple[FilledStore, Fitted]:
    """Open the store, or make it with its model, and return both.

    A model that is in memory already is not loaded again: if the store holds another, the settings differ.
    """
    settings = ask.settings  # of the images as they are before a method is fitted, which takes time
    path, fitted = _place(ask), Fitted(ask.method) if isinstance(ask.method, Model) else None
    if not path.exists():
        if ask.merge:
            raise InputError(f"{path}: there is nothing to merge; run the shards first")
        fitted = fitted_or_kept(
            ask.cube,
            ask.method,
            ask.output,
            days=ask.days,
            nrt=ask.options.nrt,
            images=ask.images,
            keep=ask.alone,
            progress=progress,
        )
        try:
            _make_store(ask, path, fitted.model, settings)
        except (InputError, OSError):
            fitted.forget()
            raise
    store = FilledStore.open(path)
    return store, fitted or Fitted(model_of(store))


def _make_store(ask: Request, path: Path, model: Model, settings: dict[str, str]) -> None:
    """Make a store with its model, for days that are all to be filled."""
    check_fits(model.description, ask.cube)
    with TemporaryDirectory() as folder:
        FilledStore.create(
            path,
            blank=blank_analysis(ask.cube, ask.wanted),
            product=ask.product(model),
            packed=ask.options.packed,
            settings=settings,
            model=save(model, Path(folder) / "model"),
        )


def _place(ask: Request) -> Path:
    """Return where the store is or has to be made; one that is worth nothing, or to be replaced, is removed."""
    path = store_of(ask.output)
    if not path.exists():
        return path
    store = FilledStore.open(path)
    fits = not differences(store.settings, ask.fixed_settings if ask.update else ask.settings)
    worthless = store.unfinished and not store.count_done()
    if (fits and store.unfinished) or not (ask.overwrite or (worthless and ask.alone and not fits)):
        return path
    if path == ask.output and not worthless:
        return store_beside(path)  # the old output stays until the new one is complete
    if not ask.alone:
        raise InputError(f"{path}: is of another run; remove it, or run the same command once without `shard`")
    discard_store(ask, store)
    return path


def _require_same(ask: Request, store: FilledStore, influence: Influence) -> bool:
    """Refuse to continue a store of other settings or images, and return whether it is to be made again instead.

    A shard compares few images but its own; a merge compares all.

    Raises
    ------
    InputError
        Names what differs, and what to do.
    """
    remedy = f"repeat those settings to continue it, or begin again with `overwrite`, which removes {store.path}"
    if store.path == ask.output:
        remedy = "repeat those settings, add new days with `update`, replace it with `overwrite`, or fill elsewhere"
    store.require_settings({k: v for k, v in ask.settings.items() if k != "checksums"}, remedy=remedy)
    other = _days_of_other_images(store, ask.part_of(store.days), influence)
    if other.size and ask.overwrite and ask.alone and not ask.merge:
        return True
    update = "" if ask.output.suffix == ".nc" or not ask.alone else "take the changes in with `update`, "
    remedy = f"give the input as it was, {update}or begin again with `overwrite`"
    if other.size:
        raise InputError(
            f"{store.path}: {other.size} of its days were filled from other images than the input holds now: "
            f"{list_of_days(other)}; {remedy}"
        )
    if not ask.alone and store.settings["checksums"] != ask.settings["checksums"]:
        raise InputError(f"{store.path}: was begun with other images than the input holds now; {remedy}")
    return False


def _days_of_other_images(store: FilledStore, scope: np.ndarray, influence: Influence) -> np.ndarray:
    """Return those days of `scope` that are done, but from other images than the input holds now."""
    done = np.isin(store.days, scope) & (store.checksums != NOT_YET)
    days, noted = store.days[done], store.noted[0][done]
    other = influence.images.of(days) != store.checksums[done]
    other |= (noted != NOT_YET) & (influence.around(days) != noted)
    return np.asarray(days[other])
