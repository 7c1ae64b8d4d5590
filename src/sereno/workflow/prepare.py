"""Prepare many files as one cube on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from sereno.errors import InputError
from sereno.grids.regrid import parse_step
from sereno.io.inputs.cube import open_cube
from sereno.io.inputs.opening import Paths
from sereno.io.inputs.rejected_values import tally_of
from sereno.io.outputs.atomic import clear_litter
from sereno.io.outputs.writer_lock import output_lock
from sereno.io.stores.ingest import How, Prepared, prepare_store
from sereno.io.stores.prepared import write_cube
from sereno.io.stores.recipe import Recipe
from sereno.progress import Progress, reporter


def prepare(
    paths: Paths,
    output: str | Path,
    *,
    variable: str | None = None,
    water: str | Path | None = None,
    quality_level: int = 4,
    grid: str | float | None = None,
    resample: Literal["mean", "nearest"] | None = None,
    min_observations: int | None = None,
    climatology: str | Path | None = None,
    refresh: bool = False,
    skip_bad: bool = False,
    workers: int | None = 1,
    progress: Progress | bool = False,
) -> Prepared:
    """Write daily images into one cube on disk, which `open_cube` reads.

    A Zarr store is written a day at a time, so a year needs no more memory than a week. A second call continues where
    the first was interrupted, and adds the days that have come since. Days in the store do not change; a note names
    those whose file has other values now.

    Parameters
    ----------
    paths, variable, water, quality_level, skip_bad
        As of `open_cube`.
    output
        ``CUBE.zarr``; or ``CUBE.nc``, which is written as a whole, without `grid`, `climatology` or resuming.
    grid
        Step in degrees, such as ``"1/24"``, of a regular grid that is coarser than that of the input. Edges of cells
        are at whole multiples of the step. The grid has all cells with their centre in the area of the input.
    resample
        ``"mean"`` (default): the mean over the area of a cell's observed water; a cell is water where half of it is.
        ``"nearest"``: the one value nearest to the cell's centre, as the thesis method subsampled.
    min_observations
        A mean of fewer observations is missing; 1 where not given.
    climatology
        A daily climatology; the store then also has ``anomaly``, the field minus the climatology of the day.
    refresh
        Write days again whose file was re-issued: its size or time of change differs, and its values too.
    workers
        Number of processes. None: one for each CPU, but no more than fit into 2 GiB of memory. A script that uses
        more than one needs ``if __name__ == "__main__":``.

    Raises
    ------
    InputError
        If files are bad, with all of them, before anything is written; if the store was made with other settings, or
        begins after a day that is to be added; if another run writes the same output, or a file changes during the
        run.

    Examples
    --------
    >>> import sereno, tempfile
    >>> from sereno.synthetic import TwinSeaConfig, write_l3s
    >>> folder = tempfile.mkdtemp()
    >>> paths = write_l3s(TwinSeaConfig(days=3, shape=(24, 32)), folder)
    >>> prepared = sereno.prepare(f"{folder}/l3s", f"{folder}/cube.zarr")
    >>> prepared.written, sereno.open_cube(prepared.path).sizes["time"]
    (3, 3)
    """
    output, progress = Path(output), reporter(progress)
    if grid is None and (resample or min_observations):
        raise InputError("`resample` and `min_observations` are for a coarser grid; give its step as `grid`")
    if resample == "nearest" and min_observations:
        raise InputError("`min_observations` is for means; leave it out where `resample` is nearest")
    if output.suffix == ".nc":
        if grid is not None or climatology is not None:
            raise InputError(f"{output}: a grid or a climatology needs a Zarr store; name it {output.stem}.zarr")
        with output_lock(output):
            clear_litter(output)
            cube = open_cube(paths, variable=variable, water=water, quality_level=quality_level, skip_bad=skip_bad)
            write_cube(cube, output, progress=progress)
        inserted, notes, skipped = (cube.attrs[name] for name in ("inserted_days", "notes", "skipped"))
        return Prepared(output, cube.sizes["time"], inserted, [*notes, *tally_of(cube).notes()], skipped)
    if output.suffix != ".zarr":
        raise InputError(f"{output}: the name must end in .nc or .zarr")
    recipe = Recipe(
        variable=variable,
        quality_level=quality_level,
        water=None if water is None else Path(water),
        step=None if grid is None else parse_step(grid),
        resample=resample or "mean",
        min_observations=min_observations or 1,
        climatology=None if climatology is None else Path(climatology),
    )
    how = How(refresh=refresh, skip_bad=skip_bad, workers=workers)
    return prepare_store(paths, output, recipe, how, progress=progress)
