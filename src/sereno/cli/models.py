"""The verbs that make models and use them: fit, import-keras, fill."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sereno.cli.filling import report_lines, shard_of, to_do, workers_of
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
    configuration,
    leave_with,
    model_or_name,
    note,
    open_for,
    open_input,
    require_other_place,
    require_periods,
    require_place_for_model,
    with_members,
)
from sereno.cli.progress import can_continue, holds_files, shown_progress, sole_writer, stopping_early
from sereno.files import require_regular
from sereno.methods import METHODS, method_named
from sereno.slurm import step

if TYPE_CHECKING:
    import xarray as xr

    from sereno.config import RunConfig
    from sereno.workflow.bare_networks import BareNetwork
    from sereno.workflow.choices import AnyMethod
    from sereno.workflow.models import Model

LEAKS = (
    'model.split = "random": validation windows share days with training windows, so the validation loss leaks and '
    "is too good; judge the model on days it was not trained on"
)
WHAT = (
    "folder of a model, run file (TOML), or one of "
    f"{', '.join(name for name, row in METHODS.items() if not row.needs_training)}."
)
DEFAULT_METHOD = "unet"
PACKAGED = (
    "the pre-trained network is used unchanged; climatology, scales and uncertainty are measured on "
    "the input. sereno fit -m unet trains it further on your own region"
)
DELAYED = (
    "the model was made by an earlier version: its standard deviation was never calibrated for near real time, where "
    "it is too small"
)
BARE = "fill and evaluate fit climatology and uncertainty on their input"


def tell_packaged(methods: Iterable[AnyMethod]) -> None:
    """Note, once, that a method is the pre-trained network."""
    from sereno.workflow.choices import settings_of
    from sereno.workflow.models import Model

    if any(settings_of(one).weights == "packaged" for one in methods if not isinstance(one, Model)):
        note(PACKAGED)


def tell_mode(method: AnyMethod, *, nrt: bool) -> None:
    """Note that a model of an earlier version states too small errors in near real time."""
    from sereno.workflow.models import Model

    if nrt and isinstance(method, Model) and not method.calibrated_for_nrt:
        note(f"{DELAYED}; fit it again")


def caution(cube: xr.Dataset, run: RunConfig) -> None:
    """Print cautions when a method is fitted on a cube."""
    from sereno.workflow.fit import cautions

    for text in cautions(cube, run):
        note(text)


@app.command(
    epilog="Example: `sereno fit cube.zarr -m convlstm -o model --train :2019 --valid 2020-02: --max-minutes 60`"
)
def fit(
    inputs: Inputs,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the model to write.")],
    method: Annotated[
        str | None,
        typer.Option(
            "-m",
            "--method",
            "--model",
            help=f"{', '.join(METHODS)}, or a network of the thesis: model1, model2, model3, model3-dilation1, deep.",
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Run file in TOML; options override it.")] = None,
    settings: Settings = None,
    train: Annotated[str | None, typer.Option(metavar="A:B", help="Training period.")] = None,
    valid: Annotated[str | None, typer.Option(metavar="A:B", help="Validation period.")] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(
            help="End the training, of all members together, after this many minutes with the best weights so far; "
            "first guesses and calibration take further minutes."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted training.")] = False,
    members: Annotated[
        int | None, typer.Option(min=1, help="Networks of unet to train and average.  [default: 1]")
    ] = None,
    variable: Variable = None,
    water: Water = None,
    quality: Quality = None,
    skip_bad: SkipBad = False,
    seed: Seed = None,
) -> None:
    """Train or tune a method and save it as a model; IN may be a folder of training tiles."""
    from sereno.workflow.bare_networks import fit_tiles
    from sereno.workflow.choices import choice_of
    from sereno.workflow.fit import fit_choice
    from sereno.workflow.models import Model, save
    from sereno.workflow.tile_files import is_tile_folder

    overrides = {"train": train, "valid": valid, "max_minutes": max_minutes, "seed": seed}
    overrides |= {"variable": variable, "water": water, "quality_level": quality}
    run = with_members(configuration(method, config, settings or [], overrides), members)
    require_other_place(inputs, output, run.water, run.climatology.file)
    require_place_for_model(output)
    require_periods({"--train": run.train, "--valid": run.valid, "climatology.period": run.climatology.period})
    checkpoints = output.with_name(output.name + ".training")
    if resume and not holds_files(checkpoints):
        note(f"--resume: {checkpoints} holds no training to continue; a new one begins")
    on_tiles = len(inputs) == 1 and is_tile_folder(inputs[0])
    cube = None
    if not on_tiles:
        cube = open_input(inputs, run.variable, run.water, run.quality_level, skip_bad=skip_bad)
    if cube is not None:
        caution(cube, run)
    model: Model | BareNetwork
    with sole_writer(output):
        with shown_progress() as progress, can_continue(checkpoints, "with --resume"), stopping_early(checkpoints):
            if cube is None:
                model = fit_tiles(inputs[0], run, folder=checkpoints, resume=resume, progress=progress)
            else:
                choice = choice_of(run)
                model = fit_choice(cube, choice, folder=checkpoints, resume=resume, progress=progress)
        if step.rank() > 0:
            return
        save(model, output)
    if isinstance(model, Model):
        typer.echo(f"wrote {output}: {model.name} fitted on {model.description.training_period}")
    else:
        typer.echo(f"wrote {output}: a bare network trained on {model.origin}; {BARE}")
    if run.leaks:
        note(LEAKS)
    row = method_named(run.model.method)
    if row.is_network and checkpoints.exists():
        draw_losses(checkpoints, likelihood=row.learns_likelihood)
        typer.echo(
            f"checkpoints, metrics.csv and losses.png are in {checkpoints}; remove the folder if you will not resume"
        )
    leave_with([] if cube is None else cube.attrs["skipped"])


def draw_losses(checkpoints: Path, *, likelihood: bool) -> None:
    """Draw the losses of each network that was trained, next to their table."""
    from sereno.report.figures import losses_figure, save

    for losses in checkpoints.rglob("metrics.csv"):
        save(losses_figure(losses, likelihood=likelihood), losses.with_name("losses.png"))


@app.command(name="import-keras", epilog="Example: `sereno import-keras deep.keras -o deep --max-std-seq tiles/`")
def import_keras(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Network saved by Keras, .keras or .h5.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the model to write.")],
    scale: Annotated[
        str | None,
        typer.Option(
            "--max-std-seq", help="Divisor of the anomalies in its training: a number, max_std_seq.npz or its folder."
        ),
    ] = None,
    climatology: Annotated[
        Path | None, typer.Option(help="File of the climatology that its anomalies were taken from.")
    ] = None,
) -> None:
    """Import a network of the thesis trained with Keras; Keras is not needed, and no code of the file is run."""
    from sereno.workflow.bare_networks import import_keras as import_network
    from sereno.workflow.models import save
    from sereno.workflow.tile_files import read_scale

    require_other_place([str(path)], output, climatology)
    require_place_for_model(output)
    if climatology is not None and not climatology.is_dir():
        require_regular(climatology)
    known = None if climatology is None else str(climatology.resolve())
    network = import_network(path, scale=0.0 if scale is None else read_scale(scale), climatology=known)
    with sole_writer(output):
        save(network, output)
    typer.echo(f"wrote {output}: a bare network from {network.origin}; {BARE}")
    if scale is None:
        note("without --max-std-seq anomalies are divided by their standard deviation on the input it is used on")
    if known is None:
        note("without --climatology one is fitted on the input it is used on")


@app.command(epilog="Example: `sereno fill l3s/ -m interpolation -o analysis.nc --days 2024-05-01:2024-05-31`")
def fill(
    inputs: Inputs,
    output: Annotated[Path, typer.Option("-o", "--output", help="OUT.nc, OUT.zarr, or a folder for daily files.")],
    method: Annotated[str, typer.Option("-m", "--model", "--method", help=WHAT)] = DEFAULT_METHOD,
    days: Days = None,
    nrt: Annotated[
        bool, typer.Option("--nrt", help="Near real time: no day uses observations of later days.")
    ] = False,
    keep_observed: Annotated[
        bool, typer.Option("--keep-observed", help="Keep the observed values at observed pixels.")
    ] = False,
    unpacked: Annotated[bool, typer.Option("--unpacked", help="Write float32 instead of counts of 0.01 K.")] = False,
    workers: Annotated[
        str, typer.Option(metavar="N|ADDRESS", help="Number of processes, or a Dask scheduler, tcp://host:8786.")
    ] = "1",
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Fill only part I of N, for the jobs of an array.")
    ] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Finish the output when all shards are done.")] = False,
    update: Annotated[
        bool,
        typer.Option("--update", help="Add new and late days, and fill again only the days that they influence."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing output, once the new one is complete.")
    ] = False,
    variable: Variable = None,
    water: Water = None,
    quality: Quality = None,
    skip_bad: Annotated[
        bool | None,
        typer.Option(
            "--skip-bad/--no-skip-bad",
            help="Leave out files that cannot be read; their days are empty, and the exit status is 3.  "
            "[default: with --update]",
        ),
    ] = None,
) -> None:
    """Fill the gaps of every day, with uncertainty, as GHRSST L4 files."""
    from sereno.io.outputs.analysis import require_place_for_analysis
    from sereno.workflow.choices import settings_of
    from sereno.workflow.fill_request import store_of
    from sereno.workflow.fill_to import fill_to
    from sereno.workflow.models import Model

    part, at_work = None if shard is None else shard_of(shard), workers_of(workers)
    require_other_place(inputs, output, water, method)
    require_place_for_analysis(output)
    require_periods({"--days": days})
    named = model_or_name(method)
    run = settings_of(named)
    fitted = isinstance(named, Model)
    tell_packaged([] if fitted else [run])
    skip = update if skip_bad is None else skip_bad
    cube = open_for(inputs, None if isinstance(named, str) else run, variable, water, quality, skip_bad=skip)
    tell_mode(named, nrt=nrt)
    if not fitted:
        caution(cube, run)
    for line in to_do(cube, run.model.method, output, days, fitted=fitted, overwrite=overwrite):
        typer.echo(line, err=True)
    with shown_progress() as progress, can_continue(store_of(output), "again"):
        done = fill_to(
            cube,
            named,
            output,
            days=days,
            nrt=nrt,
            keep_observed=keep_observed,
            packed=not unpacked,
            workers=at_work,
            shard=part,
            merge=merge,
            update=update,
            overwrite=overwrite,
            progress=progress,
        )
    for line in report_lines(done):
        typer.echo(line)
    leave_with(cube.attrs["skipped"])
