"""Changes to files, models, settings and options, in families; each a function of inputs and a generator.

A change is made to the files as they will be stored, and to the truth where it follows: a value that CF calls missing
is missing in the truth. It returns what is right for the input that it leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import numpy as np

from fuzz.sea import Expect, Inputs

Mutation = Callable[[Inputs, np.random.Generator], Expect]
FAMILIES = ("values", "masks", "times", "types", "coordinates", "shapes", "attributes", "bytes", "models", "settings")
"""In the order in which they are applied."""


def mutations() -> dict[str, dict[str, Mutation]]:
    """Return all changes by family and name."""
    return {family: _of(family) for family in FAMILIES}


def _of(family: str) -> dict[str, Mutation]:
    module = import_module(f"fuzz.mutations.{family}")
    return {
        name: function
        for name, function in vars(module).items()
        if callable(function) and getattr(function, "__module__", "") == module.__name__ and not name.startswith("_")
    }
