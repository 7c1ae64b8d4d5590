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
