"""An analysis of any size on disk: days filled by one process or many, in one run or several, into one store.

The store (`sereno.io.filled`) is made first, by whoever comes first, and holds the model; then each process fills
days of its own, a block at a time, and marks them. Where daily files are asked for, the store keeps the books alone.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from sereno.blockwise import Job, fill
from sereno.config import RunConfig
from sereno.continuing import is_folder, open_or_make, remedy_for, settings_for, store_of
from sereno.cube import field_name, list_of_days, select_period
from sereno.errors import InputError
from sereno.io.atomic import clear_litter
from sereno.io.filled import FilledStore, blank_analysis
from sereno.io.locking import output_lock
from sereno.io.write import require_place_for_analysis, write_analysis
from sereno.methods import Progress, silent
from sereno.networks import BareNetwork
from sereno.updating import Update, require_context, update_store, with_water_of
from sereno.workflow import Model, product_of


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
    """

    path: Path
    days: int
    written: int
    method: str
    finished: bool
    update: Update | None = None


def fill_to(
    cube: xr.Dataset,
    method: Model | BareNetwork | RunConfig | str,
    output: str | Path,
    *,
    days: str | None = None,
    nrt: bool = False,
    keep_observed: bool = False,
    packed: bool = True,
    workers: int | str = 1,
    shard: Shard | None = None,
    merge: bool = False,
    update: bool = False,
    progress: Progress = silent,
) -> Filled:
    """Fill days into ``OUT.nc``, ``OUT.zarr`` or a folder of daily files, and go on where an earlier run stopped.

    Parameters
    ----------
    cube, method, days, nrt, keep_observed
        As `sereno.workflow.fill` takes them. A method is fitted once, by whoever comes first.
    output
        Unless it is a store itself, one with the books, and for ``OUT.nc`` with the maps, stands beside it until
        the output is whole: `store_of`.
    packed
        As `sereno.io.write.write_analysis` takes it.
    workers
        Processes at work; or the address of the scheduler of a Dask cluster, whose workers see the same files.
    shard
        Fill a part of the days only, and leave the rest to other processes.
    merge
        Fill nothing: finish what shards have filled.
    update
        Take in days that have come or changed since, fill again those within the method's reach of one, and leave all
        others untouched.

    Raises
    ------
    InputError
        If something else stands at the output, or an analysis of other settings, model or input; if days are missing
        at a merge; or if the options do not go together.
    """
    output = Path(output)
    _require_sense(output, shard=shard, merge=merge, update=update)
    require_place_for_analysis(output)
    with output_lock(output, shared=None if shard is None else f"shard {shard.number}/{shard.parts}") as lock:
        if shard is None:
            clear_litter(output, store_of(output))
        if update and store_of(output).exists():
            cube = with_water_of(cube, FilledStore.open(store_of(output)))
        wanted = select_period(cube, days)["time"].values
        settings = settings_for(cube, method, wanted, nrt=nrt, keep_observed=keep_observed, packed=packed)
        store, model = open_or_make(cube, method, output, days, settings, nrt=nrt, merge=merge, progress=progress)
        updated = None
        if update:
            updated = update_store(store, cube, settings, reach=model.reconstructor.reach, nrt=nrt)
        else:
            store.require_settings(settings, remedy=remedy_for(store, output))
        if is_folder(output):
            store.forget_lost(output, cube, product_of(cube, model, nrt=nrt, keep_observed=keep_observed))
        whole = store.days
        part = whole if shard is None else np.array_split(whole, shard.parts)[shard.number - 1]
        left = np.intersect1d(part, store.missing)
        if update:  # files that were lost may be older than what the input holds by now
            begun = np.datetime64(store.settings["input"].split(":")[0])
            require_context(left, cube["time"].values[0].astype("datetime64[D]"), begun, model.reconstructor.reach)
        job = Job(
            cube, store.path.resolve(), output.resolve(), left, nrt=nrt, keep_observed=keep_observed, packed=packed
        )
        if not merge:
            fill(job, store, model, workers, progress)
        if shard is not None:
            return Filled(output, part.size, left.size, model.name, finished=False)
        if (missing := store.missing).size:
            raise InputError(
                f"{store.path}: {missing.size} of {whole.size} days are not filled: {list_of_days(missing)}; run the "
                "same command without --merge for all of them, or the shards that did not end"
            )
        lock.require()
        _finish(store, job, model, updated, keep=update, progress=progress)
        return Filled(output, whole.size, 0 if merge else left.size, model.name, finished=True, update=updated)


def _require_sense(output: Path, *, shard: Shard | None, merge: bool, update: bool) -> None:
    """Refuse options that do not go together."""
    if shard is not None and not 1 <= shard.number <= shard.parts:
        raise InputError(f"--shard {shard.number}/{shard.parts}: give I/N with I from 1 to N")
    if update and (shard is not None or merge):
        raise InputError("--update is the work of one command, not of shards; leave out --shard and --merge")
    if shard is not None and merge:
        raise InputError("--shard fills a part and --merge puts all together; give one of them")
    if update and output.suffix == ".nc":
        raise InputError(f"{output}: one NetCDF file cannot be updated; give a name in .zarr or a folder")


def _finish(
    store: FilledStore, job: Job, model: Model, updated: Update | None, *, keep: bool, progress: Progress
) -> None:
    """Write the output from the store where it is not the store itself, and mark it as finished."""
    product = product_of(job.cube, model, nrt=job.nrt, keep_observed=job.keep_observed)
    field = field_name(job.cube)
    if updated is not None and updated.changed:
        history = {"history": str(store.group.attrs.get("history", ""))}
        blank = blank_analysis(job.cube, store.days)
        store.tell(blank, replace(product, attributes=history), packed=job.packed)
    if job.output.suffix == ".nc":
        write_analysis(store.analysis(field), job.output, product=product, packed=job.packed, progress=progress)
    if job.output.suffix == ".zarr" or keep:
        if store.unfinished:
            store.clear()
            store.finish()
    else:
        shutil.rmtree(store.path)
