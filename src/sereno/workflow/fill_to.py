"""An analysis of any size on disk: one or several processes fill days into one store, in one run or several.

The first process makes the store (`sereno.io.stores.filled`), which holds the model. Then each process fills its own
days, a block at a time, and marks them. With daily files as output, the store keeps only the records.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import xarray as xr

from sereno.cube import Period, period_text, validate
from sereno.io.outputs.analysis import require_place_for_analysis
from sereno.io.outputs.atomic import clear_litter
from sereno.io.outputs.daily import DailyFolder
from sereno.io.outputs.writer_lock import output_lock
from sereno.io.stores.filled import FilledStore
from sereno.progress import Progress, reporter
from sereno.workflow.choices import AnyMethod
from sereno.workflow.existing_outputs import is_done_already
from sereno.workflow.fill_finish import finish, remove_books
from sereno.workflow.fill_jobs import fill
from sereno.workflow.fill_plan import make_plan
from sereno.workflow.fill_request import FillOptions, Request, Shard, store_of
from sereno.workflow.kept_model import place_of
from sereno.workflow.update import Update, with_water_of

__all__ = ["Filled", "Shard", "fill_to"]


@dataclass(frozen=True)
class Filled:
    """What was done.

    Attributes
    ----------
    path
        The output.
    days
        Number of days of the output, or of the shard.
    written
        Days filled this time.
    method
        Name of the method.
    finished
        Whether the output is complete; after a shard, ``merge`` completes it.
    update
        What an update found, where it was one.
    lost
        How many of the days had been filled before, but their maps or files were lost or damaged.
    made
        False where the output was complete before and nothing was left to do.
    kept_model
        Where the model that was fitted on the input lies next to the output, to be used again when the same images
        are filled with the same settings; None where it was not fitted this time, or could not be kept.
    reused
        Whether it was fitted by an earlier run.
    """

    path: Path
    days: int
    written: int
    method: str
    finished: bool
    update: Update | None = None
    lost: int = 0
    made: bool = True
    kept_model: Path | None = None
    reused: bool = False


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
    """Fill days into ``OUT.nc``, ``OUT.zarr`` or a folder of daily files, and continue where an earlier run stopped.

    Parameters
    ----------
    cube, method, days, nrt, keep_observed
        As `sereno.workflow.fill.fill` takes them. A method is fitted once, by the first process.
    output
        Unless it is a store, a store with the records, and for ``OUT.nc`` with the maps, lies next to it until the
        output is complete: `store_of`.
    packed
        As `sereno.io.outputs.analysis.write_analysis` takes it.
    workers
        Number of processes; or the address of the scheduler of a Dask cluster, whose workers see the same files.
    shard
        Fill only a part of the days; other processes fill the rest.
    merge
        Fill nothing: finish what shards have filled.
    update
        Add days that have come or changed since the last run, fill again the days within the reach of the method from
        them, and do not touch any other day.
    overwrite
        Replace an existing output; an existing store or file stays until the new one is complete. In a folder, days
        that are not asked for stay if they were filled with the same settings.

    Raises
    ------
    InputError
        If another run writes the output; if something else exists there, or an analysis of other settings, model or
        input; if a filled value is impossible (`sereno.io.outputs.final_checks`); if days are missing at a merge; or
        if the arguments contradict each other.

    Examples
    --------
    >>> import sereno, tempfile
    >>> from sereno.synthetic import TwinSeaConfig, twin_sea
    >>> cube = twin_sea(TwinSeaConfig(days=40, shape=(24, 32)))
    >>> output = tempfile.mkdtemp() + "/analysis.zarr"
    >>> sereno.fill_to(cube, "climatology", output, days="2019-01").written
    31
    >>> sereno.fill_to(cube, "climatology", output, days="2019-01").made
    False
    """
    validate(cube)
    output, progress = Path(output), reporter(progress)
    ask = Request(
        cube=cube,
        method=method,
        output=output,
        days=period_text(cube, days),
        options=FillOptions(nrt=nrt, keep_observed=keep_observed, packed=packed),
        workers=workers,
        shard=shard,
        merge=merge,
        update=update,
        overwrite=overwrite,
    )
    require_place_for_analysis(output)
    with output_lock(output, shared=None if shard is None else f"shard {shard}") as lock:
        if ask.alone:
            clear_litter(output, store_of(output), place_of(output), DailyFolder(output).waiting)
        if update and store_of(output).exists():
            ask = replace(ask, cube=with_water_of(cube, FilledStore.open(store_of(output))))
        if is_done_already(ask):
            if ask.alone:
                remove_books(ask)
            name, asked = ask.config.model.method, ask.part_of(ask.wanted)
            return Filled(output, asked.size, 0, name, finished=ask.alone, made=False)
        plan = make_plan(ask, progress)
        if not merge:
            fill(plan, progress)
        if ask.alone:
            finish(plan, lock, progress)
        return Filled(
            output,
            days=plan.days.size,
            written=0 if merge else plan.left.size,
            method=plan.model.name,
            finished=ask.alone,
            update=plan.update,
            lost=plan.lost.size,
            made=not ask.alone or bool(plan.left.size) or not plan.was_finished,
            kept_model=plan.fitted.kept,
            reused=plan.fitted.reused,
        )
