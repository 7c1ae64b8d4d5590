from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from sereno.config import ConvLSTM as ConvLSTMConfig
from sereno.nets import convlstm
from sereno.nets.convlstm import Activation, ConvLSTM
from sereno.nets.thesis import ThesisNetwork


def sigmoid(x: float) -> float:
    return 1 / (1 + np.exp(-x))


def convlstm_by_loops(
    sequence: np.ndarray, kernel: np.ndarray, recurrent: np.ndarray, bias: np.ndarray
) -> np.ndarray:
    """One cell at a time; kernels in Keras's layout, (row, column, from, 4 · to), gates in the order i, f, c, o."""
    steps, height, width, _ = sequence.shape
    side, hidden = len(kernel), recurrent.shape[2]
    state, cell = np.zeros((2, height, width, hidden))
    states = []
    for step in range(steps):
        new_state, new_cell = np.empty_like(state), np.empty_like(cell)
        for row, column in np.ndindex(height, width):
            total = bias.copy()
            for a, b in np.ndindex(side, side):
                y, x = row + a - side // 2, column + b - side // 2
                if 0 <= y < height and 0 <= x < width:
                    total += sequence[step, y, x] @ kernel[a, b] + state[y, x] @ recurrent[a, b]
            for k in range(hidden):
                i, f, c, o = total[k], total[hidden + k], total[2 * hidden + k], total[3 * hidden + k]
                new_cell[row, column, k] = sigmoid(f) * cell[row, column, k] + sigmoid(i) * np.tanh(c)
                new_state[row, column, k] = sigmoid(o) * np.tanh(new_cell[row, column, k])
        state, cell = new_state, new_cell
        states.append(state)
    return np.stack(states)


@pytest.mark.parametrize("side", [1, 3, 5])
def test_the_layer_agrees_with_the_equations_written_out(side: int) -> None:
    rng = np.random.default_rng(side)
    channels, hidden = 2, 3
    sequence = rng.normal(size=(4, 5, 6, channels))
    kernel = rng.normal(size=(side, side, channels, 4 * hidden), scale=0.3)
    recurrent = rng.normal(size=(side, side, hidden, 4 * hidden), scale=0.3)
    bias = rng.normal(size=4 * hidden)
    layer = ConvLSTM(channels, hidden, kernel=side, whole_sequence=True).double()
    weight = np.concatenate([kernel, recurrent], axis=2).transpose(3, 2, 0, 1)
    layer.gates.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
    with torch.no_grad():
        states = layer(torch.from_numpy(sequence.transpose(0, 3, 1, 2))[None])
        layer.whole_sequence = False
        last = layer(torch.from_numpy(sequence.transpose(0, 3, 1, 2))[None])
    expected = convlstm_by_loops(sequence, kernel, recurrent, bias).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(states[0], expected, atol=1e-12)
    np.testing.assert_allclose(last[0], expected[-1], atol=1e-12)


def hard(slope: float) -> Callable[[Tensor], Tensor]:
    return lambda x: (slope * x + 0.5).clamp(0, 1)


ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": hard(1 / 6),
    "hard_sigmoid_keras2": hard(1 / 5),
}


def convlstm_by_autograd(layer: ConvLSTM, sequence: Tensor) -> Tensor:
    """Return the states of all steps, by the equations as they stand in the docstring and PyTorch's own gradient."""
    sigma = ACTIVATIONS[layer.activation]
    state = cell = sequence.new_zeros(len(sequence), layer.hidden, *sequence.shape[-2:])
    states = []
    for step in sequence.unbind(1):
        entry, forget, candidate, output = layer.gates(torch.cat([step, state], 1)).chunk(4, 1)
        cell = sigma(forget) * cell + sigma(entry) * candidate.tanh()
        state = sigma(output) * cell.tanh()
        states.append(state)
    return torch.stack(states, 1)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_states_and_gradients_are_those_of_the_equations(
    activation: Activation, recompute: bool, whole: bool
) -> None:
    torch.manual_seed(1)
    layer = ConvLSTM(2, 3, kernel=3, whole_sequence=whole, activation=activation, recompute=recompute).double()
    layer.gates.weight.data *= 3  # so that hard gates reach their ends
    sequence = torch.randn(2, 5, 2, 6, 7, dtype=torch.double, requires_grad=True)
    expected = convlstm_by_autograd(layer, sequence)
    expected = expected if whole else expected[:, -1]
    weights = torch.randn_like(expected)
    inputs = (sequence, layer.gates.weight, layer.gates.bias)
    wanted = torch.autograd.grad((expected * weights).sum(), inputs)  # type: ignore[arg-type]
    states = layer(sequence)
    torch.testing.assert_close(states, expected)
    torch.testing.assert_close(torch.autograd.grad((states * weights).sum(), inputs), wanted)  # type: ignore[arg-type]


