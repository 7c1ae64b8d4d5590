"""An analysis of any size on disk: days filled by one process or many, in one run or several, into one store.

The store (`sereno.io.filled`) is made first, by whoever comes first, and holds the model; then each process fills
days of its own, a block at a time, and marks them. Where daily files are asked for, the store keeps the books alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import NamedTuple

import numpy as np
import xarray as xr
from threadpoolctl import threadpool_limits

from sereno.config import RunConfig, as_mapping, configure_at_once
from sereno.cores import cores
from sereno.cube import field_name, field_of, select_period, span
from sereno.errors import InputError
from sereno.io.artefact import check_fits, fingerprint
from sereno.io.filled import FilledStore, blank_analysis, checksums
from sereno.io.parallel import compute, worker_pool
from sereno.io.scheduler import compute_at
from sereno.io.write import require_place_for_analysis, write_analysis
from sereno.methods import Progress, silent
from sereno.nets.memory import return_memory, trim_memory
from sereno.networks import BareNetwork
from sereno.reconstruct.blocks import CONTEXT_CELLS
from sereno.updating import Update, require_context, update_store, with_water_of
from sereno.workflow import Model, fill_days, load, model_for, product_of, save, settings_of

BLOCKS_AT_ONCE = 4
"""Blocks of `CONTEXT_CELLS` that threads of a process work on at once, at most; a larger one has it to itself."""
PARTS_A_THREAD = 4
"""Parts of the days for each thread of a cluster, whose workers may come and go."""
_LOOKS = 3
_SECONDS = 1.0
"""Between two looks at what the workers have done."""


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
    if update and store_of(output).exists():
        cube = with_water_of(cube, FilledStore.open(store_of(output)))
    wanted = select_period(cube, days)["time"].values
    settings = _settings(cube, method, wanted, nrt=nrt, keep_observed=keep_observed, packed=packed)
    store, model = _open_or_make(cube, method, output, days, settings, nrt=nrt, merge=merge, progress=progress)
    updated = None
    if update:
        updated = update_store(store, cube, settings, reach=model.reconstructor.reach, nrt=nrt)
    else:
        store.require_settings(settings, remedy=_remedy(store, output))
    if _is_folder(output):
        store.forget_lost(output, cube, product_of(cube, model, nrt=nrt, keep_observed=keep_observed))
    whole = store.days
    part = whole if shard is None else np.array_split(whole, shard.parts)[shard.number - 1]
    left = np.intersect1d(part, store.missing)
    if update:  # files that were lost may be older than what the input holds by now
        begun = np.datetime64(store.settings["input"].split(":")[0])
        require_context(left, cube["time"].values[0].astype("datetime64[D]"), begun, model.reconstructor.reach)
    job = _Job(
        cube, store.path.resolve(), output.resolve(), left, nrt=nrt, keep_observed=keep_observed, packed=packed
    )
    if not merge:
        _fill(job, store, model, workers, progress)
    if shard is not None and not merge:
        return Filled(output, part.size, left.size, model.name, finished=False)
    if (missing := store.missing).size:
        raise InputError(
            f"{store.path}: {missing.size} of {whole.size} days are not filled: {_runs_of(missing)}; run the same "
            "command without --merge for all of them, or the shards that did not end"
        )
    _finish(store, job, model, updated, keep=update, progress=progress)
    return Filled(output, whole.size, 0 if merge else left.size, model.name, finished=True, update=updated)


def _is_folder(output: Path) -> bool:
    return output.suffix not in (".nc", ".zarr")


def store_of(output: Path) -> Path:
    """Return where the store of an output is."""
    return output if output.suffix == ".zarr" else output.with_name(f"{output.name}.filling.zarr")


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


def _settings(
    cube: xr.Dataset, method: Model | BareNetwork | RunConfig | str, wanted: np.ndarray, **options: bool
) -> dict[str, str]:
    """Return all that the maps depend on, to be compared with when a store is gone on with."""
    config = settings_of(configure_at_once(method) if isinstance(method, str) else method)
    model = "fitted on the input"
    if isinstance(method, Model):
        model = fingerprint(method.reconstructor.state())
    elif isinstance(method, BareNetwork):
        model = f"{fingerprint(method.state)}, completed on the input"
    some = cube["time"].values[np.unique(np.linspace(0, cube.sizes["time"] - 1, _LOOKS).astype(int))]
    lat, lon, water = (cube[name].values for name in ("lat", "lon", "water"))
    grid = f"{lat.size} × {lon.size} cells, {int(water.sum())} of water, from {lat[0]:.4f} N {lon[0]:.4f} E"
    period = "{:.10}:{:.10}".format(*np.datetime_as_string(wanted[[0, -1]]))
    return {
        "model": model,
        **_flat(as_mapping(config)),
        "field": f"{field_name(cube)}, {field_of(cube).attrs.get('units', '1')}",
        "grid": grid,
        "input": span(cube),
        "checksums": ", ".join(str(checksums(cube, day[None])[0]) for day in some),
        "days": period,
        **{name: str(value) for name, value in options.items()},
    }


def _flat(values: dict[str, object], prefix: str = "") -> dict[str, str]:
    """Return a nested mapping with dotted keys."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: str(value)}
    return flat


