"""The networks against Keras itself: the same weights give the same output and the same gradients."""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from sereno.config import ConvLSTM as ConvLSTMConfig
from sereno.io.models.keras import read_keras
from sereno.nets.thesis import ThesisNetwork
from sereno.training.losses import masked_mse

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # or it tells standard error of every processor it meets
with warnings.catch_warnings():
    # What their own imports deprecate is theirs to mend.
    warnings.simplefilter("ignore", DeprecationWarning)
    tensorflow = pytest.importorskip(
        "tensorflow", reason="needs Keras: make test-keras, or pip install -e '.[keras]'"
    )
    import keras

# TensorFlow's arrays do not know NumPy 2's `copy` yet.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
BATCH, LAT, LON = 2, 12, 14


@dataclass(frozen=True)
class Reference:
    """A network of the reference, with the days of its sequence."""

    layers: int
    kernel: int
    dilation: int
    days: int
    gates: str = "sigmoid"

    def in_keras(self) -> Any:  # noqa: ANN401
        """Return it as the reference's script builds it, with biases that are not zero."""
        keras.utils.set_random_seed(0)
        last = self.layers - 1
        recurrent = [
            keras.layers.ConvLSTM2D(
                32, self.kernel, padding="same", return_sequences=i < last, recurrent_activation=self.gates
            )
            for i in range(self.layers)
        ]
        return keras.Sequential(
            [
                keras.Input((self.days, LAT, LON, 2)),
                *recurrent,
                keras.layers.Conv2D(64, 3, padding="same", activation="relu", dilation_rate=self.dilation),
                keras.layers.Conv2D(2, 3, padding="same"),
            ]
        )

    def in_torch(self) -> ThesisNetwork:
        """Return it as sereno has it, by the same configuration as any other."""
        settings: dict[str, Any] = {} if self.gates == "sigmoid" else {"recurrent_activation": self.gates}
        config = ConvLSTMConfig(layers=self.layers, kernel=self.kernel, dilation=self.dilation, **settings)
        return ThesisNetwork(config)


REFERENCES = {
    "model1": Reference(layers=1, kernel=3, dilation=1, days=15),
    "model2": Reference(layers=1, kernel=3, dilation=2, days=5),
    "model3": Reference(layers=1, kernel=5, dilation=2, days=7),
    "model3-dilation1": Reference(layers=1, kernel=5, dilation=1, days=7),
    "deep": Reference(layers=2, kernel=5, dilation=2, days=15),
    "deep-hard-sigmoid": Reference(layers=2, kernel=5, dilation=2, days=5, gates="hard_sigmoid"),
}


@pytest.fixture(params=REFERENCES)
def reference(request: pytest.FixtureRequest) -> Reference:
    chosen = REFERENCES[request.param]
    if chosen.gates != "sigmoid" and "recurrent_activation" not in ConvLSTMConfig.__dataclass_fields__:
        pytest.skip("the gates are sigmoid alone")
    return chosen


def tensors_of(model: Any, folder: Path) -> dict[str, torch.Tensor]:  # noqa: ANN401
    """The weights of a Keras model in sereno's layout, by way of a file."""
    model.save(folder / "network.keras")
    return {name: torch.from_numpy(a) for name, a in read_keras(folder / "network.keras").tensors.items()}


def test_output_and_gradients_are_those_of_keras(reference: Reference, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    maps = rng.normal(size=(BATCH, reference.days, LAT, LON, 2)).astype("float32")
    truth = rng.normal(size=(BATCH, LAT, LON)).astype("float32")
    observed = rng.random(truth.shape) < 0.4

    model = reference.in_keras()
    model.set_weights([w if w.ndim > 1 else w + rng.normal(size=w.shape, scale=0.1) for w in model.get_weights()])
    network = reference.in_torch()
    network.load_state_dict(tensors_of(model, tmp_path))

    with tensorflow.GradientTape() as tape:
        expected = model(maps, training=True)
        squares = tensorflow.square(expected[..., 0] - truth) * observed.astype("float32")
        loss = tensorflow.reduce_sum(squares) / observed.sum()
    gradients = tape.gradient(loss, model.trainable_variables)

    output = network(torch.from_numpy(maps.transpose(0, 1, 4, 2, 3)))
    mine = masked_mse(output[:, 0], torch.from_numpy(truth), torch.from_numpy(observed))
    mine.backward()  # type: ignore[no-untyped-call]

    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(output.detach().numpy().transpose(0, 2, 3, 1), expected, atol=1e-5, rtol=0)
    assert mine.item() == pytest.approx(float(loss), rel=1e-5)
    model.set_weights([np.asarray(gradient) for gradient in gradients])  # so that one layout serves both
    wanted = tensors_of(model, tmp_path)
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        largest = wanted[name].abs().max()
        assert largest > 0
        torch.testing.assert_close(
            parameter.grad, wanted[name], atol=1e-4 * largest.item(), rtol=0, msg=lambda text, n=name: f"{n}: {text}"
        )


@pytest.mark.parametrize("name", ["model1", "deep"])
def test_new_weights_are_drawn_as_in_keras(name: str, tmp_path: Path) -> None:
    reference = REFERENCES[name]
    torch.manual_seed(0)
    mine, theirs = reference.in_torch().state_dict(), tensors_of(reference.in_keras(), tmp_path)
    assert mine.keys() == theirs.keys()
    for key in mine:
        if key.endswith("bias"):
            torch.testing.assert_close(mine[key], theirs[key])
            continue
        parts = [mine[key]], [theirs[key]]
        if key.startswith("recurrent"):
            channels = mine[key].shape[1] - 32
            parts = mine[key].split([channels, 32], dim=1), theirs[key].split([channels, 32], dim=1)
            for recurrent in (parts[0][1], parts[1][1]):
                rows = recurrent.flatten(1)
                torch.testing.assert_close(rows @ rows.T, torch.eye(4 * 32), atol=1e-5, rtol=0)
        for a, b in zip(*parts, strict=True):
            assert a.std().item() == pytest.approx(b.std().item(), rel=0.03)
            assert stats.ks_2samp(a.flatten(), b.flatten()).pvalue > 1e-3
        limits = parts[0][0].abs().max().item(), parts[1][0].abs().max().item()
        assert limits[0] == pytest.approx(limits[1], rel=0.01)  # of the uniform distribution
