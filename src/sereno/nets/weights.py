"""The weights of a saved network: which there must be, and whether they can be weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

Shapes = dict[str, tuple[int, ...]]
LARGEST = 1e4
"""Magnitude of a weight at most; those of a trained network are of the order of 1."""


def shapes_of(make: Callable[[], nn.Module]) -> Shapes:
    """Return the shapes of a network's weights by name, without memory for any of them."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return {name: tuple(weight.shape) for name, weight in make().state_dict().items()}


def checked(arrays: Mapping[str, np.ndarray], shapes: Shapes) -> dict[str, Tensor]:
    """Return saved arrays as the weights of a network of these shapes.

    Raises
    ------
    ValueError
        If one is missing, not wanted, of another shape, or holds values that are not finite or far too large.
    """
    if arrays.keys() != shapes.keys():
        other = sorted(arrays.keys() ^ shapes.keys())[0]
        raise ValueError(f"{other} is {'missing' if other in shapes else 'no weight of this network'}")
    for name, array in arrays.items():
        if array.shape != shapes[name] or array.dtype.kind != "f":
            raise ValueError(f"{name} is {array.dtype} {array.shape}, it must be float32 {shapes[name]}")
        if not (np.abs(array) <= LARGEST).all():
            raise ValueError(f"{name} has values that are not finite or larger than {LARGEST:g}")
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
