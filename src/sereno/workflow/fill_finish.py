"""The end of a fill: all days are there as they were written, and the output is put together and in its place."""

from __future__ import annotations

from dataclasses import replace

from sereno.cube import field_name, list_of_days
from sereno.errors import InputError
from sereno.io.outputs.analysis import write_analysis
from sereno.io.outputs.atomic import discard, put_in_place
from sereno.io.outputs.daily import DailyFolder
from sereno.io.outputs.writer_lock import OutputLock
from sereno.io.stores.filled import blank_analysis
from sereno.progress import Progress
from sereno.workflow.existing_outputs import others_than, with_record
from sereno.workflow.fill_plan import Plan, find_lost
from sereno.workflow.fill_request import Request, store_of


def finish(plan: Plan, lock: OutputLock, progress: Progress) -> None:
    """Write the output from the store where it is not the store itself, and mark it as finished.

    Raises
    ------
    InputError
        If a day is not filled, or its maps are not there as they were written.
    """
    ask, store = plan.ask, plan.store
    if (missing := store.missing).size:
        raise InputError(
            f"{store.path}: {missing.size} of {store.days.size} days are not filled: {list_of_days(missing)}; run "
            "the same command without `merge` for all of them, or the shards that did not end"
        )
    if (again := find_lost(ask, store, plan.model, plan.left)).size:
        raise InputError(
            f"{store.path}: the maps of {again.size} days are not there as they were written: {list_of_days(again)}; "
            "check the disk, and run the same command again"
        )
    lock.require()
    _write(plan, progress)
    if (ask.output.suffix == ".zarr" or ask.update) and store.unfinished:
        store.clear()
        store.finish()
    if ask.output.suffix != ".zarr" and not ask.update:
        remove_books(ask)
    elif ask.output.suffix == ".zarr" and store.path != ask.output:
        put_in_place(store.path, ask.output.resolve())


def remove_books(ask: Request) -> None:
    """Remove the records of a complete output."""
    if store_of(ask.output) != ask.output and store_of(ask.output).exists():
        discard(store_of(ask.output))


def _write(plan: Plan, progress: Progress) -> None:
    """Bring the attributes of the store up to date, and write what is not the store itself."""
    ask, store, packed = plan.ask, plan.store, plan.ask.options.packed
    product = ask.product(plan.model)
    if plan.update is not None and plan.update.changed:
        history = {"history": str(store.group.attrs.get("history", ""))}
        store.tell(blank_analysis(ask.cube, store.days), replace(product, attributes=history), packed=packed)
    if ask.output.suffix == ".nc":
        product = with_record(product, store.settings, store.noted[0], reach=plan.model.reconstructor.reach)
        analysis = store.analysis(field_name(ask.cube))
        write_analysis(analysis, ask.output, product=product, packed=packed, progress=progress)
    elif ask.in_folder:
        DailyFolder(ask.output).deliver(instead_of=others_than(store.settings, ask.output) if ask.overwrite else ())
