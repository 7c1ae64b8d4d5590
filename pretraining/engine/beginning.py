"""Weights to begin with."""

from __future__ import annotations

from torch import Tensor

from sereno.nets.alldays import AllDays


def widened(weights: dict[str, Tensor], network: AllDays) -> dict[str, Tensor]:
    """Return weights with which a network answers as a narrower one does; what it has more of is fresh.

    What the narrower one has does not look at the rest at first.
    """
    state = network.state_dict()
    for name, weight in weights.items():
        whole = state[name]
        whole[: len(weight)] = 0
        whole[tuple(slice(size) for size in weight.shape)] = weight
    return state
