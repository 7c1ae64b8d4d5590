"""Losses over masked pixels: the mask says what counts, never a sentinel among the data."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def masked_mse(prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Return the mean squared error over the pixels of a mask.

    Parameters
    ----------
    prediction, target
        Tensors of one shape; what lies outside the mask, NaN included, has no part in the loss or its gradient.
    mask
        bool, the same shape. An empty one gives 0, with a gradient of 0.
    """
    total = functional.mse_loss(prediction[mask].float(), target[mask], reduction="sum")
    return total / mask.sum().clamp(min=1)


def gaussian_nll(mean: Tensor, variance: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the negative log-likelihood of a Gaussian, less its constant, in the weighted mean over pixels.

    Parameters
    ----------
    mean, variance, target
        Tensors of one shape.
    weight
        How much a pixel counts for, the same shape; what has none may be NaN. Where all have none, the loss is 0.
    """
    mean, variance, target, weight = _counted(mean, variance, target, weight)
    likelihood = (torch.log(variance) + (target - mean) ** 2 / variance) / 2
    return (weight * likelihood).sum() / weight.sum().clamp(min=1)


def beta_nll(
    mean: Tensor, variance: Tensor, target: Tensor, weight: Tensor, *, squared_error: bool = False
) -> Tensor:
    """Return a Gaussian likelihood, negative and logarithmic, in which uncertain pixels teach the mean too.

    The likelihood alone makes little of what it is uncertain of, and so stays uncertain of it. Each pixel's is
    weighed by the standard deviation that it claims (β-NLL with β = 1/2: Seitzer et al. 2022, ICLR).

    Parameters
    ----------
    mean, variance, target
        Tensors of one shape.
    weight
        How much a pixel counts for, the same shape; what has none may be NaN.
    squared_error
        Teach the mean by its squared error alone, and the variance by the likelihood.
    """
    mean, variance, target, weight = _counted(mean, variance, target, weight)
    square = (target - mean) ** 2
    if squared_error:
        loss = square + (torch.log(variance) + square.detach() / variance) / 2
    else:
        loss = variance.detach().sqrt() * (torch.log(variance) + square / variance) / 2
    return (weight * loss).sum() / weight.sum().clamp(min=1)


def _counted(mean: Tensor, variance: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
    """Return the pixels that have a weight, float32, 1-D."""
    counted = weight > 0
    return tuple(part[counted].float() for part in (mean, variance, target, weight))
