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


def masked_gaussian_nll(
    mean: Tensor, log_std: Tensor, target: Tensor, mask: Tensor, *, smallest_std: float = 1e-2
) -> Tensor:
    """Return the negative log-likelihood of a Gaussian, less its constant, averaged over the pixels of a mask.

    Parameters
    ----------
    mean, target
        Tensors of one shape.
    log_std
        Natural logarithm of the standard deviation, the same shape.
    mask
        bool, the same shape. An empty one gives 0, with a gradient of 0.
    smallest_std
        Floor of the standard deviation: without it one pixel met exactly would outweigh all others.
    """
    std = log_std[mask].float().exp().clamp(min=smallest_std)
    total = functional.gaussian_nll_loss(
        mean[mask].float(), target[mask], torch.square(std), eps=smallest_std**2, reduction="sum"
    )
    return total / mask.sum().clamp(min=1)


def beta_nll(
    mean: Tensor, variance: Tensor, target: Tensor, weight: Tensor, *, squared_error: bool = False
) -> Tensor:
    """Return a Gaussian negative log-likelihood in which uncertain pixels teach the mean as much as certain ones.

    The likelihood alone makes little of what it is uncertain of, and so stays uncertain of it. Each pixel's is weighed
    by the standard deviation that it claims (β-NLL with β = 1/2: Seitzer et al. 2022, ICLR).

    Parameters
    ----------
    mean, variance, target
        Tensors of one shape.
    weight
        How much a pixel counts for, the same shape; what has none may be NaN.
    squared_error
        Teach the mean by its squared error alone, and the variance by the likelihood.
    """
    counted = weight > 0
    mean, variance, target, weight = (part[counted].float() for part in (mean, variance, target, weight))
    square = (target - mean) ** 2
    if squared_error:
        loss = square + (torch.log(variance) + square.detach() / variance) / 2
    else:
        loss = variance.detach().sqrt() * (torch.log(variance) + square / variance) / 2
    return (weight * loss).sum() / weight.sum().clamp(min=1)
