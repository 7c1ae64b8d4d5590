"""Filling days into a store or a folder, a block of days at a time, in this process or shared out among others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread

import numpy as np
import xarray as xr
from threadpoolctl import threadpool_limits

from sereno.compute.cores import cores
from sereno.compute.dask_cluster import compute_at
from sereno.compute.memory import return_memory, trim_memory
from sereno.compute.processes import compute, worker_pool
from sereno.cube import consecutive
from sereno.errors import InputError
from sereno.io.inputs.rejected_values import Tally, tally_of
from sereno.io.outputs.analysis import write_days
from sereno.io.outputs.daily import DailyFolder, checksum_of
from sereno.io.outputs.provenance import Product
from sereno.io.stores.checksums import Images
from sereno.io.stores.filled import FilledStore
from sereno.progress import Progress
from sereno.reconstruct.day_blocks import CONTEXT_CELLS
from sereno.workflow.existing_outputs import with_record
from sereno.workflow.fill import fill_days, product_of
from sereno.workflow.fill_plan import Plan, discard_store, model_of
from sereno.workflow.fill_request import FillOptions, is_folder
from sereno.workflow.influence import Influence
from sereno.workflow.models import Model

BLOCKS_AT_ONCE = 4
"""Blocks of `CONTEXT_CELLS` that threads of a process work on at once, at most; a larger one has it to itself."""
PARTS_A_THREAD = 4
"""Parts of the days for each thread of a cluster, whose workers may come and go."""
_SECONDS = 1.0
"""Seconds between two checks of the workers."""


@dataclass(frozen=True)
class Job:
    """Days to fill, and all that a process needs for it; it can be sent to another process."""

    cube: xr.Dataset
    store: Path
    output: Path
    days: np.ndarray
    options: FillOptions


def fill(plan: Plan, progress: Progress) -> None:
    """Fill the days that are left, in this process or shared out among others.

    A store without any that a fault of the model or the input ends is worth nothing, and removed.
    """
    ask, store = plan.ask, plan.store
    if not plan.left.size:
        return
    if ask.in_folder:
        DailyFolder(ask.output).waiting.mkdir(exist_ok=True)
    job = Job(ask.cube, store.path.resolve(), ask.output.resolve(), plan.left, ask.options)
    progress("fill", 0.0)
    try:
        _fill(job, plan, progress)
    except InputError:
        if ask.alone and store.unfinished and not store.count_done():
            discard_store(ask, store)
            plan.fitted.forget()
        raise


def _fill(job: Job, plan: Plan, progress: Progress) -> None:
    """Fill the days of a job, in this process or shared out among others."""
    workers = plan.ask.workers
    if not isinstance(workers, str) and min(workers, job.days.size) == 1:
        done = 0

        def count(filled: int) -> None:
            nonlocal done
            done += filled
            progress("fill", done / job.days.size)

        _fill_here(job, count, plan.model)
        return

    def parts(number: int) -> list[Job]:
        return [replace(job, days=part) for part in np.array_split(job.days, min(number, job.days.size))]

    with _watched(plan.store, job.days.size, progress):
        if isinstance(workers, str):
            tallies = compute_at(workers, _fill_here, lambda threads: parts(PARTS_A_THREAD * threads))
        else:
            jobs = parts(workers)
            with worker_pool(len(jobs)) as pool:
                tallies = compute(_fill_here, jobs, pool=pool)
    own = tally_of(job.cube)
    for tally in tallies:
        own.merge(tally)
    progress("fill", 1.0)


def _fill_here(job: Job, done: Callable[[int], None] = lambda filled: None, model: Model | None = None) -> Tally:
    """Fill the days of a job in this process, a block of days at a time; `done` gets the number of days filled.

    Without a model, that of the store is loaded. What was made missing in the images that were read is returned.
    """
    return_memory()
    store = FilledStore.open(job.store)
    model = model or model_of(store)
    nrt, keep_observed = job.options.nrt, job.options.keep_observed
    product = product_of(job.cube, model, nrt=nrt, keep_observed=keep_observed)
    influence = Influence(Images(job.cube), model.reconstructor.reach, nrt)
    # In near real time every day has a cube of its own, and what its method prepared for it is dropped after it.
    for group in job.days[:, None] if nrt else [job.days]:
        days_ns = group.astype("datetime64[ns]")
        analysis = fill_days(job.cube, model, days_ns, nrt=nrt, keep_observed=keep_observed)

        def fill_block(block: slice, analysis: xr.Dataset = analysis) -> int:
            part = analysis.drop_vars("climatology", errors="ignore").isel(time=block).compute(scheduler="sync")
            for days in consecutive(part["time"].values):
                run, around = part.sel(time=days), influence.around(days)
                maps = _write(run, job, store, product, around, influence.reach)
                store.mark(days, influence.images.of(days), around, maps)
            filled = int(part.sizes["time"])
            del part, run
            trim_memory()
            return filled

        edges = np.cumsum([0, *analysis.chunksizes["time"]]).tolist()
        blocks = [slice(*pair) for pair in pairwise(edges)]
        threads = ThreadPoolExecutor(_threads(job.cube, blocks[0], model))
        with threadpool_limits(1, user_api="blas"), threads as pool:  # no further threads in each
            compute(fill_block, blocks, pool=pool, done=done)
    return tally_of(job.cube)


def _write(
    part: xr.Dataset, job: Job, store: FilledStore, product: Product, around: np.ndarray, reach: int
) -> np.ndarray:
    """Write consecutive days, and return checksums of what was written."""
    days = part["time"].values
    if not is_folder(job.output):
        store.write(part, product, output=job.output, packed=job.options.packed)
        return store.maps_of(days)
    waiting = DailyFolder(job.output).waiting
    made = []
    for at, day in enumerate(days):
        recorded = with_record(product, store.settings, around[at : at + 1], reach=reach)
        made += write_days(
            part.sel(time=[day]), waiting, output=job.output, product=recorded, packed=job.options.packed
        )
    return np.array([checksum_of(path) for path in made], np.int64)


def _threads(cube: xr.Dataset, block: slice, model: Model) -> int:
    """Return how many blocks to work on at once, such that memory holds them whatever the grid."""
    context = (block.stop - block.start + 2 * model.reconstructor.reach) * cube["water"].size
    return int(max(1, min(cores(), BLOCKS_AT_ONCE * CONTEXT_CELLS // context)))


@contextmanager
def _watched(store: FilledStore, total: int, progress: Progress) -> Iterator[None]:
    """Report what the workers have marked as done."""
    before, ended = store.count_done(), Event()

    def watch() -> None:
        while not ended.wait(_SECONDS):
            progress("fill", min(1.0, max(0, store.count_done() - before) / total))

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
