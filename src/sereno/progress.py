"""Reports of progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sereno.errors import InputError

Progress = Callable[[str, float], None]
"""Called with the name of the stage and the fraction done, 0 to 1."""


def silent(stage: str, fraction: float) -> None:
    """Report no progress."""


def reporter(progress: Progress | bool | None) -> Progress:
    """Return what to report progress to: for True, bars on a terminal or in a notebook; for False, nothing.

    Raises
    ------
    InputError
        If it is neither, nor a function of a stage and a fraction.
    """
    if progress is True:
        return _bars()
    if progress is False or progress is None:
        return silent
    if callable(progress):
        return progress
    raise InputError(f"`progress`: give True, or a function of a stage and a fraction (got {progress!r})")


def _bars() -> Progress:
    """Return a report that shows a bar for each stage, until it is done."""
    from tqdm.auto import tqdm  # in a notebook a widget, where there are widgets

    bars: dict[str, Any] = {}

    def report(stage: str, fraction: float) -> None:
        if stage not in bars:
            if fraction >= 1:  # once more
                return
            bars[stage] = tqdm(desc=stage, total=100, bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}")
        bar = bars[stage]
        bar.update(100 * min(fraction, 1.0) - bar.n)
        if fraction >= 1:
            bars.pop(stage).close()

    return report


def labelled(progress: Progress, label: str) -> Progress:
    """Return a report with a label before each stage, to distinguish several methods."""
    return lambda stage, fraction: progress(f"{label}: {stage}", fraction)
