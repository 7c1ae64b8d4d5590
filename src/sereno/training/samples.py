"""What a network is trained on: one sample, as the loss takes it, and the samples of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np

Array = TypeVar("Array")
"""NumPy's of a sample, PyTorch's of a batch, which has a dimension before the others."""


class MaskedSample(NamedTuple, Generic[Array]):
    """A window of the thesis method's networks.

    Attributes
    ----------
    inputs
        Normalised anomalies and mask, (window, 2, lat, lon).
    truth
        The normalised central day with nothing hidden, (lat, lon).
    hidden
        Its hidden pixels, bool (lat, lon).
    """

    inputs: Array
    truth: Array
    hidden: Array


class CorrectorSample(NamedTuple, Generic[Array]):
    """A window of the networks that correct a first guess, in climatological standard deviations.

    Attributes
    ----------
    values, guess
        What was observed, NaN where missing, and the first guess, (window, lat, lon).
    water, spread
        Water, and the logarithm of the climatological standard deviation over its mean, (lat, lon).
    scalars
        The inputs that describe the window as a whole, (n,).
    truth, weight
        The day that the loss is taken on, and the weights of its cells, (lat, lon).
    noise
        Variance of the truth's noise.
    day
        Position of that day in the window.
    """

    values: Array
    guess: Array
    water: Array
    spread: Array
    scalars: Array
    truth: Array
    weight: Array
    noise: Array
    day: Array


TrainingSample = MaskedSample[np.ndarray] | CorrectorSample[np.ndarray]


class Samples(Protocol):
    """What a network is trained or validated on."""

    def __len__(self) -> int:
        """Return how many an epoch has."""
        ...

    def of_epoch(self, epoch: int) -> Iterator[TrainingSample]:
        """Yield the samples of an epoch."""
        ...
