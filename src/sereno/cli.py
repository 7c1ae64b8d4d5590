"""The command line: verbs, options and tables; no numerics.

Nothing heavy is imported until a verb runs, so that ``sereno --help`` answers at once.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sereno.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

    from sereno.config import RunConfig
    from sereno.methods import Progress
    from sereno.networks import BareNetwork
    from sereno.workflow import Model

SECONDS_BETWEEN_LINES = 2.0
BARE = "climatology and uncertainty are fitted on the input that fill or evaluate uses it on"

app = typer.Typer(
    name="sereno",
    help="Fill the clouds in satellite images of the sea: gap-free daily maps with a calibrated uncertainty.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"sereno {version('sereno')}")
        raise typer.Exit


Inputs = Annotated[
    list[str], typer.Argument(metavar="IN...", help="NetCDF files, globs, folders or Zarr stores, one or many.")
]
Variable = Annotated[str | None, typer.Option(help="Variable to reconstruct; recognised where not given.")]
Water = Annotated[
    str | None, typer.Option("--water", "--land", help="File whose mask tells sea from land, such as an L4 file.")
]
Quality = Annotated[
    int | None, typer.Option(min=0, max=5, help="Lowest GHRSST quality level that counts.  [default: 4]")
]
Days = Annotated[
    str | None, typer.Option(metavar="A:B", help="Days from A to B, both included; either may be left out.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a setting, e.g. model.hidden=16.")
]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed of everything random.  [default: 0]")]


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Take the options that stand before a verb."""


@app.command(epilog="Example: `sereno check l3s/`")
def check(inputs: Inputs, variable: Variable = None, water: Water = None, quality: Quality = None) -> None:
    """List every problem of the input at once, and a summary: grid, period, missing days, coverage."""
    from sereno.report.tables import show_summary

    show_summary(_open(inputs, variable, water, quality))


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
        typer.Option(help="mean of a cell's observations, or nearest to its centre.  [default: mean]"),
    ] = None,
    min_observations: Annotated[
        int | None, typer.Option(min=1, help="A mean of fewer is missing.  [default: 1]")
    ] = None,
    climatology: Annotated[Path | None, typer.Option(help="Daily climatology, to store the anomaly too.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes at work.  [default: a CPU each, within 2 GiB]")
    ] = None,
) -> None:
    """Bring daily L3 files to one analysis-ready cube; run again, go on, or take in new days."""
    from sereno import preparation

    _require_other_place(inputs, output)
    if resample not in (None, "mean", "nearest"):
        raise InputError(f"--resample {resample}: choose mean or nearest")
    with _progress() as progress, _can_go_on(output):
        done = preparation.prepare(
            inputs,
            output,
            variable=variable,
            water=water,
            **({} if quality is None else {"quality_level": quality}),
            grid=grid,
            resample=resample,  # type: ignore[arg-type]
            min_observations=min_observations,
            climatology=climatology,
            workers=workers,
            progress=progress,
        )
    _tell(done.notes, done.inserted_days)
    typer.echo(f"wrote {output}" if output.suffix == ".nc" else f"wrote {output}: {done.written} days")


