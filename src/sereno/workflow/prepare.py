"""What comes before a fit: many files to one cube, a look at its gaps, a daily climatology."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import xarray as xr

from sereno.climatology import Climatology, daily_climatology, fit_climatology
from sereno.climatology.distributions import distributions
from sereno.config import ClimatologyConfig, RunConfig, configure, to_toml
from sereno.cube import field_name, field_of, select_period, span, validate
from sereno.errors import InputError
from sereno.gaps.statistics import gap_statistics
from sereno.gaps.withholding import coverage, visible_part
from sereno.grids.regrid import parse_step
from sereno.io.inputs.cube import open_cube
from sereno.io.inputs.opening import Paths
from sereno.io.inputs.rejections import tally_of
from sereno.io.inputs.static_maps import climatology_table
from sereno.io.outputs.atomic import clear_litter, require_place, write_dataset
from sereno.io.outputs.climatology import describe_climatology
from sereno.io.outputs.locking import output_lock
from sereno.io.stores.ingest import How, Prepared, prepare_store
from sereno.io.stores.prepared import write_cube
from sereno.io.stores.recipe import Recipe
from sereno.methods import Progress, silent


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
    progress: Progress = silent,
) -> Prepared:
    """Bring daily images to one analysis-ready cube, which `open_cube` reads.

    A Zarr store is made a day at a time, in as much memory for a year as for a week. Run again, it goes on where it
    was interrupted, and takes in what days have come since. Days that it has are left as they are; those whose file
    gives other values now are noted.

    Parameters
    ----------
    paths, variable, water, quality_level, skip_bad
        As of `open_cube`.
    output
        ``CUBE.zarr``; or ``CUBE.nc``, which is written whole and knows no `grid`, `climatology` nor going on.
    grid
        Step in degrees, such as ``"1/24"``, of a regular grid coarser than the input's. Its cells have their edges at
        whole multiples of the step; those with their centre in the input's area make it up.
    resample
        ``"mean"`` (default): the mean over the area of a cell's observed water; a cell is water where half of it is.
        ``"nearest"``: the one value nearest to the cell's centre, as the reference method subsampled.
    min_observations
        A mean of fewer observations is missing; 1 where not given.
    climatology
        A daily climatology: the store gets ``anomaly``, the field less the climatology of the day, too.
    refresh
        Write days again whose file was re-issued: has another size or time of change and gives other values.
    workers
        Processes at work. None: one a CPU, but no more than 2 GiB of memory hold. A script that asks for more than
        one needs ``if __name__ == "__main__":``.

    Raises
    ------
    InputError
        With all bad files at once, before anything is written; if the store was made with other settings, or begins
        after a day that is to be added; if another run is at work on the same output, or a file changes meanwhile.
    """
    output = Path(output)
    if grid is None and (resample or min_observations):
        raise InputError("resampling (resample, min-observations) is for a coarser grid; name it with --grid")
    if resample == "nearest" and min_observations:
        raise InputError("--min-observations is for means; leave it out with --resample nearest")
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


def describe(
    cube: xr.Dataset, config: RunConfig | None = None, *, days: str | None = None, progress: Progress = silent
) -> xr.Dataset:
    """Describe a cube: its gaps, its coverage, the distributions of its field and of the anomalies.

    The record is read six times, a few blocks of days at a time.

    Parameters
    ----------
    cube
        A valid cube.
    config
        Its climatology is what anomalies are taken from, without the recent mean of the basin, and is fitted on the
        very days described. The default configuration where not given.
    days
        Period ``A:B`` to describe; every day of the cube where not given.
    progress
        Told the stages ``"gaps"``, ``"climatology"`` and ``"distributions"``.

    Returns
    -------
    xr.Dataset
        In memory: what `sereno.gaps.statistics.gap_statistics` returns; ``coverage`` (time,), ``coverage_monthly`` (month,)
        and ``coverage_by_month_of_year`` (month_of_year,), % of the water; what
        `sereno.climatology.distributions.distributions` returns of the field and of ``anomaly``; ``water``. Attributes:
        ``field``, ``variable``, ``period``, ``climatology`` (what it is made of) and ``sereno_config``.

    Raises
    ------
    InputError
        If the cube is not valid, the period holds no day, or no water pixel is ever observed.
    """
    config = configure("climatology") if config is None else config
    seen = visible_part(select_period(validate(cube), days))
    name, field = field_name(seen), field_of(seen)
    if name == "anomaly":
        raise InputError("the field is an anomaly already; describe the field that it was taken from")
    gaps = gap_statistics(seen, progress=progress)
    if not bool((gaps["gap_longest"] < seen.sizes["time"]).any()):
        raise InputError(f"{name}: not one observation over water in {span(seen)}; choose other days")
    progress("climatology", 0.0)
    settings = replace(config.climatology, recent_days=0)
    climatology = fit_climatology(seen, settings, table=climatology_table(settings, seen))
    anomaly = climatology.anomalies(seen)["anomaly"]
    progress("climatology", 1.0)
    progress("distributions", 0.0)
    spread = distributions({name: field.where(seen["water"]).assign_attrs(field.attrs), "anomaly": anomaly})
    progress("distributions", 1.0)
    described = gaps.merge(spread).merge(_coverages(coverage(seen))).assign(water=seen["water"])
    return described.assign_attrs(
        title=f"Gaps, coverage and distributions of {name}, {span(seen)}",
        field=name,
        variable=str(cube.attrs.get("variable", name)),
        period=span(seen),
        climatology=settings.file or _terms_of(climatology),
        sereno_config=to_toml(config),
    )


def _terms_of(climatology: Climatology) -> str:
    """Tell what a fitted climatology is made of."""
    if not climatology.harmonics:
        return "the mean alone: no seasonal cycle"
    harmonics = f"{climatology.harmonics} harmonic{'s' * (climatology.harmonics > 1)} of the year"
    return f"mean, {harmonics}, trend" if climatology.trend else f"mean, {harmonics}"


def _coverages(share: xr.DataArray) -> xr.Dataset:
    """Return coverage in % of the water by day, by month, and by month of the year, each the mean of its days."""
    daily = 100 * share
    monthly = daily.resample(time="MS").mean().rename(time="month")
    of_year = daily.groupby("time.month").mean().rename(month="month_of_year")
    found = {"coverage": daily, "coverage_monthly": monthly, "coverage_by_month_of_year": of_year}
    names = ("on each day", "mean of each calendar month", "mean of each month of the year")
    coverages = xr.Dataset(
        {
            key: values.assign_attrs(long_name=f"share of the water observed, {long_name}", units="%")
            for (key, values), long_name in zip(found.items(), names, strict=True)
        }
    )
    coverages["month"].attrs = {"long_name": "first day of the calendar month"}
    coverages["month_of_year"].attrs = {"long_name": "month of the year, 1 January to 12 December", "units": "1"}
    return coverages


def make_climatology(
    cube: xr.Dataset, path: str | Path, config: ClimatologyConfig | None = None, *, progress: Progress = silent
) -> xr.Dataset:
    """Make the daily climatology of a long record and write it to a NetCDF file or Zarr store.

    Parameters
    ----------
    cube
        A valid cube; only its field is seen.
    path
        Where to write; `sereno.io.inputs.static_maps.read_climatology` and ``climatology.file`` of a run read it.
    config
        The kind of climatology, its settings and its base period; the defaults where not given.

    Returns
    -------
    xr.Dataset
        What was written, see `sereno.climatology.daily_climatology`; ``attrs["comment"]`` tells what it lacks.

    Raises
    ------
    InputError
        If the base period reaches beyond the cube or is too short, or nothing can be written there.
    """
    config = config or ClimatologyConfig()
    validate(cube)
    require_place(path)
    progress("climatology", 0.0)
    made = daily_climatology(visible_part(cube), config)
    progress("climatology", 1.0)
    product = describe_climatology(made, cube, config)
    write_dataset(product, path, progress=progress)
    return product
