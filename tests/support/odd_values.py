"""Values that have no place in a saved model, and the places of a document."""

from collections.abc import Iterator
from typing import Any

ODD: list[Any] = [
    float("nan"),
    float("inf"),
    -float("inf"),
    -1.0,
    0,
    1e30,
    -1e308,
    10**40,
    2.5,
    "x",
    None,
    True,
    [],
    [1.0],
    {},
    {"a": 1},
]
"""What is put in the place of any value."""


def leaves(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401
    """Yield the place of each value of a document, of tables and lists too."""
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inside:
        yield (*path, key)
        yield from leaves(value, (*path, key))