def _open_or_make(
    cube: xr.Dataset,
    method: Model | BareNetwork | RunConfig | str,
    output: Path,
    days: str | None,
    settings: dict[str, str],
    *,
    nrt: bool,
    merge: bool,
    progress: Progress,
) -> tuple[FilledStore, Model]:
    """Open the store, or make it with its model, and return both.

    A model that is in memory already is not loaded once more: if the store holds another, the settings tell.
    """
    path, made = store_of(output), method if isinstance(method, Model) else None
    if not path.exists():
        if merge:
            raise InputError(f"{path}: there is nothing to merge; run the shards first")
        made = model_for(cube, method, days=days, nrt=nrt, progress=progress)
        check_fits(made.description, cube)
        blank = blank_analysis(cube, select_period(cube, days)["time"].values)
        with TemporaryDirectory() as folder:
            model = save(made, Path(folder) / "model")
            nrt, keep, packed = (settings[name] == str(True) for name in ("nrt", "keep_observed", "packed"))
            product = product_of(cube, made, nrt=nrt, keep_observed=keep)
            FilledStore.create(path, blank=blank, product=product, packed=packed, settings=settings, model=model)
    store = FilledStore.open(path)
    return store, made or _model_of(store)


def _model_of(store: FilledStore) -> Model:
    """Load the model that a store holds."""
    with TemporaryDirectory() as folder:
        store.model_files(Path(folder))
        model = load(folder)
    assert isinstance(model, Model)
    return model


def _remedy(store: FilledStore, output: Path) -> str:
    if store.path == output:
        return "repeat those settings, take in new days with --update, or fill into a new store"
    return f"repeat those settings to go on with it, or remove {store.path} to begin anew"


@dataclass(frozen=True)
class _Job:
    """Days to fill, and what a process needs to know for it; another process can be sent it."""

    cube: xr.Dataset
    store: Path
    output: Path
    days: np.ndarray
    nrt: bool
    keep_observed: bool
    packed: bool


def _fill(job: _Job, store: FilledStore, model: Model, workers: int | str, progress: Progress) -> None:
    """Fill the days of a job, in this process or shared out among others."""
    if not job.days.size:
        return
    if _is_folder(job.output):
        job.output.mkdir(exist_ok=True)
    progress("fill", 0.0)
    if not isinstance(workers, str) and min(workers, job.days.size) == 1:
        done = 0

        def count(filled: int) -> None:
            nonlocal done
            done += filled
            progress("fill", done / job.days.size)

        _fill_here(job, count, model)
        return

    def parts(number: int) -> list[_Job]:
        return [replace(job, days=part) for part in np.array_split(job.days, min(number, job.days.size))]

    with _watched(store, job.days.size, progress):
        if isinstance(workers, str):
            compute_at(workers, _fill_here, lambda threads: parts(PARTS_A_THREAD * threads))
        else:
            jobs = parts(workers)
            with worker_pool(len(jobs)) as pool:
                compute(_fill_here, jobs, pool=pool)
    progress("fill", 1.0)


def _fill_here(job: _Job, done: Callable[[int], None] = lambda filled: None, model: Model | None = None) -> None:
    """Fill the days of a job in this process, a block of days at a time; `done` is told how many.

    Without a model, that of the store is loaded.
    """
    return_memory()
    store = FilledStore.open(job.store)
    model = model or _model_of(store)
    product = product_of(job.cube, model, nrt=job.nrt, keep_observed=job.keep_observed)
    # In near real time every day has a cube of its own, and what its method made ready for it is dropped after it.
    for group in job.days[:, None] if job.nrt else [job.days]:
        analysis = fill_days(
            job.cube, model, group.astype("datetime64[ns]"), nrt=job.nrt, keep_observed=job.keep_observed
        )

        def fill_block(block: slice, analysis: xr.Dataset = analysis) -> int:
            part = analysis.drop_vars("climatology", errors="ignore").isel(time=block).compute(scheduler="sync")
            for days in _consecutive(part["time"].values):
                run = part.sel(time=days)
                if _is_folder(job.output):
                    write_analysis(run, job.output, product=product, packed=job.packed)
                else:
                    store.write(run, product, packed=job.packed)
                store.mark(days, checksums(job.cube, days))
            filled = int(part.sizes["time"])
            del part, run
            trim_memory()
            return filled

        edges = np.cumsum([0, *analysis.chunksizes["time"]]).tolist()
        blocks = [slice(*pair) for pair in pairwise(edges)]
        threads = ThreadPoolExecutor(_threads(job.cube, blocks[0], model))
        with threadpool_limits(1, user_api="blas"), threads as pool:  # no further threads in each
            compute(fill_block, blocks, pool=pool, done=done)


def _threads(cube: xr.Dataset, block: slice, model: Model) -> int:
    """Return how many blocks to work on at once, such that memory holds them whatever the grid."""
    context = (block.stop - block.start + 2 * model.reconstructor.reach) * cube["water"].size
    return int(max(1, min(cores(), BLOCKS_AT_ONCE * CONTEXT_CELLS // context)))


def _finish(
    store: FilledStore, job: _Job, model: Model, updated: Update | None, *, keep: bool, progress: Progress
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


def _consecutive(days: np.ndarray) -> list[np.ndarray]:
    """Part days into runs of consecutive ones."""
    return np.split(days, np.flatnonzero(np.diff(days.astype("datetime64[D]")).astype(int) != 1) + 1)


def _runs_of(days: np.ndarray) -> str:
    """Return days as periods, the first few."""
    runs = _consecutive(days)
    told = [str(run[0]) if run.size == 1 else f"{run[0]}:{run[-1]}" for run in runs[:5]]
    return ", ".join(told) + (", …" if len(runs) > 5 else "")
