"""All verbs in one application, and the options that stand before them."""

from __future__ import annotations

from typing import Annotated

import typer

# The verbs enter the application as they are imported.
from sereno.cli import cluster, exporting, inputs, models, scoring
from sereno.cli.options import app

__all__ = ["app", "cluster", "exporting", "inputs", "models", "scoring"]


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"sereno {version('sereno')}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", help="Show tracebacks and the warnings of libraries; before or after a verb."),
    ] = False,
) -> None:
    """Take the options that stand before a verb."""