def test_a_second_backward_pass_is_refused_in_words() -> None:
    states = ConvLSTM(2, 3, kernel=3, whole_sequence=False)(torch.randn(1, 3, 2, 5, 5))
    states.sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="it can be taken once"):
        states.sum().backward()


def test_the_weights_gradient_does_not_depend_on_how_many_steps_are_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(2)
    network, sequence = ThesisNetwork(ConvLSTMConfig(hidden=3, head=4)).double(), torch.randn(2, 7, 2, 6, 5).double()
    gradients = []
    for gathered in (1, 3 * 2 * 30 * 12 * 8, 2**26):  # one step, three, all
        monkeypatch.setattr(convlstm, "GATHERED_BYTES", gathered)
        gradients.append(torch.autograd.grad(network(sequence).square().sum(), network.parameters()))
    torch.testing.assert_close(gradients[0], gradients[2])
    torch.testing.assert_close(gradients[1], gradients[2])


def test_bfloat16_is_float32_to_a_few_roundings_in_output_and_gradient() -> None:
    torch.manual_seed(0)
    network = ThesisNetwork(ConvLSTMConfig(hidden=16, head=16, kernel=3))
    sequence = torch.randn(2, 7, 2, 12, 10)
    gradients, outputs = [], []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            output = network(sequence)
        assert output.dtype == torch.float32
        outputs.append(output.detach())
        gradients.append(
            torch.cat([g.flatten() for g in torch.autograd.grad(output.square().mean(), network.parameters())])
        )
    for exact, rough in (outputs, gradients):
        assert (rough - exact).square().mean().sqrt() < 8 * 2**-8 * exact.square().mean().sqrt()


def test_weights_begin_as_in_keras() -> None:
    torch.manual_seed(0)
    channels, hidden, side = 7, 8, 5
    layer = ConvLSTM(channels, hidden, kernel=side, whole_sequence=False)
    kernel, recurrent = layer.gates.weight.detach().split([channels, hidden], dim=1)
    limit = np.sqrt(6 / (side**2 * (channels + 4 * hidden)))
    assert 0.98 * limit < kernel.abs().max() <= limit
    rows = recurrent.flatten(1)
    torch.testing.assert_close(rows @ rows.T, torch.eye(4 * hidden), atol=1e-5, rtol=0)
    expected = [0.0] * hidden + [1.0] * hidden + [0.0] * 2 * hidden
    assert layer.gates.bias is not None
    assert layer.gates.bias.tolist() == expected


def test_the_default_network_has_the_reference_number_of_parameters() -> None:
    assert sum(parameter.numel() for parameter in ThesisNetwork(ConvLSTMConfig()).parameters()) == 333_506


@pytest.mark.parametrize(("layers", "kernel", "dilation"), [(1, 3, 1), (1, 3, 2), (1, 5, 2), (3, 3, 2)])
def test_networks_take_any_grid_and_learn_in_all_parts(layers: int, kernel: int, dilation: int) -> None:
    config = ConvLSTMConfig(hidden=3, head=4, layers=layers, kernel=kernel, dilation=dilation)
    network = ThesisNetwork(config)
    output = network(torch.randn(2, 5, 2, 9, 12))
    assert output.shape == (2, 2, 9, 12)
    output.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_a_batch_changes_no_result() -> None:
    network = ThesisNetwork(ConvLSTMConfig(hidden=3, head=4))
    sequences = torch.randn(3, 5, 2, 9, 12)
    with torch.inference_mode():
        alone = torch.cat([network(sequence[None]) for sequence in sequences])
        torch.testing.assert_close(network(sequences), alone, atol=1e-6, rtol=1e-5)
