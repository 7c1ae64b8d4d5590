"""The verbs that score methods: evaluate, and demo, which runs the whole job."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sereno.cli.models import WHAT, tell_mode, tell_packaged
from sereno.cli.options import (
    Days,
    Inputs,
    Quality,
    Seed,
    SkipBad,
    Variable,
    Water,
    app,
    leave_with,
    model_or_name,
    open_input,
    require_other_place,
    require_periods,
)
from sereno.cli.progress import shown_progress, sole_writer
from sereno.errors import InputError

if TYPE_CHECKING:
    from sereno.config import RunConfig
    from sereno.workflow.bare_networks import BareNetwork
    from sereno.workflow.models import Model


@app.command(epilog="Example: `sereno evaluate l3s/ -m climatology -m interpolation -m model -o scores`")
def evaluate(
    inputs: Inputs,
    methods: Annotated[
        list[str],
        typer.Option("-m", "--model", "--method", help=f"Repeat: {WHAT}"),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for scores and figures.")],
    days: Days = None,
    protocol: Annotated[
        str,
        typer.Option(help="Pixels to withhold. clouds: under the clouds of another day; hidden-day: the whole day."),
    ] = "clouds",
    share: Annotated[float, typer.Option(min=0, max=1, help="Share of the days that is scored.")] = 0.25,
    train: Annotated[
        str | None, typer.Option(metavar="A:B", help="Training period of methods given by name.")
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(min=0, help="Standard deviation of the observation errors; estimated if not given."),
    ] = None,
    withheld: Annotated[
        Path | None, typer.Option(help="withheld.nc of an earlier run: score exactly its pixels.")
    ] = None,
    relative_to: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Baseline of the ratios, one of -m; the climatology if not given."),
    ] = None,
    nrt: Annotated[
        bool, typer.Option("--nrt", help="Near real time: no day uses observations of later days.")
    ] = False,
    variable: Variable = None,
    water: Water = None,
    quality: Quality = None,
    skip_bad: SkipBad = False,
    seed: Seed = None,
) -> None:
    """Score methods and the climatology on the same withheld pixels: tables, figures and a report."""
    from sereno.evaluation.evaluate import evaluate as score
    from sereno.evaluation.score_tables import yardstick_of
    from sereno.gaps.withholding import require_protocol
    from sereno.io.outputs.atomic import atomic_files, refuse_folder
    from sereno.io.outputs.withheld import read_withheld
    from sereno.report.printed_scores import show_scores

    require_periods({"--days": days, "--train": train})
    require_protocol(protocol)
    require_other_place(inputs, output, water, *methods)
    refuse_folder(output)
    chosen = _methods_of(methods, train=train)
    if relative_to is not None:
        yardstick_of(relative_to, list(chosen), {})
    index = None if withheld is None else read_withheld(withheld)
    tell_packaged(chosen.values())
    for each in chosen.values():
        tell_mode(each, nrt=nrt)
    cube = open_input(inputs, variable, water, quality, skip_bad=skip_bad)
    with sole_writer(output), shown_progress() as progress:
        result = score(
            cube,
            chosen,
            days=days,
            protocol=protocol,
            withheld=index,
            share=share,
            seed=seed or 0,
            observation_noise=noise,
            relative_to=relative_to,
            nrt=nrt,
            progress=progress,
        )
        # What draws is imported when there is something to draw.
        from sereno.report.page import save_report
        from sereno.report.score_figures import save_score_figures

        with atomic_files(output) as folder:
            paths = result.save(folder)
            command = shlex.join(["sereno", *sys.argv[1:]])
            paths.append(save_report(result, folder, command=command, progress=progress))
            paths += save_score_figures(result, folder, progress=progress)
    show_scores(result.results)
    for path in paths:
        typer.echo(f"wrote {output / path.name}")
    leave_with(cube.attrs["skipped"])


def _methods_of(texts: list[str], *, train: str | None) -> dict[str, Model | BareNetwork | RunConfig]:
    """Read every ``-m``; each method is labelled by its name, or that of its folder or run file."""
    from sereno.config import RunConfig, configure_at_once

    chosen: dict[str, Model | BareNetwork | RunConfig] = {}
    for text in texts:
        named = model_or_name(text)
        named = configure_at_once(named, train=train) if isinstance(named, str) else named
        label = Path(text).name.removesuffix(".toml")
        if label in chosen:
            raise InputError(f"-m {text}: {label!r} is given twice; rename one of the model folders")
        if isinstance(named, RunConfig) and train is not None:
            named = replace(named, train=train)
        chosen[label] = named
    return chosen


@app.command(epilog="Example: `sereno demo -o demo`")
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for all files of the demo.")] = Path("demo"),
    seed: Seed = None,
) -> None:
    """Run the whole job on a small simulated sea: files, cube, fit, scores, L4 file, figures."""
    from sereno.cli.demo import run
    from sereno.io.outputs.atomic import refuse_folder
    from sereno.report.printed_scores import show_scores

    refuse_folder(output)
    with sole_writer(output), shown_progress() as progress:
        result = run(output, seed=seed or 0, progress=progress)
    show_scores(result.results)
    for path in result.paths:
        typer.echo(f"wrote {path}")