@app.command(epilog="Example: `sereno describe l3s/ -o description --days 2019:2021`")
def describe(
    inputs: Inputs,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for describe.nc, describe.csv, figures.")],
    days: Days = None,
    config: Annotated[Path | None, typer.Option(help="Run file in TOML, for its climatology and input.")] = None,
    settings: Settings = None,
    variable: Variable = None,
    water: Water = None,
    quality: Quality = None,
) -> None:
    """Explore the input: cloud cover, persistence of gaps, coverage, distributions; figures and tables."""
    from sereno import preparation
    from sereno.io.atomic import refuse_folder
    from sereno.report.exploration import save_description
    from sereno.report.tables import show_description

    told = {"variable": variable, "water": water, "quality_level": quality}
    run = _configure(None if config else "climatology", config, settings or [], told)
    _require_other_place(inputs, output)
    refuse_folder(output)
    cube = _open(inputs, run.variable, run.water, run.quality_level)
    with _progress() as progress:
        description = preparation.describe(cube, run, days=days, progress=progress)
        paths = save_description(description, output, progress=progress)
    show_description(description)
    for path in paths:
        typer.echo(f"wrote {path}")


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
) -> None:
    """Make the daily climatology of a long record."""
    from sereno.config import configure
    from sereno.preparation import make_climatology

    _require_other_place(inputs, output)
    told = {"kind": method, "harmonics": harmonics, "window": window, "smoothing": smoothing}
    told["period"] = None if period is None else ":".join(period)
    config = configure("climatology", climatology={key: value for key, value in told.items() if value is not None})
    with _progress() as progress:
        made = make_climatology(
            _open(inputs, variable, water, quality), output, config.climatology, progress=progress
        )
    if "comment" in made.attrs:
        _note(made.attrs["comment"])
    first, last = made.attrs["base_period_start"], made.attrs["base_period_end"]
    typer.echo(f"wrote {output}: {config.climatology.kind}, base period {first}:{last}")


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
            help="climatology, interpolation, convlstm, or a reference network: model1, model2, model3, "
            "model3-dilation1, deep.",
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Run file in TOML; options override it.")] = None,
    settings: Settings = None,
    train: Annotated[str | None, typer.Option(metavar="A:B", help="Training period.")] = None,
    valid: Annotated[str | None, typer.Option(metavar="A:B", help="Validation period.")] = None,
    max_minutes: Annotated[
        float | None, typer.Option(help="End training by then with the best weights so far.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted training.")] = False,
    variable: Variable = None,
    water: Water = None,
    quality: Quality = None,
    seed: Seed = None,
) -> None:
    """Train or tune a method and save it as a model; IN may be a folder of training tiles."""
    from sereno import networks, workflow
    from sereno.io.tiles import is_tile_folder
    from sereno.report.figures import losses_figure
    from sereno.report.figures import save as save_figure

    told = {"train": train, "valid": valid, "max_minutes": max_minutes, "seed": seed}
    told |= {"variable": variable, "water": water, "quality_level": quality}
    run = _configure(method, config, settings or [], told)
    _require_place_for_model(output)
    checkpoints = output.with_name(output.name + ".training")
    on_tiles = len(inputs) == 1 and is_tile_folder(inputs[0])
    cube = None if on_tiles else _open(inputs, run.variable, run.water, run.quality_level)
    model: Model | BareNetwork
    with _progress() as progress:
        if cube is None:
            model = networks.fit_tiles(inputs[0], run, folder=checkpoints, resume=resume, progress=progress)
        else:
            model = workflow.fit(cube, run, folder=checkpoints, resume=resume, progress=progress)
    workflow.save(model, output)
    if isinstance(model, workflow.Model):
        typer.echo(f"wrote {output}: {model.name} fitted on {model.description.training_period}")
    else:
        typer.echo(f"wrote {output}: a bare network trained on {model.origin}; {BARE}")
    if getattr(run.model, "split", "time") == "random":
        _note('model.split = "random": validation windows share days with training windows, so the validation loss '
              "leaks and is too good; judge the model on days it was not trained on")  # fmt: skip
    if (checkpoints / "metrics.csv").is_file():
        save_figure(losses_figure(checkpoints / "metrics.csv"), checkpoints / "losses.png")
        typer.echo(f"checkpoints, metrics.csv and losses.png are in {checkpoints}; remove it when the training need "
                   "not be resumed")  # fmt: skip


