"""Training objectives: squared error for the networks of the thesis, likelihood for the corrector."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sereno.config import ConvLSTM, UNet
from sereno.nets.corrector import corrector
from sereno.nets.thesis import ThesisNetwork
from sereno.training.losses import beta_nll, gaussian_nll, masked_mse
from sereno.training.samples import CorrectorSample, MaskedSample

Batch = MaskedSample[Tensor] | CorrectorSample[Tensor]
WARM_UP_STEPS = 300
"""Steps over which the step size grows."""
OBSERVED_WEIGHT = 0.25
"""Weight in the loss of a cell that the network sees an observation of, where its truth is known."""
FINAL_SHARE = 0.3
"""Share of the steps, the last ones, over which the step size falls to zero and the likelihood teaches the mean;
until then it is trained by its squared error alone."""


@dataclass(frozen=True)
class Learner:
    """A network and how it is trained.

    Attributes
    ----------
    network
        With fresh weights.
    loss
        Takes the network, a batch and the share of the steps that are done; returns the loss and how much it counts
        for in the mean of an epoch.
    optimiser
        Takes parameters and the number of all steps; returns what Lightning's ``configure_optimizers`` may return.
    averaging
        Decay of the exponential moving average of the weights, which validates and is kept; None for the weights
        themselves.
    """

    network: nn.Module
    loss: Callable[[nn.Module, Any, float], tuple[Tensor, float]]
    optimiser: Callable[[Iterator[nn.Parameter], int], Any]
    averaging: float | None = None


def learner_of(config: ConvLSTM | UNet) -> Learner:
    """Return what a configuration asks for."""
    if isinstance(config, UNet):
        return Learner(corrector(config), _correction_loss, partial(_decaying, rate=config.learning_rate), 0.999)
    return Learner(ThesisNetwork(config), _reference_loss, partial(_adam, rate=config.learning_rate))


def _reference_loss(network: nn.Module, batch: MaskedSample[Tensor], done: float) -> tuple[Tensor, float]:
    """Return the masked squared error, weighted by pixels: an epoch's is the mean over all of its hidden pixels."""
    loss = masked_mse(network(batch.inputs)[:, 0], batch.truth, batch.hidden)
    return loss, max(int(batch.hidden.sum()), 1)


def _adam(parameters: Iterator[nn.Parameter], steps: int, *, rate: float) -> torch.optim.Optimizer:
    """Return Adam at the defaults of Keras, but for the step size."""
    return torch.optim.Adam(parameters, lr=rate, eps=1e-7)


def _correction_loss(network: nn.Module, batch: CorrectorSample[Tensor], done: float) -> tuple[Tensor, float]:
    """Return the likelihood of the targets, whose noise is known, over the cells that have a weight.

    β-NLL teaches; it is no measure of how good the network is, so that validation takes the likelihood itself.
    """
    truth, weight, day = batch.truth, batch.weight, batch.day
    mean, log_std = network(batch.values, batch.guess, batch.water, batch.spread, batch.scalars)
    if mean.ndim > truth.ndim:  # of all days
        mean, log_std = (part[torch.arange(len(day), device=day.device), day] for part in (mean, log_std))
    variance = torch.exp(2 * log_std) + batch.noise[:, None, None]
    if network.training:
        loss = beta_nll(mean, variance, truth, weight, squared_error=done < 1 - FINAL_SHARE)
    else:
        loss = gaussian_nll(mean, variance, truth, weight)
    return loss, max(float(weight.sum()), 1.0)


def _decaying(parameters: Iterator[nn.Parameter], steps: int, *, rate: float) -> dict[str, Any]:
    """Return AdamW, its step size growing at first and falling to zero at last."""
    optimiser = torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.98), weight_decay=1e-3)

    def factor(step: int) -> float:
        return min(1.0, (step + 1) / WARM_UP_STEPS, max(steps - step, 0) / (FINAL_SHARE * steps))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
    return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
