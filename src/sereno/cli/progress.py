"""How work in progress is shown: bars on a terminal, lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from sereno.methods import Progress

SECONDS_BETWEEN_LINES = 2.0


@contextmanager
def can_go_on(place: Path, how: str) -> Iterator[None]:
    """Tell who stops the work in a folder, once it holds something, how to go on there."""
    try:
        yield
    except KeyboardInterrupt:
        if holds_files(place):
            typer.secho(f"{place} is unfinished: run the same command {how} to go on", fg="yellow", err=True)
        raise


def holds_files(folder: Path) -> bool:
    """Tell whether a folder, or one within it, holds a file."""
    return folder.is_dir() and any(path.is_file() for path in folder.rglob("*"))


@contextmanager
def shown_progress() -> Iterator[Progress]:
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