@app.command(epilog="Example: `sereno tiles cube.zarr -o tiles --climatology clim.nc`")
def tiles(
    inputs: Inputs,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of tiles to write.")],
    size: Annotated[tuple[int, int], typer.Option(min=1, help="Cells (lat, lon) of a tile.")] = (190, 250),
    overlap: Annotated[
        float, typer.Option(min=0, max=0.99, help="Share that neighbouring tiles have in common.")
    ] = 0.5,
    coverage: Annotated[float, typer.Option(min=0, max=1, help="Least share observed on the central day.")] = 0.1,
    window: Annotated[int, typer.Option(min=3, help="Days in a sequence, an odd number.")] = 15,
    most: Annotated[int | None, typer.Option(min=2, help="Tiles at most, drawn with the seed.")] = None,
    climatology: Annotated[
        str | None, typer.Option(help="File of the climatology that anomalies are taken from; else fitted.")
    ] = None,
    days: Days = None,
    variable: Variable = None,
    water: Water = None,
    quality: Quality = None,
    seed: Seed = None,
) -> None:
    """Write training tiles as `.npz` files in the reference method's layout; `fit` can train on them."""
    from sereno.config import parse_config
    from sereno.networks import export_tiles

    model = {"method": "convlstm", "windows": "tiles", "tile": size, "overlap": overlap, "window": window}
    model |= {"smallest_coverage": coverage} | ({} if most is None else {"most_tiles": most})
    table = {"recent_days": 0} | ({} if climatology is None else {"file": climatology})
    values = {"model": model, "climatology": table, "seed": seed or 0} | ({} if days is None else {"train": days})
    run = parse_config(values, origin="options")
    with _progress() as progress:
        count, scale = export_tiles(_open(inputs, variable, water, quality), run, output, progress=progress)
    typer.echo(f"wrote {output}: {count} tiles of {window} × {size[0]} × {size[1]}, max_std_seq {scale:.4f}")


@app.command(name="import-keras", epilog="Example: `sereno import-keras deep.keras -o deep --max-std-seq tiles/`")
def import_keras(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Network saved by Keras, .keras or .h5.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the model to write.")],
    scale: Annotated[
        str | None,
        typer.Option("--max-std-seq", help="What its training divided by: a number, max_std_seq.npz or its folder."),
    ] = None,
    climatology: Annotated[
        Path | None, typer.Option(help="File of the climatology that its anomalies were taken from.")
    ] = None,
) -> None:
    """Take over a reference network trained with Keras; no Keras is needed and none of its code is run."""
    from sereno import networks, workflow
    from sereno.io.tiles import read_scale

    _require_place_for_model(output)
    if climatology is not None and not climatology.exists():
        raise InputError(f"--climatology {climatology}: no such file")
    known = None if climatology is None else str(climatology.resolve())
    network = networks.import_keras(path, scale=0.0 if scale is None else read_scale(scale), climatology=known)
    typer.echo(f"wrote {workflow.save(network, output)}: a bare network from {network.origin}; {BARE}")
    if scale is None:
        _note("without --max-std-seq anomalies are divided by their standard deviation on the input it is used on")
    if known is None:
        _note("without --climatology one is fitted on the input it is used on")


