"""The command line: verbs, options and tables; no numerics.

Nothing heavy is imported until a verb runs, so that ``sereno --help`` answers at once.
"""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from sereno.cli import cluster, exporting, inputs, models  # the verbs enter the application as they are imported
from sereno.cli.options import app
from sereno.errors import InputError, PausedError

__all__ = ["app", "cluster", "exporting", "inputs", "main", "models"]


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"sereno {version('sereno')}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Take the options that stand before a verb."""


def main() -> None:
    """Run the command line: exit 0 on success, 2 on an error of usage or input, 75 if it made way, 130 on Ctrl-C."""
    # When reading fails, zarr's other reads are given up, and asyncio would print their tracebacks after the error.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL + 1)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        app(standalone_mode=True)
    except InputError as error:
        typer.secho(f"error: {error}", fg="red", err=True)
        sys.exit(2)
    except PausedError as error:
        typer.secho(f"made way: {error}; --resume goes on", fg="yellow", err=True)
        sys.exit(75)  # EX_TEMPFAIL: what the scripts of `submit` queue again
    except PermissionError as error:
        typer.secho(
            f"error: {error.filename}: no permission to write there; choose another place", fg="red", err=True
        )
        sys.exit(2)
    except (KeyboardInterrupt, SystemExit) as leaving:
        if isinstance(leaving, SystemExit) and leaving.code != 130:  # typer turns Ctrl-C into an exit with 130
            raise
        typer.secho("interrupted", err=True)
        sys.exit(130)
