import dataclasses
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from keras_files import GOLDEN, Settings, altered, altered_weights

from sereno.config import ConvLSTM as ConvLSTMConfig
from sereno.errors import InputError
from sereno.io.models.keras import KerasNetwork, read_keras
from sereno.nets.thesis import ThesisNetwork

SIGMOID = ["sequential.keras", "sequential.h5", "functional.keras", "functional.h5", "optimizer.keras"]
HARD_SIGMOID = ["hard_sigmoid.keras", "keras2.keras", "keras2.h5"]


def network_of(read: KerasNetwork) -> ThesisNetwork:
    names = {field.name for field in dataclasses.fields(ConvLSTMConfig)} & vars(read).keys() - {"window", "tile"}
    network = ThesisNetwork(dataclasses.replace(ConvLSTMConfig(), **{name: getattr(read, name) for name in names}))
    network.load_state_dict({name: torch.from_numpy(tensor) for name, tensor in read.tensors.items()})
    return network


def layer(document: Settings, name: str) -> Settings:
    settings: Settings = next(
        entry["config"] for entry in document["config"]["layers"] if entry["config"]["name"] == name
    )
    return settings


@pytest.mark.parametrize(
    "name",
    [
        *SIGMOID,
        *(
            pytest.param(
                name,
                marks=pytest.mark.skipif(
                    "recurrent_activation" not in ConvLSTMConfig.__dataclass_fields__,
                    reason="the gates are sigmoid alone",
                ),
            )
            for name in HARD_SIGMOID
        ),
    ],
)
def test_a_network_answers_as_in_keras(name: str) -> None:
    network = network_of(read_keras(GOLDEN / name))
    golden = np.load((GOLDEN / name).with_suffix(".npz"))
    with torch.inference_mode():
        output = network(torch.from_numpy(golden["input"].transpose(0, 1, 4, 2, 3)))
    assert np.abs(golden["output"]).max() > 0.5
    np.testing.assert_allclose(output.numpy().transpose(0, 2, 3, 1), golden["output"], atol=1e-5, rtol=0)


def test_the_architecture_is_told_in_the_words_of_the_configuration() -> None:
    read = vars(read_keras(GOLDEN / "sequential.keras"))
    assert read.pop("tensors").keys() == ThesisNetwork(ConvLSTMConfig()).state_dict().keys()
    assert read.pop("keras_version").startswith("3.")
    assert read == {
        "layers": 2,
        "hidden": 2,
        "kernel": 3,
        "head": 4,
        "dilation": 2,
        "window": 5,
        "tile": (6, 7),
        "recurrent_activation": "sigmoid",
    }
    read = vars(read_keras(GOLDEN / "functional.h5"))
    assert (read["layers"], read["head"], read["dilation"], read["window"]) == (1, 3, 1, None)
    assert not read["tensors"]["recurrent.0.gates.bias"].any()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hard_sigmoid.keras", "hard_sigmoid"),
        ("keras2.keras", "hard_sigmoid_keras2"),
        ("keras2.h5", "hard_sigmoid_keras2"),
    ],
)
def test_the_version_decides_which_hard_sigmoid_is_meant(name: str, expected: str) -> None:
    assert read_keras(GOLDEN / name).recurrent_activation == expected


def test_every_departure_is_listed(tmp_path: Path) -> None:
    def alter(document: Settings) -> None:
        layer(document, "conv_lstm2d").update(padding="valid", go_backwards=True, return_sequences=False)
        layer(document, "conv_lstm2d_1").update(filters=3, kernel_size=[4, 4], recurrent_activation="tanh")
        layer(document, "conv2d").update(activation="elu", dilation_rate=[1, 2], groups=2)
        layer(document, "conv2d_1").update(filters=1, activation={"class_name": "ReLU", "config": {}})
        layer(document, "input_layer")["batch_shape"] = [None, 4, 6, 7, 3]

    with pytest.raises(InputError) as error:
        read_keras(altered(tmp_path, "sequential.keras", alter))
    for part in [
        "sequential.keras",
        "'conv_lstm2d': padding is valid, must be same",
        "'conv_lstm2d': go_backwards is True",
        "'conv_lstm2d': return_sequences must be True",
        "'conv_lstm2d_1': filters is 3",
        "'conv_lstm2d_1': kernel_size is 4 × 4",
        "'conv_lstm2d_1': recurrent_activation is tanh",
        "'conv2d': activation is elu, must be relu",
        "'conv2d': dilation_rate",
        "'conv2d': groups is 2",
        "'conv2d_1': filters is 1, must be 2",
        "'conv2d_1': activation is relu, must be linear",
        "(4, 6, 7, 3)",
    ]:
        assert part in str(error.value)


