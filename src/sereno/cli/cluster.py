"""The verb that runs the others on a cluster: submit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sereno.cli.options import app
from sereno.methods import TRAINED_METHODS


@app.command(epilog="Example: `sereno submit run.toml --partition gpus --gpus 4 --time 24:00:00`")
def submit(
    run: Annotated[Path, typer.Argument(metavar="RUN.toml", help="Run file with a table [slurm].")],
    partition: Annotated[str | None, typer.Option(help="Partition of every job.")] = None,
    gpus: Annotated[int | None, typer.Option(min=0, help="Graphics cards of a node.")] = None,
    nodes: Annotated[int | None, typer.Option(min=1, help="Nodes of a training.")] = None,
    time: Annotated[str | None, typer.Option(help="Time limit of every job, such as 24:00:00.")] = None,
    account: Annotated[str | None, typer.Option(help="Account that is charged.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the scripts and submit nothing.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Tell the states of the submitted jobs.")] = False,
) -> None:
    """Run the jobs of a run file on a SLURM cluster, one after the other; a training crosses time limits."""
    from sereno.config import parse_config, read_config
    from sereno.slurm import queue
    from sereno.slurm.script import Place, scripts
    from sereno.slurm.tables import parse_slurm

    folder = run.resolve().with_suffix(".slurm")
    if status:
        for name, number, state in queue.states(folder):
            typer.echo(f"{name:<20} {number:<12} {state}")
        return
    values = read_config(run)
    told = {"partition": partition, "gpus": gpus, "nodes": nodes, "time": time, "account": account}
    slurm = parse_slurm(values, origin=str(run), told=told)
    trains = False
    if any(job.verb == "fit" for job in slurm.jobs):
        trains = parse_config(values, origin=str(run)).model.method in TRAINED_METHODS
    made = scripts(slurm, Place(run.resolve(), Path.cwd(), folder), trains=trains)
    if dry_run:
        for name, text in made:
            typer.echo(f"# {name}.sbatch\n{text}")
        return
    for name, number, _ in queue.submit(made, folder):
        typer.echo(f"submitted {name} as job {number}")
    typer.echo(f"scripts and logs are in {folder}; sereno submit {run} --status tells how far they are")
