"""Random numbers that follow from whole numbers alone, on one kind of device."""

from __future__ import annotations

import numpy as np
import torch


def generator(*numbers: int, device: str | torch.device = "cpu") -> torch.Generator:
    """Return a generator of random numbers on a device, seeded by non-negative integers.

    Examples
    --------
    >>> torch.rand(1, generator=generator(7, 1)) == torch.rand(1, generator=generator(7, 1))
    tensor([True])
    """
    state = int(np.random.SeedSequence(list(numbers)).generate_state(1, np.uint64)[0])
    return torch.Generator(device).manual_seed(state >> 1)


def uniform(random: torch.Generator, low: float, high: float, *shape: int) -> torch.Tensor:
    """Return numbers drawn evenly between two bounds, float32 of a shape, on the generator's device."""
    return low + (high - low) * torch.rand(shape, generator=random, device=random.device)


def log_uniform(random: torch.Generator, low: float, high: float, *shape: int) -> torch.Tensor:
    """Return numbers whose logarithm is drawn evenly, float32 of a shape, on the generator's device."""
    return low * (high / low) ** torch.rand(shape, generator=random, device=random.device)