@pytest.mark.parametrize("name", ["sequential.keras", "sequential.h5"])
@pytest.mark.parametrize("kind", ["Lambda", "BatchNormalization", "TimeDistributed"])
def test_other_layers_are_refused_by_name(tmp_path: Path, name: str, kind: str) -> None:
    def alter(document: Settings) -> None:
        entry = {"class_name": kind, "config": {"name": "mine", "function": {"class_name": "__lambda__"}}}
        document["config"]["layers"].insert(1, entry)

    with pytest.raises(InputError, match=f"'mine' is a {kind}"):
        read_keras(altered(tmp_path, name, alter))


def test_a_class_of_the_users_own_is_refused_whatever_its_name(tmp_path: Path) -> None:
    def alter(document: Settings) -> None:
        document["config"]["layers"][3]["registered_name"] = "mine>Conv2D"

    with pytest.raises(InputError, match="'conv2d' is a mine>Conv2D"):
        read_keras(altered(tmp_path, "sequential.keras", alter))


def test_models_that_are_no_chain_are_refused(tmp_path: Path) -> None:
    def subclassed(document: Settings) -> None:
        document["class_name"] = "MyModel"

    def two_outputs(document: Settings) -> None:
        document["config"]["output_layers"] = [["widen", 0, 0], ["conv2d", 0, 0]]

    def branch(document: Settings) -> None:
        entry = next(e for e in document["config"]["layers"] if e["name"] == "conv2d")
        entry["inbound_nodes"][0]["args"].append(entry["inbound_nodes"][0]["args"][0])

    for alter, message in [(subclassed, "holds a MyModel"), (two_outputs, "'widen'"), (branch, "'conv2d' takes")]:
        with pytest.raises(InputError, match=message):
            read_keras(altered(tmp_path, "functional.keras", alter))


def test_a_shape_written_by_the_first_layer_alone_is_found(tmp_path: Path) -> None:
    def alter(document: Settings) -> None:
        document["config"].pop("build_input_shape", None)
        start = document["config"]["layers"].pop(0)
        document["config"]["layers"][0]["config"]["batch_input_shape"] = start["config"]["batch_input_shape"]

    def bare_list(document: Settings) -> None:
        document["config"] = document["config"]["layers"]

    for change in (alter, bare_list):
        read = read_keras(altered(tmp_path, "keras2.h5", change))
        assert (read.window, read.tile) == (5, (6, 7))


def test_a_separate_activation_may_be_written_in_three_ways(tmp_path: Path) -> None:
    activations: list[object] = ["relu", {"class_name": "function", "config": "relu"}]
    activations.append({"class_name": "ReLU", "config": {"max_value": None, "threshold": 0.0}})
    for activation in activations:

        def alter(document: Settings, activation: object = activation) -> None:
            document["config"]["layers"][3]["config"]["activation"] = "linear"
            entry = {"class_name": "Activation", "config": {"name": "act", "activation": activation}}
            document["config"]["layers"].insert(4, entry)

        assert read_keras(altered(tmp_path, "sequential.keras", alter)).head == 4

    def capped(document: Settings) -> None:
        document["config"]["layers"][4]["config"]["max_value"] = 6.0

    with pytest.raises(InputError, match="must be relu"):
        read_keras(altered(tmp_path, "functional.keras", capped))


