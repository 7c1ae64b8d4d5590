"""What a training leaves behind, and the settings that it is known by: what those need who use a network.

They need not wait for Lightning, which takes seconds to import.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, NamedTuple

from torch import Tensor

from sereno.config import ConvLSTM, UNet
from sereno.slurm import step
from sereno.training.windows import Windows


class TrainedNetwork(NamedTuple):
    """What training leaves behind.

    Attributes
    ----------
    weights
        The weights with the least validation loss.
    scale
        Standard deviation of the training anomalies; the network's inputs are divided by it.
    history
        ``epoch``, ``train_loss`` and ``valid_loss`` of each epoch, losses in units of `scale` squared.
    validation
        The windows of the cube that the validation loss was taken on, if it was a cube.
    """

    weights: dict[str, Tensor]
    scale: float
    history: list[dict[str, float]]
    validation: Windows | None = None


def lasting_settings(config: ConvLSTM | UNet) -> dict[str, Any]:
    """Return the configuration less what a training may change when it is resumed; the batch of all tasks."""
    free = ("max_epochs", "patience", "recompute", "engine")
    settings = {key: value for key, value in asdict(config).items() if key not in free}
    return settings | {"batch_size": config.batch_size * step.count()}
