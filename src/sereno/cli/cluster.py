"""The verb that runs the others on a cluster: submit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sereno.cli.options import app, without_debug
from sereno.errors import InputError
from sereno.files import require_regular


@app.command(epilog="Example: `sereno submit run.toml --partition gpus --gpus 4 --time 24:00:00`")
def submit(
    run: Annotated[Path, typer.Argument(metavar="RUN.toml", help="Run file with a table [slurm].")],
    partition: Annotated[str | None, typer.Option(help="Partition of every job.")] = None,
    gpus: Annotated[int | None, typer.Option(min=0, help="GPUs of a node.")] = None,
    nodes: Annotated[int | None, typer.Option(min=1, help="Nodes of a training.")] = None,
    time: Annotated[str | None, typer.Option(help="Time limit of every job, such as 24:00:00.")] = None,
    account: Annotated[str | None, typer.Option(help="Account that is charged.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the scripts and submit nothing.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Print the states of the submitted jobs.")] = False,
) -> None:
    """Run the jobs of a run file on a SLURM cluster, one after the other; a training continues across time limits."""
    from sereno.config import read_config
    from sereno.slurm.script import Place, scripts
    from sereno.slurm.settings import parse_slurm
    from sereno.workflow import submit

    if not status:
        require_regular(run)
    if not run.resolve().name:
        raise InputError(f"{run}: it is a folder; give a run file")
    folder = run.resolve().with_suffix(".slurm")
    if status:
        for name, number, state in submit.states(folder):
            typer.echo(f"{name:<20} {number:<12} {state}")
        return
    values = read_config(run)
    overrides = {"partition": partition, "gpus": gpus, "nodes": nodes, "time": time, "account": account}
    slurm = parse_slurm(values, origin=str(run), overrides=overrides)
    for place, job in enumerate(slurm.jobs, 1):
        _require_options(job.words, slurm.of(job).shards, origin=f"{run}: slurm.jobs {place}")
    trains = any(job.verb == "fit" for job in slurm.jobs) and _fits_network(values, origin=str(run))
    made = scripts(slurm, Place(run.resolve(), Path.cwd(), folder), trains=trains)
    if dry_run:
        for name, text in made:
            typer.echo(f"# {name}.sbatch\n{text}")
        return
    for name, number, _ in submit.submit(made, folder):
        typer.echo(f"submitted {name} as job {number}")
    typer.echo(f"scripts and logs are in {folder}; sereno submit {run} --status prints their states")


def _fits_network(values: dict[str, Any], *, origin: str) -> bool:
    """Return whether the method that a run file fits is a network."""
    from sereno.config import parse_config
    from sereno.methods import method_named

    if "model" not in values:
        raise InputError(f"{origin}: fit has its method and settings from a table [model]; add one with method = …")
    return method_named(parse_config(values, origin=origin).model.method).is_network


def _require_options(words: list[str], shards: int, *, origin: str) -> None:
    """Refuse a command line of a job that would fail on the cluster by its options."""
    verb, *rest = words[:1] + without_debug(words[1:])
    given = {word.partition("=")[0] for word in rest}
    if shards > 1 and (excluded := sorted(given & {"--update", "--merge", "--shard"})):
        raise InputError(
            f"{origin}: {excluded[0]} does not go together with shards = {shards}; leave one of them out"
        )
    command = typer.main.get_command(app)
    try:
        command.commands[verb].make_context(verb, rest)  # type: ignore[attr-defined]
    except (typer.Exit, typer.Abort):
        raise InputError(f"{origin}: {verb}: it prints help or the version, which is no job") from None
    except Exception as error:  # typer keeps its own copy of click from version to version, so not by its type
        if not hasattr(error, "format_message"):
            raise
        raise InputError(f"{origin}: {verb}: {error.format_message()}") from None
