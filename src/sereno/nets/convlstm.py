"""The ConvLSTM layer, the same function of its weights as Keras's `ConvLSTM2D`, made to be fast on processors.

Source: Shi et al. (2015), "Convolutional LSTM network", without peepholes, as Keras has it.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Activation = Literal["sigmoid", "hard_sigmoid", "hard_sigmoid_keras2"]
GATHERED_BYTES = 2**26
"""Bytes of the gates' gradients that are gathered at most: the weights' gradient is quickest over many steps at once,
but must not cost the memory of all of them."""
_SLOPES = {"hard_sigmoid": 1 / 6, "hard_sigmoid_keras2": 0.2}


class ConvLSTM(nn.Module):
    """A convolutional LSTM over a sequence of maps.

    With x the input, h the state, c the cell, * a convolution of 'same' padding and · the product element
    by element::

        i = σ(W_i * x + U_i * h + b_i)      f = σ(W_f * x + U_f * h + b_f)
        o = σ(W_o * x + U_o * h + b_o)      c ← f · c + i · tanh(W_c * x + U_c * h + b_c)
        h ← o · tanh(c)

    All of it starts at zero. One convolution over x and h, which lie side by side in memory, computes the four gates
    of a step, in the order i, f, c, o. The gradient of the weights is a convolution over
    many steps at once.

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
    activation
        What represents σ: ``sigmoid``; ``hard_sigmoid``, Keras 3's clip(x/6 + 1/2, 0, 1); or
        ``hard_sigmoid_keras2``, clip(x/5 + 1/2, 0, 1), the default of Keras 2.
    recompute
        Compute the gates again in the backward pass instead of keeping them: less than half the memory, a third more
        work.
    """

    def __init__(
        self,
        channels: int,
        hidden: int,
        *,
        kernel: int,
        whole_sequence: bool,
        activation: Activation = "sigmoid",
        recompute: bool = False,
    ) -> None:
        super().__init__()
        self.hidden, self.whole_sequence = hidden, whole_sequence
        self.activation, self.recompute = activation, recompute
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
        """Run over a sequence of shape (batch, time, channels, lat, lon).

        Under autocast the convolutions and what is kept for the backward pass are of its type; the cell is float32
        at least.
        """
        device = sequence.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else self.gates.weight.dtype
        steps = sequence.permute(1, 0, 3, 4, 2)  # (time, batch, lat, lon, channels)
        # Asked here: within the function there is never a gradient, and it does not see that none is wanted.
        learns = torch.is_grad_enabled() and (sequence.requires_grad or self.gates.weight.requires_grad)
        settings = (dtype, self.activation, self.whole_sequence, self.recompute, learns)
        states: Tensor = _Recurrence.apply(steps, self.gates.weight, self.gates.bias, settings)  # type: ignore[no-untyped-call]
        return states.permute(1, 0, 4, 2, 3) if self.whole_sequence else states.permute(0, 3, 1, 2)


class _Recurrence(torch.autograd.Function):
    """The recurrence over time and its gradient, channels last throughout.

    tanh(x) = 2σ(2x) − 1, so with the rows of the candidate doubled beforehand one call of σ serves all four gates.
    """

    @staticmethod
    def forward(ctx: Any, steps: Tensor, weight: Tensor, bias: Tensor, settings: Any) -> Tensor:  # noqa: ANN401
        """Return the states for input (time, batch, lat, lon, channels).

        They are (time, batch, lat, lon, hidden) of the whole sequence, (batch, lat, lon, hidden) of its last step.
        """
        dtype, activation, whole, recompute, keeps = settings
        hidden, channels = len(weight) // 4, steps.shape[-1]
        scale = _candidate_scale(weight)
        kernel = (weight * scale[:, None, None, None]).to(dtype, memory_format=torch.channels_last)
        gates_of = _Gates(kernel, (bias * scale).to(dtype), activation, channels)
        # Input and state side by side: x of step t next to h of step t − 1; for a gradient, of all steps.
        beside = steps.new_empty((len(steps) if keeps else 1, *steps.shape[1:-1], channels + hidden), dtype=dtype)
        states = steps.new_empty((len(steps) if whole else 1, *steps.shape[1:-1], hidden), dtype=dtype)
        cells, kept = [], []
        cell = torch.zeros_like(states[0], dtype=torch.promote_types(dtype, torch.float32))
        for step in range(len(steps)):
            state, here = states[step if whole else 0], beside[step if keeps else 0]
            here[..., :channels] = steps[step]
            gates = gates_of(here, first=step == 0)
            entry, forget, candidate, output = gates.chunk(4, -1)
            taken = (candidate - 0.5).mul_(entry).to(cell.dtype)
            cell = torch.add(forget.to(cell.dtype).mul(cell), taken, alpha=2)
            torch.mul(output, _tanh(cell).to(dtype), out=state)
            if step + 1 < len(steps):
                beside[step + 1 if keeps else 0, ..., channels:] = state
            if keeps:
                cells.append(cell)
                kept.append(None if recompute else gates)
        if keeps:
            beside[0, ..., channels:] = 0
            # Neither inputs nor outputs, and let go one by one in the backward pass: not for `save_for_backward`.
            ctx.kept = (beside, kernel, scale, cells, kept)
            ctx.gates_of, ctx.whole = gates_of, whole
        return states if whole else states[0]

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:  # noqa: ANN401
        """Return the gradients of input, weight and bias from that of the states."""
        beside, kernel, scale, cells, kept = ctx.kept
        gates_of: _Gates = ctx.gates_of
        hidden, channels, dtype = len(scale) // 4, gates_of.channels, beside.dtype
        if not cells:
            raise RuntimeError("the backward pass of a ConvLSTM lets go of what it needs: it can be taken once")
        to_state = kernel[:, channels:].contiguous(memory_format=torch.channels_last)
        d_weight, d_bias = (torch.zeros_like(part, dtype=cells[0].dtype) for part in (kernel, scale))
        d_input = beside.new_empty((*beside.shape[:-1], channels)) if ctx.needs_input_grad[0] else None
        d_states = outer[0] if ctx.whole else outer[0][None]
        d_state, d_cell = d_states[-1], torch.zeros_like(cells[0])
        inflow = beside.new_empty((_steps_at_once(beside, hidden), *beside.shape[1:-1], 4 * hidden))
        for stop in range(len(beside), 0, -len(inflow)):
            chunk = range(max(stop - len(inflow), 0), stop)
            for step in reversed(chunk):
                gates = kept.pop()
                gates = gates_of(beside[step], first=step == 0) if gates is None else gates
                here = inflow[step - chunk.start]  # gradient of what σ is taken of
                entry, forget, candidate, output = gates.chunk(4, -1)
                d_entry, d_forget, d_candidate, d_output = here.chunk(4, -1)
                shown = _tanh(cells.pop())
                torch.mul(d_state, shown.to(dtype), out=d_output)
                through = (d_state * output).to(d_cell.dtype)
                d_cell = d_cell.add_(through).addcmul_(through.mul_(shown), shown, value=-1)
                passed = d_cell.to(dtype)
                torch.mul(passed, cells[-1].to(dtype) if cells else 0, out=d_forget)
                passed = passed * 2
                torch.mul(passed, candidate - 0.5, out=d_entry)
                torch.mul(passed, entry, out=d_candidate)
                gates_of.through(here, gates)
                if step > 0:
                    d_cell.mul_(forget.to(d_cell.dtype))
                    d_state = _input_gradient(here, to_state)
                    if ctx.whole:
                        d_state = d_state.add_(d_states[step - 1])
            flat, inputs = (part.flatten(0, 1) for part in (inflow[: len(chunk)], beside[chunk.start : stop]))
            _add_weight_gradient(d_weight, d_bias, flat, inputs, kernel)
            if d_input is not None:
                d_input[chunk.start : stop] = _input_gradient(flat, gates_of.on_input).view(
                    d_input[chunk.start : stop].shape
                )
        return d_input, d_weight * scale[:, None, None, None], d_bias * scale, None


class _Gates:
    """The gates of a step: the convolution and its activation, and the way back through the activation."""

    def __init__(self, kernel: Tensor, bias: Tensor, activation: Activation, channels: int) -> None:
        self.kernel, self.bias, self.slope, self.channels = kernel, bias, _SLOPES.get(activation), channels
        self.on_input = kernel[:, :channels].contiguous(memory_format=torch.channels_last)

    def __call__(self, beside: Tensor, *, first: bool) -> Tensor:
        """Return (batch, lat, lon, 4 hidden) for x and h side by side; at the first step h is zero and left out."""
        maps = beside[..., : self.channels].contiguous() if first else beside
        kernel = self.on_input if first else self.kernel
        with torch.autocast(maps.device.type, enabled=False):
            convolved = functional.conv2d(maps.permute(0, 3, 1, 2), kernel, self.bias, padding="same")
        gates = convolved.permute(0, 2, 3, 1)
        if self.slope is None:
            return gates.sigmoid_()
        entry_forget, candidate, output = self._parts(gates)
        for part in (entry_forget, output):
            part.mul_(self.slope).add_(0.5).clamp_(0, 1)
        candidate.sigmoid_()
        return gates

    def through(self, gradient: Tensor, gates: Tensor) -> None:
        """Turn the gradient of the gates, in place, into that of what the activation is taken of."""
        if self.slope is None:
            torch.ops.aten.sigmoid_backward.grad_input(gradient, gates, grad_input=gradient)
            return
        parts = zip(self._parts(gradient), self._parts(gates), strict=True)
        for index, (back, part) in enumerate(parts):
            back.mul_(part * (1 - part) if index == 1 else self.slope * ((part > 0) & (part < 1)))

    @staticmethod
    def _parts(gates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden = gates.shape[-1] // 4
        return gates[..., : 2 * hidden], gates[..., 2 * hidden : 3 * hidden], gates[..., 3 * hidden :]


def _tanh(values: Tensor) -> Tensor:
    """Return tanh as 2σ(2x) − 1, which on processors is four times as fast."""
    return (values * 2).sigmoid_().mul_(2).sub_(1)


def _candidate_scale(weight: Tensor) -> Tensor:
    """Return (4 hidden,): two for the rows of the candidate, one for the others."""
    hidden = len(weight) // 4
    scale = weight.new_ones(len(weight))
    scale[2 * hidden : 3 * hidden] = 2
    return scale


def _input_gradient(outflow: Tensor, kernel: Tensor) -> Tensor:
    """Return the gradient of a convolution's input (n, lat, lon, channels) from that of its output."""
    maps = outflow.permute(0, 3, 1, 2)
    like = maps.new_empty(1).expand(maps.shape[0], kernel.shape[1], *maps.shape[2:])
    return _convolution_backward(maps, like, kernel, (True, False, False))[0].permute(0, 2, 3, 1)


def _add_weight_gradient(weight: Tensor, bias: Tensor, outflow: Tensor, inflow: Tensor, kernel: Tensor) -> None:
    """Add the gradients of a convolution's kernel and bias to `weight` and `bias`."""
    maps, inputs = outflow.permute(0, 3, 1, 2), inflow.permute(0, 3, 1, 2)
    _, d_weight, d_bias = _convolution_backward(maps, inputs, kernel, (False, True, True))
    weight += d_weight
    bias += d_bias


def _steps_at_once(beside: Tensor, hidden: int) -> int:
    """Return of how many steps the gradients of the gates are gathered before that of the weights is taken."""
    a_step = beside[0, ..., 0].numel() * 4 * hidden * beside.element_size()
    return min(len(beside), max(1, GATHERED_BYTES // a_step))


def _convolution_backward(
    outflow: Tensor, inflow: Tensor, kernel: Tensor, wanted: tuple[bool, bool, bool]
) -> tuple[Tensor, Tensor, Tensor]:
    padding = [side // 2 for side in kernel.shape[2:]]
    gradients: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        outflow, inflow, kernel, [len(kernel)], [1, 1], padding, [1, 1], False, [0, 0], 1, wanted
    )
    return gradients
