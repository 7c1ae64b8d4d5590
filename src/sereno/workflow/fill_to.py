"""An analysis of any size on disk: days filled by one process or many, in one run or several, into one store.

The store (`sereno.io.stores.filled`) is made first, by whoever comes first, and holds the model; then each process
fills days of its own, a block at a time, and marks them. Where daily files are asked for, the store keeps the books
alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from sereno.cube import Period, field_name, list_of_days, period_text
from sereno.errors import InputError
from sereno.io.outputs.analysis import require_place_for_analysis, write_analysis
from sereno.io.outputs.atomic import clear_litter, discard, put_in_place
from sereno.io.outputs.daily import DailyFolder
from sereno.io.outputs.locking import OutputLock, output_lock
from sereno.io.stores.checksums import Images
from sereno.io.stores.filled import FilledStore, blank_analysis
from sereno.progress import Progress, reporter
from sereno.workflow.choices import AnyMethod
from sereno.workflow.existing_outputs import is_done_already, others_than
from sereno.workflow.fill_jobs import Job, fill
from sereno.workflow.fill_request import (
    Request,
    find_lost,
    from_other_images,
    is_folder,
    open_or_make,
    require_same,
    require_same_images,
    settings_for,
    store_of,
    with_record,
)
from sereno.workflow.models import Model
from sereno.workflow.update import Update, require_context, update_store, with_water_of


class Shard(NamedTuple):
    """A part of the days, which are cut into `parts` of nearly equal length: the `number`-th, from 1."""

    number: int
    parts: int


@dataclass(frozen=True)
class Filled:
    """What was done.

    Attributes
    ----------
    path
        The output.
    days
        Days of the output, or of the shard.
    written
        Days filled this time.
    method
        Name of the method.
    finished
        Whether the output is whole; a shard leaves that to ``merge``.
    update
        What an update found, where it was one.
    lost
        How many of the days had been filled before, but their maps or files were lost or damaged.
    made
        False where the output was whole before and nothing was left to do.
    """

    path: Path
    days: int
    written: int
    method: str
    finished: bool
    update: Update | None = None
    lost: int = 0
    made: bool = True


def fill_to(
    cube: xr.Dataset,
    method: AnyMethod,
    output: str | Path,
    *,
    days: Period | None = None,
    nrt: bool = False,
    keep_observed: bool = False,
    packed: bool = True,
    workers: int | str = 1,
    shard: Shard | None = None,
    merge: bool = False,
    update: bool = False,
    overwrite: bool = False,
    progress: Progress | bool = False,
) -> Filled:
    """Fill days into ``OUT.nc``, ``OUT.zarr`` or a folder of daily files, and go on where an earlier run stopped.

    Parameters
    ----------
    cube, method, days, nrt, keep_observed
        As `sereno.workflow.fill.fill` takes them. A method is fitted once, by whoever comes first.
    output
        Unless it is a store itself, one with the books, and for ``OUT.nc`` with the maps, stands beside it until
        the output is whole: `store_of`.
    packed
        As `sereno.io.outputs.analysis.write_analysis` takes it.
    workers
        Processes at work; or the address of the scheduler of a Dask cluster, whose workers see the same files.
    shard
        Fill a part of the days only, and leave the rest to other processes.
    merge
        Fill nothing: finish what shards have filled.
    update
        Take in days that have come or changed since, fill again those within the method's reach of one, and leave all
        others untouched.
    overwrite
        Replace what stands at the output; a store or file that is there stays until the new one is whole. Of a
        folder, days that are not asked for stay if they were filled with the same settings.

    Raises
    ------
    InputError
        If another run is at work on the output; if something else stands there, or an analysis of other settings,
        model or input; if a value that was filled cannot be (`sereno.io.outputs.guard`); if days are missing at a
        merge; or if the options do not go together.
    """
    output, progress = Path(output), reporter(progress)
    _require_sense(output, shard=shard, merge=merge, update=update, overwrite=overwrite)
    require_place_for_analysis(output)
    with output_lock(output, shared=None if shard is None else f"shard {shard.number}/{shard.parts}") as lock:
        if shard is None:
            clear_litter(output, store_of(output), DailyFolder(output).waiting)
        if update and store_of(output).exists():
            cube = with_water_of(cube, FilledStore.open(store_of(output)))
        ask = Request(
            cube,
            method,
            output,
            period_text(cube, days),
            nrt=nrt,
            keep_observed=keep_observed,
            packed=packed,
            update=update,
            overwrite=overwrite,
            alone=shard is None,
        )
        return _fill_asked(ask, lock, shard=shard, merge=merge, workers=workers, progress=progress)


def _fill_asked(
    ask: Request, lock: OutputLock, *, shard: Shard | None, merge: bool, workers: int | str, progress: Progress
) -> Filled:
    """Fill what is asked for, with the lock held."""
    images = Images(ask.cube)
    settings = settings_for(ask, images)
    if is_done_already(ask, settings, images):
        part = _part_of(ask.wanted, shard)
        if ask.alone:
            _remove_store(ask)
        return Filled(ask.output, part.size, 0, ask.config.model.method, finished=shard is None, made=False)
    store, model = _open(ask, settings, images, shard, merge=merge, progress=progress)
    reach, found, finished = model.reconstructor.reach, None, not store.unfinished
    if ask.update:
        store.keep_books()
        found = update_store(store, ask.cube, images, settings, reach=reach, nrt=ask.nrt)
    part = _part_of(store.days, shard)
    lost = find_lost(ask, store, model, part)
    store.unmark(lost)
    left = np.intersect1d(part, store.missing)
    if ask.update:  # files that were lost may be older than what the input holds by now
        begun = np.datetime64(store.settings["input"].split(":")[0])
        require_context(left, ask.cube["time"].values[0].astype("datetime64[D]"), begun, reach)
    if not merge:
        _fill(ask, store, model, left, workers, progress)
    done = Filled(ask.output, part.size, 0 if merge else left.size, model.name, finished=False, lost=lost.size)
    if shard is not None:
        return done
    if (missing := store.missing).size:
        raise InputError(
            f"{store.path}: {missing.size} of {store.days.size} days are not filled: {list_of_days(missing)}; run "
            "the same command without --merge for all of them, or the shards that did not end"
        )
    if (again := find_lost(ask, store, model, left)).size:
        raise InputError(
            f"{store.path}: the maps of {again.size} days are not there as they were written: {list_of_days(again)}; "
            "look at the disk, and run the same command again"
        )
    lock.require()
    _finish(store, ask, model, found, progress=progress)
    return replace(done, finished=True, update=found, made=bool(left.size) or not finished)


def _open(
    ask: Request, settings: dict[str, str], images: Images, shard: Shard | None, *, merge: bool, progress: Progress
) -> tuple[FilledStore, Model]:
    """Open or make the store, and refuse one of other settings or images, but for an update, or begin it anew."""
    store, model = open_or_make(ask, settings, merge=merge, progress=progress)
    if ask.update:
        return store, model
    require_same(ask, store, settings)
    other = from_other_images(ask, store, images, _part_of(store.days, shard), reach=model.reconstructor.reach)
    if other.size and ask.overwrite and ask.alone and not merge:
        _remove(store, ask)
        return open_or_make(ask, settings, merge=merge, progress=progress)
    require_same_images(ask, store, settings, other)
    return store, model


def _part_of(days: np.ndarray, shard: Shard | None) -> np.ndarray:
    """Return the days of a shard."""
    return days if shard is None else np.array_split(days, shard.parts)[shard.number - 1]


def _fill(
    ask: Request, store: FilledStore, model: Model, days: np.ndarray, workers: int | str, progress: Progress
) -> None:
    """Fill days; a store without any that a fault of the model or the input ends is worth nothing, and removed."""
    job = Job(
        ask.cube,
        store.path.resolve(),
        ask.output.resolve(),
        days,
        nrt=ask.nrt,
        keep_observed=ask.keep_observed,
        packed=ask.packed,
    )
    try:
        fill(job, store, model, workers, progress)
    except InputError:
        if ask.alone and store.unfinished and not store.count_done():
            _remove(store, ask)
        raise


def _remove(store: FilledStore, ask: Request) -> None:
    """Remove a store that is made, and the files that wait."""
    discard(store.path)
    DailyFolder(ask.output).discard()


def _require_sense(output: Path, *, shard: Shard | None, merge: bool, update: bool, overwrite: bool) -> None:
    """Refuse options that do not go together."""
    if shard is not None and not 1 <= shard.number <= shard.parts:
        raise InputError(f"--shard {shard.number}/{shard.parts}: give I/N with I from 1 to N")
    if update and (shard is not None or merge):
        raise InputError("--update is the work of one command, not of shards; leave out --shard and --merge")
    if shard is not None and merge:
        raise InputError("--shard fills a part and --merge puts all together; give one of them")
    if update and overwrite:
        raise InputError("--update takes new days in and --overwrite begins anew; give one of them")
    if update and output.suffix == ".nc":
        raise InputError(f"{output}: one NetCDF file cannot be updated; give a name in .zarr or a folder")


def _finish(store: FilledStore, ask: Request, model: Model, found: Update | None, *, progress: Progress) -> None:
    """Write the output from the store where it is not the store itself, and mark it as finished."""
    product = ask.product(model)
    if found is not None and found.changed:
        history = {"history": str(store.group.attrs.get("history", ""))}
        blank = blank_analysis(ask.cube, store.days)
        store.tell(blank, replace(product, attributes=history), packed=ask.packed)
    if ask.output.suffix == ".nc":
        recorded = with_record(product, store.settings, store.noted[0], reach=model.reconstructor.reach)
        analysis = store.analysis(field_name(ask.cube))
        write_analysis(analysis, ask.output, product=recorded, packed=ask.packed, progress=progress)
    elif is_folder(ask.output):
        DailyFolder(ask.output).deliver(instead_of=others_than(store.settings, ask.output) if ask.overwrite else ())
    if (ask.output.suffix == ".zarr" or ask.update) and store.unfinished:
        store.clear()
        store.finish()
    if ask.output.suffix != ".zarr" and not ask.update:
        _remove_store(ask)
    elif ask.output.suffix == ".zarr" and store.path != ask.output:
        put_in_place(store.path, ask.output.resolve())


def _remove_store(ask: Request) -> None:
    """Remove the books of an output that is whole."""
    if store_of(ask.output) != ask.output and store_of(ask.output).exists():
        discard(store_of(ask.output))
