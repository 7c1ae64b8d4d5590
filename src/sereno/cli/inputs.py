"""The verbs before a fit: check, prepare, describe, climatology, tiles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sereno.cli.options import (
    Days,
    Inputs,
    Quality,
    Seed,
    Settings,
    SkipBad,
    Variable,
    Water,
    app,
    compute_here,
    configuration,
    leave_with,
    note,
    open_input,
    require_other_place,
    require_periods,
    tell,
    tell_skipped,
)
from sereno.cli.progress import can_continue, shown_progress, sole_writer
from sereno.errors import InputError


@app.command(epilog="Example: `sereno check l3s/`")
def check(
    inputs: Inputs,
    variable: Variable = None,
    water: Water = None,
    quality: Quality = None,
    skip_bad: SkipBad = False,
) -> None:
    """List all faults of the input at once, or a summary: grid, period, missing days, coverage."""
    from sereno.io.inputs.cube import open_cube
    from sereno.io.inputs.file import raise_all
    from sereno.io.inputs.rejected_values import Tally
    from sereno.report.input_tables import show_summary, summary_of

    bad: list[str] = []  # of images too, to be listed at once
    level = {} if quality is None else {"quality_level": quality}
    compute_here()
    cube = open_cube(inputs, variable=variable, water=water, skip_bad=skip_bad, tally=Tally(bad), **level)
    tell(cube.attrs["notes"], cube.attrs["inserted_days"])
    rows = summary_of(cube)
    raise_all([] if skip_bad else sorted(bad))
    show_summary(rows, cube)
    leave_with(bad)


@app.command(epilog="Example: `sereno prepare l3s/ -o cube.zarr --water L4.nc --grid 1/24 --climatology clim.nc`")
def prepare(
    inputs: Inputs,
    output: Annotated[Path, typer.Option("-o", "--output", help="CUBE.zarr or CUBE.nc to write.")],
    variable: Variable = None,
    water: Water = None,
    quality: Quality = None,
    grid: Annotated[str | None, typer.Option(metavar="STEP", help="Coarser grid, e.g. 1/24 or 0.05 degrees.")] = None,
    resample: Annotated[
        str | None,
        typer.Option(
            help="mean of the observations in a cell, or nearest: the one nearest to its centre.  [default: mean]"
        ),
    ] = None,
    min_observations: Annotated[
        int | None, typer.Option(min=1, help="Fewer observations than this leave a cell missing.  [default: 1]")
    ] = None,
    climatology: Annotated[Path | None, typer.Option(help="Climatology file: store the anomalies too.")] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Read re-issued files with other values again.")] = False,
    skip_bad: SkipBad = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Number of processes.  [default: one a CPU, within 2 GiB]")
    ] = None,
) -> None:
    """Bring daily L3 files into one store; run it again to resume or to add new days."""
    from sereno.workflow.prepare import prepare as prepare_cube

    require_other_place(inputs, output, water, climatology)
    if resample not in (None, "mean", "nearest"):
        raise InputError(f"--resample {resample}: choose mean or nearest")
    with shown_progress() as progress, can_continue(output, "again"):
        done = prepare_cube(
            inputs,
            output,
            variable=variable,
            water=water,
            **({} if quality is None else {"quality_level": quality}),
            grid=grid,
            resample=resample,  # type: ignore[arg-type]
            min_observations=min_observations,
            climatology=climatology,
            refresh=refresh,
            skip_bad=skip_bad,
            workers=workers,
            progress=progress,
        )
    tell(done.notes, done.inserted_days)
    tell_skipped(done.skipped)
    if output.suffix == ".nc" or done.written:
        typer.echo(f"wrote {output}" if output.suffix == ".nc" else f"wrote {output}: {done.written} days")
    else:
        typer.echo(f"nothing to do: {output} has all days of the input")
    leave_with(done.skipped)


@app.command(epilog="Example: `sereno describe l3s/ -o description --days 2019:2021`")
def describe(
    inputs: Inputs,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for describe.nc, describe.csv, figures.")],
    days: Days = None,
    config: Annotated[Path | None, typer.Option(help="Run file in TOML; its climatology and input are used.")] = None,
    settings: Settings = None,
    variable: Variable = None,
    water: Water = None,
    quality: Quality = None,
    skip_bad: SkipBad = False,
) -> None:
    """Describe the input: cloud cover, persistence of gaps, coverage, distributions; figures and tables."""
    from sereno.io.outputs.atomic import refuse_folder
    from sereno.report.input_tables import show_description
    from sereno.workflow.describe import describe as describe_cube

    overrides = {"variable": variable, "water": water, "quality_level": quality}
    run = configuration(None if config else "climatology", config, settings or [], overrides)
    require_other_place(inputs, output, run.water, run.climatology.file)
    refuse_folder(output)
    require_periods({"--days": days, "climatology.period": run.climatology.period})
    cube = open_input(inputs, run.variable, run.water, run.quality_level, skip_bad=skip_bad)
    with shown_progress() as progress, sole_writer(output):
        description = describe_cube(cube, run, days=days, progress=progress)
        from sereno.report.input_figures import save_description  # matplotlib, when there is something to draw

        paths = save_description(description, output, progress=progress)
    show_description(description)
    for path in paths:
        typer.echo(f"wrote {path}")
    leave_with(cube.attrs["skipped"])


@app.command(epilog="Example: `sereno climatology l3s/ -o clim.nc --period 1985 2015 --method window`")
def climatology(
    inputs: Inputs,
    output: Annotated[Path, typer.Option("-o", "--output", help="CLIM.nc or CLIM.zarr to write.")],
    period: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="Base period, two years or dates, both included.  [default: the record]"),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option("--method", help="harmonics, or window: days of the year, smoothed.  [default: harmonics]"),
    ] = None,
    harmonics: Annotated[int | None, typer.Option(help="Harmonics of the year.  [default: 2]")] = None,
    window: Annotated[int | None, typer.Option(help="Days of the window, odd.  [default: 11]")] = None,
    smoothing: Annotated[int | None, typer.Option(help="Days of the moving average, odd.  [default: 31]")] = None,
    variable: Variable = None,
    water: Water = None,
    quality: Quality = None,
    skip_bad: SkipBad = False,
) -> None:
    """Make the daily climatology of a long record."""
    from sereno.config import configure
    from sereno.io.outputs.atomic import require_place
    from sereno.workflow.climatology import make_climatology

    require_other_place(inputs, output, water)
    choices = {"kind": method, "harmonics": harmonics, "window": window, "smoothing": smoothing}
    choices["period"] = None if period is None else ":".join(period)
    config = configure("climatology", climatology={key: value for key, value in choices.items() if value is not None})
    require_periods({"--period": config.climatology.period})
    require_place(output)
    with shown_progress() as progress, sole_writer(output):
        cube = open_input(inputs, variable, water, quality, skip_bad=skip_bad)
        made = make_climatology(cube, output, config.climatology, progress=progress)
    if "comment" in made.attrs:
        note(made.attrs["comment"])
    first, last = made.attrs["base_period_start"], made.attrs["base_period_end"]
    typer.echo(f"wrote {output}: {config.climatology.kind}, base period {first}:{last}")
    leave_with(cube.attrs["skipped"])


@app.command(epilog="Example: `sereno tiles cube.zarr -o tiles --climatology clim.nc`")
def tiles(
    inputs: Inputs,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of tiles to write.")],
    size: Annotated[tuple[int, int], typer.Option(min=1, help="Cells (lat, lon) of a tile.")] = (190, 250),
    overlap: Annotated[
        float, typer.Option(min=0, max=0.99, help="Share of a tile that the next one covers too.")
    ] = 0.5,
    coverage: Annotated[float, typer.Option(min=0, max=1, help="Smallest share observed on the central day.")] = 0.1,
    window: Annotated[int, typer.Option(min=3, help="Days in a sequence, an odd number.")] = 15,
    most: Annotated[
        int | None, typer.Option(min=2, help="Largest number of tiles, drawn at random by --seed.")
    ] = None,
    climatology: Annotated[
        str | None, typer.Option(help="Climatology file for the anomalies; fitted if not given.")
    ] = None,
    days: Days = None,
    variable: Variable = None,
    water: Water = None,
    quality: Quality = None,
    seed: Seed = None,
) -> None:
    """Write training tiles as `.npz` files in the layout of the thesis; `fit` can train on them."""
    from sereno.config import parse_config
    from sereno.workflow.bare_networks import export_tiles

    model = {"method": "convlstm", "windows": "tiles", "tile": size, "overlap": overlap, "window": window}
    model |= {"smallest_coverage": coverage} | ({} if most is None else {"most_tiles": most})
    table = {"recent_days": 0} | ({} if climatology is None else {"file": climatology})
    values = {"model": model, "climatology": table, "seed": seed or 0} | ({} if days is None else {"train": days})
    run = parse_config(values, origin="options")
    require_other_place(inputs, output, water, climatology)
    require_periods({"--days": days})
    with shown_progress() as progress, sole_writer(output):
        made, scale = export_tiles(open_input(inputs, variable, water, quality), run, output, progress=progress)
    typer.echo(f"wrote {output}: {made[0]} tiles of {' × '.join(map(str, made[1:]))}, max_std_seq {scale:.4f}")
    if made[2:] != size:
        note(f"a tile of {size[0]} × {size[1]} cells does not fit the grid, and was cut to it")
