"""How methods look in figures: a colour and a marker each, and their names as a legend can show them."""

from __future__ import annotations

from typing import Any

COLOURS = ("#4c6a88", "#c8553d", "#5b8c5a", "#8f5c9c", "#d39b2a", "#4aa3a2", "#7a5b45", "#333333")
MARKERS = "osD^vPX*"
REFERENCE = "0.15"
"""Colour of the reference field, and of the diagonal."""
_LONGEST = 28
"""Letters of a name that a figure shows."""


def look(order: int) -> dict[str, Any]:
    """Return colour and marker of the method at a place in the table."""
    return {"color": COLOURS[order % len(COLOURS)], "marker": MARKERS[order % len(MARKERS)]}


def shown_name(label: str) -> str:
    r"""Return a method's name for a figure; the name of a folder may hold signs of formulas.

    Examples
    --------
    >>> shown_name("runs/$best$")
    'runs/\\$best\\$'
    """
    short = label if len(label) <= _LONGEST else f"{label[: _LONGEST // 2 - 1]}…{label[-_LONGEST // 2 :]}"
    escaped = short.replace("\n", " ").replace("$", r"\$")
    return f" {escaped}" if escaped.startswith("_") else escaped  # a legend leaves out names with an underscore first
