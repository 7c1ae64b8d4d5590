"""How work in progress is shown: bars on a terminal, lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from sereno.errors import InputError, PausedError
from sereno.slurm import step

if TYPE_CHECKING:
    from sereno.progress import Progress

SECONDS_BETWEEN_LINES = 2.0
stage = ""
"""The stage that was reported last, to be printed with an error."""


@contextmanager
def sole_writer(output: Path) -> Iterator[None]:
    """Be the only run that writes an output, and clear what killed runs left of it; of many tasks the first does so.

    Raises
    ------
    InputError
        If another run is at work there.
    """
    from sereno.io.outputs.atomic import clear_litter
    from sereno.io.outputs.writer_lock import output_lock

    if step.rank() > 0:
        yield
        return
    with output_lock(output) as lock:
        clear_litter(output)
        yield
        lock.require()


@contextmanager
def can_continue(place: Path, how: str) -> Iterator[None]:
    """Say how to continue the work in a folder, when it is stopped and the folder holds something."""
    try:
        yield
    except KeyboardInterrupt:
        if holds_files(place):
            typer.secho(f"{place} is unfinished: run the same command {how} to continue", fg="yellow", err=True)
        raise


def holds_files(folder: Path) -> bool:
    """Return whether a folder, or one within it, holds a file."""
    return folder.is_dir() and any(path.is_file() for path in folder.rglob("*"))


@contextmanager
def stopping_early(checkpoints: Path) -> Iterator[None]:
    """Stop early on SIGUSR1 before and after a training, which itself writes a checkpoint then.

    Raises
    ------
    PausedError
        If the training went forward before, so that the next attempt begins further on.
    InputError
        If it did not: what comes before or after it will not fit into the next time limit either.
    """

    def newest() -> float:
        return max((path.stat().st_mtime for path in checkpoints.rglob("last.ckpt")), default=0.0)

    def stop_early(*_: object) -> None:
        if newest() > before:
            raise PausedError("the training is done, and the calibration is not")
        raise InputError("the time limit is too short for the work before or after the training; give a longer one")

    before = newest()
    with step.heeding_notice(stop_early):
        yield


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """Show progress: bars on a terminal, otherwise a line for every twentieth part done; of the first task only."""
    if step.rank() > 0:
        yield _noted(lambda stage, fraction: None)
    elif sys.stderr.isatty():
        with _bars() as report:
            yield _noted(report)
    else:
        yield _noted(_lines())


def _noted(report: Progress) -> Progress:
    """Return a report that also notes the stage."""

    def noted(name: str, fraction: float) -> None:
        global stage
        stage = "" if fraction >= 1 else name
        report(name, fraction)

    return noted


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description:<24}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Bars(*columns, console=Console(stderr=True)) as bars:
        step: dict[str, Any] = {}

        def report(stage: str, fraction: float) -> None:
            if stage not in step:
                step[stage] = bars.add_task(stage, total=1.0)
            bars.update(step[stage], completed=fraction)

        yield report


def _lines() -> Progress:
    """Return a report for logs: a line for every 5 %, but not more than one in two seconds, and one at the end.

    A line says how long the rest of the stage will take, at the speed since its first report.
    """
    begun: dict[str, tuple[float, float]] = {}
    reported: dict[str, tuple[int, float]] = {}

    def report(stage: str, fraction: float) -> None:
        twentieth, now = int(20 * fraction), time.monotonic()
        since, first = begun.setdefault(stage, (now, fraction))
        before, when = reported.setdefault(stage, (-1, now))
        if twentieth > before and (twentieth == 20 or now - when >= SECONDS_BETWEEN_LINES):
            reported[stage] = (twentieth, now)
            left = ""
            if first < fraction < 1 and now > since:
                left = f", about {_in_words((now - since) * (1 - fraction) / (fraction - first))} left"
            typer.echo(f"{stage}: {5 * twentieth} %{left}", err=True)

    return report


def _in_words(seconds: float) -> str:
    """Return a duration to about two figures."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
