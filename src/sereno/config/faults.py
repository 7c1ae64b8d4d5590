"""What is wrong with settings, in a line a fault."""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import ValidationError

from sereno.errors import InputError

SHOWN = 80
"""Characters of a value that a message shows."""
MOST_FAULTS = 20
"""Faults that a message lists."""

Settings = TypeVar("Settings")


def clear_faults(cls: type[Settings]) -> type[Settings]:
    """Have a pydantic dataclass list its faults in an `InputError` when it is called with impossible values."""
    made: Callable[..., None] = cls.__init__

    @functools.wraps(made)
    def initialise(self: object, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        try:
            made(self, *args, **kwargs)
        except ValidationError as error:
            raise InputError(listed(cls.__name__, [fault_at(cls, dict(one)) for one in error.errors()])) from None

    cls.__init__ = initialise  # type: ignore[method-assign]
    return cls


def require_odd(config: object, *names: str) -> None:
    """Refuse numbers without a centre."""
    for name in names:
        if (value := getattr(config, name)) % 2 == 0:
            raise ValueError(f"{name} must be an odd number (got {value})")


def fault_at(cls: type, error: dict[str, Any]) -> str:
    """Return one fault of a dataclass in a line."""
    where = [cut(str(part)) for part in error["loc"]]
    known = [one.name for one in dataclasses.fields(cls)]
    return fault(".".join(where), error, known)


def fault(path: str, error: dict[str, Any], known: list[str]) -> str:
    """Return one fault in a line: its path, what is wrong, and and the nearest valid name.

    Parameters
    ----------
    error
        As pydantic lists it.
    known
        The names that the table of the fault may hold.
    """
    kind, given = error["type"], error["input"]
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        near = difflib.get_close_matches(path.rpartition(".")[2], known, n=1)
        meant = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
        return f"{path}: unknown key; {meant}"
    if kind in ("dataclass_type", "model_attributes_type"):
        return f"{path}: must be a table of settings (got {shortened(given)})"
    message = error["msg"].removeprefix("Value error, ")
    if kind == "tuple_type":
        message = "must be a list, such as [64, 64]"
    fault = f"{path}: {message}" if path else message
    # Of a fault of the whole, what was given is all of it: a table, or what a constructor was called with.
    return fault if isinstance(given, dict) or not path or kind == "missing" else f"{fault} (got {shortened(given)})"


def listed(origin: str, faults: list[str]) -> str:
    """Return a message of all faults, the first `MOST_FAULTS` of them in full."""
    more = len(faults) - MOST_FAULTS
    lines = [*faults[:MOST_FAULTS], *[f"and {more} more"] * (more > 0)]
    return "\n".join([f"{origin}:", *(f"  {line}" for line in lines)])


def shortened(value: object) -> str:
    """Return a value as a message may show it."""
    return cut(repr(value))


def cut(text: str) -> str:
    """Return a text, or its beginning where it is long."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
