"""The thesis method's networks: ConvLSTM layers over the window, then two convolutions.

Source: F. Astarita, "Deep learning-based reconstruction of missing data in spatiotemporal sequences", master's
thesis, University of Naples Federico II.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from sereno.config import ConvLSTM as ConvLSTMConfig
from sereno.nets.convlstm import ConvLSTM

CHANNELS = 2
"""Channels of the input: the normalised anomaly and the mask."""


class ThesisNetwork(nn.Module):
    """The reference's deep network at the defaults, of 333,506 parameters.

    `sereno.config.REFERENCE_NETWORKS` has the settings of the others.

    The output has two channels, as in the thesis: the normalised anomaly of the central day, and a second one
    that no loss looks at, kept so that weights trained there fit in here.
    """

    def __init__(self, config: ConvLSTMConfig) -> None:
        super().__init__()
        last = config.layers - 1
        self.recurrent = nn.Sequential(
            *(
                ConvLSTM(
                    CHANNELS if layer == 0 else config.hidden,
                    config.hidden,
                    kernel=config.kernel,
                    whole_sequence=layer < last,
                    activation=config.recurrent_activation,
                    recompute=config.recompute,
                )
                for layer in range(config.layers)
            )
        )
        self.head = nn.Sequential(
            nn.Conv2d(config.hidden, config.head, 3, padding="same", dilation=config.dilation),
            nn.ReLU(),
            nn.Conv2d(config.head, CHANNELS, 3, padding="same"),
        )
        for module in self.head:
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        # In this layout of the weights a training step is a tenth faster on processors.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stub

    def forward(self, sequence: Tensor) -> Tensor:
        """Map (batch, time, 2, lat, lon) to (batch, 2, lat, lon), float32 whatever the arithmetic before."""
        features = self.head[:-1](self.recurrent(sequence))
        with torch.autocast(features.device.type, enabled=False):
            return cast("Tensor", self.head[-1](features.to(self.head[-1].weight.dtype)))