def test_the_layout_of_early_archives_is_read(tmp_path: Path) -> None:
    def alter(file: h5py.File) -> None:
        file.move("layers", "_layer_checkpoint_dependencies")

    read = read_keras(altered_weights(tmp_path, "keras2.keras", alter))
    expected = read_keras(GOLDEN / "keras2.h5")
    for name, tensor in expected.tensors.items():
        np.testing.assert_array_equal(read.tensors[name], tensor)


def test_weights_that_do_not_fit_are_all_named(tmp_path: Path) -> None:
    def alter(file: h5py.File) -> None:
        del file["layers/conv_lstm2d/cell/vars/1"]
        del file["layers/conv2d/vars/0"]
        file["layers/conv2d/vars/0"] = np.zeros((3, 3, 2, 5), dtype="f4")
        file["layers/conv2d_1/vars/1"][0] = np.nan

    with pytest.raises(InputError) as error:
        read_keras(altered_weights(tmp_path, "sequential.keras", alter))
    for part in [
        "'conv_lstm2d': recurrent_kernel is missing",
        "'conv2d': kernel is float32 (3, 3, 2, 5), must be float (3, 3, 2, 4)",
        "'conv2d_1': bias has values that are not finite",
    ]:
        assert part in str(error.value)


def test_weights_in_another_file_are_not_followed(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["bias"] = np.zeros(4, dtype="f4")
    path = tmp_path / "linked.h5"
    shutil.copy(GOLDEN / "keras2.h5", path)
    with h5py.File(path, "r+") as file:
        del file["model_weights/conv2d/conv2d/bias:0"]
        file["model_weights/conv2d/conv2d/bias:0"] = h5py.ExternalLink("other.h5", "bias")
    with pytest.raises(InputError, match="'conv2d': bias lies in another file"):
        read_keras(path)


def test_files_that_are_no_model_are_told_apart(tmp_path: Path) -> None:
    archive, hdf5 = (GOLDEN / "sequential.keras").read_bytes(), (GOLDEN / "sequential.h5").read_bytes()
    middle = len(archive) // 2
    for name, content, message in [
        ("cut.keras", archive[:-100], "cut short"),
        ("cut.h5", hdf5[:-1000], "truncated or damaged"),
        ("flipped.keras", archive[:middle] + b"garbage" + archive[middle + 7 :], "truncated or damaged"),
        ("text.keras", b"not a model", "neither"),
        ("empty.h5", b"", "neither"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_keras(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "bare.keras", "w") as bare:
        bare.writestr("config.json", "{}")
        bare.writestr("metadata.json", "[1]")
    with pytest.raises(InputError, match="not a JSON object"):
        read_keras(tmp_path / "bare.keras")
    with pytest.raises(InputError, match="no such file"):
        read_keras(tmp_path / "absent.keras")
    with pytest.raises(InputError, match="SavedModel"):
        read_keras(tmp_path)


def test_weights_alone_are_not_enough(tmp_path: Path) -> None:
    with zipfile.ZipFile(GOLDEN / "sequential.keras") as archive:
        (tmp_path / "a.weights.h5").write_bytes(archive.read("model.weights.h5"))
    shutil.copy(GOLDEN / "keras2.h5", tmp_path / "b.h5")
    with h5py.File(tmp_path / "b.h5", "r+") as file:
        del file.attrs["model_config"]
    for name in ("a.weights.h5", "b.h5"):
        with pytest.raises(InputError, match="save the whole model"):
            read_keras(tmp_path / name)


@pytest.mark.parametrize("document", [{}, {"class_name": "Sequential"}, {"class_name": "Sequential", "config": {}}])
def test_a_configuration_of_another_make_is_an_error_of_the_file(tmp_path: Path, document: Settings) -> None:
    def alter(old: Settings) -> None:
        old.clear()
        old.update(document)

    with pytest.raises(InputError, match="not that of a Keras 2 or 3 model"):
        read_keras(altered(tmp_path, "sequential.keras", alter))


def test_an_empty_model_has_neither_part(tmp_path: Path) -> None:
    def alter(document: Settings) -> None:
        document["config"]["layers"] = []

    with pytest.raises(InputError, match=r"no ConvLSTM2D layer(?s:.*)0 Conv2D layers"):
        read_keras(altered(tmp_path, "sequential.keras", alter))
