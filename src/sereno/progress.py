"""What a long task reports while it works."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float], None]
"""Called with the name of the stage and the fraction done, 0 to 1."""


def silent(stage: str, fraction: float) -> None:
    """Report no progress."""


def labelled(progress: Progress, label: str) -> Progress:
    """Return a report that puts a label before each stage, to tell several methods apart."""
    return lambda stage, fraction: progress(f"{label}: {stage}", fraction)