@app.command(epilog="Example: `sereno fill l3s/ -m interpolation -o analysis.nc --days 2024-05-01:2024-05-31`")
def fill(
    inputs: Inputs,
    method: Annotated[
        str, typer.Option("-m", "--model", "--method", help="A model's folder, or the name of a cheap method.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="OUT.nc, OUT.zarr, or a folder for daily files.")],
    days: Days = None,
    nrt: Annotated[bool, typer.Option("--nrt", help="Near real time: no day sees what came after it.")] = False,
    keep_observed: Annotated[
        bool, typer.Option("--keep-observed", help="Leave observed pixels as they are.")
    ] = False,
    unpacked: Annotated[bool, typer.Option("--unpacked", help="Write float32 instead of counts of 0.01 K.")] = False,
    variable: Variable = None,
    water: Water = None,
    quality: Quality = None,
) -> None:
    """Reconstruct days without gaps, with their uncertainty, as GHRSST L4 files."""
    from sereno import workflow
    from sereno.io.write import write_analysis

    _require_other_place(inputs, output)
    named = _model_or_name(method)
    told = None if isinstance(named, str) else named.config
    cube = _open_for(inputs, told, variable, water, quality)
    with _progress() as progress:
        model = workflow.model_for(cube, named, days=days, nrt=nrt, progress=progress)
        analysis = workflow.fill(cube, model, days=days, nrt=nrt, keep_observed=keep_observed)
        product = workflow.product_of(cube, model)
        paths = write_analysis(analysis, output, product=product, packed=not unpacked, progress=progress)
    typer.echo(f"wrote {output if len(paths) > 1 else paths[0]}: {analysis.sizes['time']} days by {model.name}")


@app.command(epilog="Example: `sereno evaluate l3s/ -m climatology -m interpolation -m model -o scores`")
def evaluate(
    inputs: Inputs,
    methods: Annotated[
        list[str], typer.Option("-m", "--model", "--method", help="A model's folder or a cheap method; repeat.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for scores and figures.")],
    days: Days = None,
    protocol: Annotated[
        str, typer.Option(help="clouds: another day's clouds; hidden-day: the whole day.")
    ] = "clouds",
    share: Annotated[float, typer.Option(min=0, max=1, help="Share of the days to score.")] = 0.25,
    train: Annotated[
        str | None, typer.Option(metavar="A:B", help="Period to fit the methods given by name on.")
    ] = None,
    noise: Annotated[
        float | None, typer.Option(min=0, help="Noise (std) of the observations; else estimated.")
    ] = None,
    variable: Variable = None,
    water: Water = None,
    quality: Quality = None,
    seed: Seed = None,
) -> None:
    """Score methods on the same withheld pixels, beside the climatology: tables, strata and figures."""
    from sereno import evaluation
    from sereno.config import configure
    from sereno.report.score_figures import save_score_figures
    from sereno.report.tables import save_scores, show_scores

    chosen: dict[str, Model | BareNetwork | RunConfig] = {}
    for text in methods:
        named = _model_or_name(text)
        label = named if isinstance(named, str) else Path(text).name
        if label in chosen:
            raise InputError(f"-m {text}: {label!r} is given twice; rename one of the model folders")
        chosen[label] = configure(named, train=train) if isinstance(named, str) else named
    cube = _open(inputs, variable, water, quality)
    with _progress() as progress:
        result = evaluation.evaluate(
            cube,
            chosen,
            days=days,
            protocol=protocol,
            share=share,
            seed=seed or 0,
            observation_noise=noise,
            progress=progress,
        )
    paths = save_scores(result, output)  # before the figures, which are worth less
    show_scores(result.scores)
    paths += save_score_figures(result, output)
    for path in paths:
        typer.echo(f"wrote {path}")


@app.command(epilog="Example: `sereno demo -o demo`")
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for everything the demo makes.")] = Path(
        "demo"
    ),
    seed: Seed = None,
) -> None:
    """Run the whole job on a small sea made for it: files, cube, fit, scores, L4 file, figures."""
    from sereno.demo import run
    from sereno.report.tables import show_scores

    with _progress() as progress:
        result = run(output, seed=seed or 0, progress=progress)
    show_scores(result.scores)
    for path in result.paths:
        typer.echo(f"wrote {path}")


def main() -> None:
    """Run the command line: exit 0 on success, 2 on an error of usage or input, 130 on Ctrl-C."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        app(standalone_mode=True)
    except InputError as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        sys.exit(2)
    except PermissionError as error:
        typer.secho(
            f"error: {error.filename}: no permission to write there; choose another place", fg="red", err=True
        )
        sys.exit(2)
    except (KeyboardInterrupt, SystemExit) as leaving:
        if isinstance(leaving, SystemExit) and leaving.code != 130:  # typer turns Ctrl-C into an exit with 130
            raise
        typer.secho("interrupted; nothing half written was left", err=True)
        sys.exit(130)


def _open(inputs: list[str], variable: str | None, water: str | None, quality: int | None) -> xr.Dataset:
    from sereno.io.read import open_cube

    cube = open_cube(
        inputs, variable=variable, water=water, **({} if quality is None else {"quality_level": quality})
    )
    _tell(cube.attrs["notes"], cube.attrs["inserted_days"])
    return cube


def _tell(notes: list[str], inserted: list[str]) -> None:
    """Print what had to be assumed."""
    for note in notes:
        _note(note)
    if inserted:
        listed = ", ".join(inserted[:5]) + (", …" if len(inserted) > 5 else "")
        _note(f"{len(inserted)} missing days taken as empty images: {listed}")


def _note(text: str) -> None:
    typer.secho(f"note: {text}", fg="yellow", err=True)


def _open_for(
    inputs: list[str], config: RunConfig | None, variable: str | None, water: str | None, quality: int | None
) -> xr.Dataset:
    """Open the input as a model's own training input was opened, unless told otherwise."""
    if config is None:
        return _open(inputs, variable, water, quality)
    level = config.quality_level if quality is None else quality
    return _open(inputs, variable or config.variable, water or config.water, level)


def _configure(method: str | None, path: Path | None, settings: list[str], told: dict[str, Any]) -> RunConfig:
    """Merge the run file, ``--set`` and the options, the later over the earlier, and validate."""
    from sereno.config import override, parse_config, read_config

    values = {} if path is None else read_config(path)
    values = override(values, settings) | {key: value for key, value in told.items() if value is not None}
    model = values.setdefault("model", {})
    if method is not None and isinstance(model, dict):
        model["method"] = method
    if not model:
        raise InputError("no method: name one with -m, or set model.method in the run file")
    return parse_config(values, origin=str(path or "options"))


def _model_or_name(text: str) -> Model | BareNetwork | str:
    """Read ``-m``: a folder is a model, anything else must be the name of a method."""
    from sereno.methods import METHODS, QUICK_METHODS
    from sereno.workflow import load

    if text in METHODS and not Path(text, "model.json").exists():
        if text not in QUICK_METHODS:
            raise InputError(f"-m {text}: needs training; run sereno fit -m {text} first and give the model's folder")
        return text
    if Path(text).exists():
        return load(text)
    raise InputError(f"-m {text}: neither a model's folder nor a method ({', '.join(METHODS)})")


def _require_other_place(inputs: list[str], output: Path) -> None:
    """Refuse to write over the input, or into its folder."""
    from sereno.io.opening import expand

    if output.exists() and output.resolve() in {path.resolve() for path in (*map(Path, inputs), *expand(inputs))}:
        raise InputError(f"-o {output}: it is the input, which would be lost or mixed up; choose another name")


def _require_place_for_model(output: Path) -> None:
    """Refuse a place where no model can be saved, before hours are spent on training it."""
    if not output.resolve().parent.is_dir():
        raise InputError(f"-o {output}: there is no folder {output.parent}; make it first")
    empty = not output.exists() or (output.is_dir() and not any(output.iterdir()))
    if not empty and not (output / "model.json").exists():
        raise InputError(f"-o {output}: something that is no model stands there; choose another name or remove it")


@contextmanager
def _can_go_on(store: Path) -> Iterator[None]:
    """Tell who stops the work at a store that it need not begin anew."""
    try:
        yield
    except KeyboardInterrupt:
        if store.is_dir():
            typer.secho(f"{store} is unfinished: run the same command again to go on", fg="yellow", err=True)
        raise


@contextmanager
def _progress() -> Iterator[Progress]:
    """Show progress: bars on a terminal, otherwise a line for every twentieth part done."""
    if sys.stderr.isatty():
        with _bars() as report:
            yield report
    else:
        yield _lines()


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description:<24}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, fraction: float) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=1.0)
            bars.update(tasks[stage], completed=fraction)

        yield report


def _lines() -> Progress:
    """Return a report for logs: a line for every 5 %, but not more than one in two seconds, and one at the end."""
    told: dict[str, tuple[int, float]] = {}

    def report(stage: str, fraction: float) -> None:
        twentieth, now = int(20 * fraction), time.monotonic()
        before, when = told.get(stage, (-1, now))
        if twentieth > before and (twentieth == 20 or now - when >= SECONDS_BETWEEN_LINES):
            told[stage] = (twentieth, now)
            typer.echo(f"{stage}: {5 * twentieth} %", err=True)
        else:
            told.setdefault(stage, (-1, now))

    return report


if __name__ == "__main__":
    main()
