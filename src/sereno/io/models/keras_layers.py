"""What the configuration of a Keras model says of its layers, and whether they are a network of the thesis.

Source of the layouts: `keras.saving` of Keras 3 and of TensorFlow's Keras 2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sereno.config.model import (
    LARGEST_DILATION,
    LARGEST_KERNEL,
    LONGEST_WINDOW,
    MOST_CELLS,
    MOST_CHANNELS,
    MOST_LAYERS,
)
from sereno.errors import InputError, reason_of

RecurrentActivation = Literal["sigmoid", "hard_sigmoid", "hard_sigmoid_keras2"]
CHANNELS = 2
"""Channels of the input and of the output: the anomaly and the mask."""

_CONTAINERS = ("Sequential", "Functional", "Model")
_READ = ("InputLayer", "ConvLSTM2D", "Conv2D", "Dropout", "ReLU", "Activation")
_RECURRENT = {
    "strides": (1, 1),
    "padding": "same",
    "data_format": "channels_last",
    "dilation_rate": (1, 1),
    "activation": "tanh",
    "return_state": False,
    "go_backwards": False,
    "stateful": False,
    "time_major": False,
}
_CONVOLUTION = {
    "kernel_size": (3, 3),
    "strides": (1, 1),
    "padding": "same",
    "data_format": "channels_last",
    "groups": 1,
}


@dataclass(frozen=True)
class KerasLayer:
    """One layer of a Keras model.

    Attributes
    ----------
    kind
        Name of its class.
    name
        Its own name.
    place
        How many layers of its class come before it, which is how weights are named in a ``.keras`` file.
    config
        Its settings as in the file.
    """

    kind: str
    name: str
    place: int
    config: dict[str, Any]


@dataclass(frozen=True)
class Architecture:
    """What a chain of layers amounts to, in the words of sereno's ConvLSTM configuration.

    Attributes
    ----------
    hidden, kernel, head, dilation
        As in `sereno.config.ConvLSTM`.
    window
        Days in the sequence; None where the input leaves it open.
    tile
        Cells (lat, lon) of the input; None where it leaves them open.
    recurrent_activation
        The function of the gates.
    recurrent, convolutions
        The layers with weights.
    """

    hidden: int
    kernel: int
    head: int
    dilation: int
    window: int | None
    tile: tuple[int, int] | None
    recurrent_activation: RecurrentActivation
    recurrent: tuple[KerasLayer, ...]
    convolutions: tuple[KerasLayer, ...]


def read_architecture(document: dict[str, Any], *, keras_version: str, origin: Path) -> Architecture:
    """Return the architecture of a network of the thesis.

    Parameters
    ----------
    document
        The model's configuration, as in ``config.json`` or the attribute ``model_config``.
    keras_version
        The version that wrote it; `hard_sigmoid` is another function in Keras 2 than in Keras 3.
    origin
        The file, for messages.

    Raises
    ------
    InputError
        If it is no network of the thesis; all departures are listed.
    """
    try:
        layers = _chain(document, origin)
        problems: list[str] = []
        recurrent, convolutions, activations = _parts(layers, problems)
        _check_recurrent(recurrent, problems)
        _check_convolutions(convolutions, activations, problems)
        window, tile = _check_input(_input_shape(document, layers), problems)
        gates = _gates(recurrent, keras_version, problems)
    except InputError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {reason_of(error):.80}"
        raise InputError(f"{origin}: its configuration is not that of a Keras 2 or 3 model ({reason})") from error
    if problems:
        listed = "\n".join(f"  {line}" for line in problems)
        raise InputError(f"{origin}: not a network of the thesis:\n{listed}")
    return Architecture(
        hidden=recurrent[0].config["filters"],
        kernel=_pair(recurrent[0].config["kernel_size"])[0],
        head=convolutions[0].config["filters"],
        dilation=_pair(convolutions[0].config.get("dilation_rate", 1))[0],
        window=window,
        tile=tile,
        recurrent_activation=gates,
        recurrent=tuple(recurrent),
        convolutions=tuple(convolutions),
    )


def _chain(document: dict[str, Any], origin: Path) -> list[KerasLayer]:
    """Return the layers in the order that data pass through them."""
    if (kind := document["class_name"]) not in _CONTAINERS:
        raise InputError(f"{origin}: holds a {kind}; only sequential and functional models can be read")
    config = document["config"]
    entries = config if isinstance(config, list) else config["layers"]  # the first Keras 2 wrote a bare list
    counter: Counter[str] = Counter()
    layers: dict[str, KerasLayer] = {}
    refused = []
    for entry in entries:
        kind, name = entry["class_name"], entry["config"].get("name") or entry["name"]
        if kind not in _READ or entry.get("registered_name") not in (None, kind):
            reason = "it runs code of its own" if kind == "Lambda" else f"only {', '.join(_READ)} can be read"
            refused.append(f"{name!r} is a {entry.get('registered_name') or kind}: {reason}")
        layers[name] = KerasLayer(kind, name, counter[kind], entry["config"])
        counter[kind] += 1
    if refused:
        listed = "\n".join(f"  {line}" for line in refused)
        raise InputError(f"{origin}: not a network of the thesis:\n{listed}")
    if document["class_name"] == "Sequential":
        return list(layers.values())
    return _follow(config, layers, origin)


def _follow(config: dict[str, Any], layers: dict[str, KerasLayer], origin: Path) -> list[KerasLayer]:
    """Return the layers of a functional model from its one input to its one output."""
    following: dict[str, str] = {}
    beginnings, faults = [], []
    for entry, layer in zip(config["layers"], layers.values(), strict=True):
        sources = list(_sources(entry.get("inbound_nodes", [])))
        if layer.kind == "InputLayer":
            beginnings.append(layer.name)
        elif len(sources) != 1 or sources[0] in following:
            faults.append(f"{layer.name!r} takes {' and '.join(map(repr, sources)) or 'nothing'}")
        else:
            following[sources[0]] = layer.name
    order = beginnings[:1]
    while order and order[-1] in following and len(order) <= len(layers):
        order.append(following[order[-1]])
    outputs = list(_sources(config.get("output_layers", [])))
    if len(beginnings) != 1:
        faults.append(f"it has {len(beginnings)} inputs")
    if outputs != order[-1:]:
        faults.append(f"it gives out {' and '.join(map(repr, outputs)) or 'nothing'}")
    if faults:
        raise InputError(f"{origin}: not a network of the thesis, which is one chain of layers: {'; '.join(faults)}")
    return [layers[name] for name in order]


def _sources(node: object) -> Iterator[str]:
    """Yield the names of the layers that a node's arguments come from, in the layout of Keras 2 or 3."""
    if isinstance(node, dict):
        history = node.get("keras_history")
        yield from [history[0]] if history else (name for value in node.values() for name in _sources(value))
    elif isinstance(node, list):
        if len(node) >= 3 and isinstance(node[0], str) and isinstance(node[1], int):
            yield node[0]
            node = node[3:]
        for value in node:
            yield from _sources(value)


def _parts(
    layers: list[KerasLayer], problems: list[str]
) -> tuple[list[KerasLayer], list[KerasLayer], dict[str, str]]:
    """Return the recurrent layers, the convolutions and the activation of each convolution."""
    recurrent: list[KerasLayer] = []
    convolutions: list[KerasLayer] = []
    activations: dict[str, str] = {}
    for layer in layers:
        if layer.kind == "ConvLSTM2D":
            if convolutions:
                problems.append(f"{layer.name!r}: a ConvLSTM2D may not follow a Conv2D")
            recurrent.append(layer)
        elif layer.kind == "Conv2D":
            convolutions.append(layer)
            activations[layer.name] = _function(layer.config.get("activation"))
        elif layer.kind in ("ReLU", "Activation"):
            function = _function({"class_name": "ReLU", "config": layer.config})
            if layer.kind == "Activation":
                function = _function(layer.config["activation"])
            if convolutions and activations[convolutions[-1].name] == "linear":
                activations[convolutions[-1].name] = function
            elif function != "linear":
                problems.append(f"{layer.name!r}: {function} is expected after the first Conv2D alone")
    return recurrent, convolutions, activations


def _check_recurrent(layers: list[KerasLayer], problems: list[str]) -> None:
    """Note what in the recurrent layers differs from the thesis."""
    if not 1 <= len(layers) <= MOST_LAYERS:
        problems.append(f"it has {len(layers) or 'no'} ConvLSTM2D layer, must have 1 to {MOST_LAYERS}")
    for layer in layers:
        _check_settings(layer, _RECURRENT, problems)
        sequences = layer is not layers[-1]
        if layer.config.get("return_sequences", False) is not sequences:
            role = "the last ConvLSTM2D returns its last state" if not sequences else "all but the last return all"
            problems.append(f"{layer.name!r}: return_sequences must be {sequences}: {role}")
        height, width = _pair(layer.config["kernel_size"])
        if height != width or height % 2 == 0:
            problems.append(f"{layer.name!r}: kernel_size is {height} × {width}, must be square and odd")
        _check_size(layer, "filters", layer.config["filters"], MOST_CHANNELS, problems)
        _check_size(layer, "kernel_size", height, LARGEST_KERNEL, problems)
        for key in ("filters", "kernel_size"):
            if layer.config[key] != layers[0].config[key]:
                wanted = layers[0].config[key]
                problems.append(f"{layer.name!r}: {key} is {layer.config[key]}, in {layers[0].name!r} {wanted}")


def _check_convolutions(layers: list[KerasLayer], activations: dict[str, str], problems: list[str]) -> None:
    """Note what in the convolutions differs from the thesis."""
    if len(layers) != 2:
        problems.append(f"it has {len(layers)} Conv2D layers, must have 2")
        return
    for layer, wanted in zip(layers, ("relu", "linear"), strict=True):
        _check_settings(layer, _CONVOLUTION, problems)
        if activations[layer.name] != wanted:
            problems.append(f"{layer.name!r}: activation is {activations[layer.name]}, must be {wanted}")
    first, last = layers
    _check_size(first, "filters", first.config["filters"], MOST_CHANNELS, problems)
    _check_size(first, "dilation_rate", _pair(first.config.get("dilation_rate", 1))[0], LARGEST_DILATION, problems)
    if len(set(dilation := _pair(first.config.get("dilation_rate", 1)))) != 1:
        problems.append(f"{first.name!r}: dilation_rate is {dilation}, must be the same both ways")
    _check_settings(last, {"dilation_rate": (1, 1), "filters": CHANNELS}, problems)


def _check_size(layer: KerasLayer, key: str, size: object, most: int, problems: list[str]) -> None:
    """Note a size that is no whole number, or too small or too large."""
    if type(size) is not int or not 1 <= size <= most:
        problems.append(f"{layer.name!r}: {key} is {size!r:.40}, must be a whole number from 1 to {most}")


def _check_settings(layer: KerasLayer, wanted: dict[str, Any], problems: list[str]) -> None:
    """Note each setting that is not as wanted; those that older versions lack are."""
    for key, value in wanted.items():
        given = layer.config.get(key, value)
        if key == "activation":
            given = _function(given)
        elif isinstance(value, tuple):
            given = _pair(given)
        if given != value:
            problems.append(f"{layer.name!r}: {key} is {given}, must be {value}")


def _input_shape(document: dict[str, Any], layers: list[KerasLayer]) -> list[int | None] | None:
    """Return the shape of the input, batch first, where the file states it."""
    config = document["config"] if isinstance(document["config"], dict) else {}
    stated = [layers[0].config.get(key) for key in ("batch_shape", "batch_input_shape")] if layers else []
    stated.append(config.get("build_input_shape"))
    return next((list(shape) for shape in stated if shape), None)


def _check_input(shape: list[int | None] | None, problems: list[str]) -> tuple[int | None, tuple[int, int] | None]:
    """Return the window and the tile that the input is made for."""
    if shape is None:
        return None, None
    if len(shape) != 5 or shape[-1] not in (CHANNELS, None):
        problems.append(f"its input is {tuple(shape[1:])}, must be (days, lat, lon, {CHANNELS})")
        return None, None
    _, window, lat, lon, _ = shape
    for size, most in ((window, LONGEST_WINDOW), (lat, MOST_CELLS), (lon, MOST_CELLS)):
        if size is not None and (type(size) is not int or not 1 <= size <= most):
            problems.append(f"its input is {tuple(shape[1:])!r:.80}, and {size!r:.40} must be from 1 to {most}")
            return None, None
    if window is not None and (window < 3 or window % 2 == 0):
        problems.append(f"its input has {window} days; the window must be an odd number from 3 on")
    return window, None if lat is None or lon is None else (lat, lon)


def _gates(layers: list[KerasLayer], keras_version: str, problems: list[str]) -> RecurrentActivation:
    """Return the function of the gates; `hard_sigmoid` was redefined in Keras 3."""
    old = keras_version.partition(".")[0] in ("1", "2")
    known: dict[str, RecurrentActivation] = {
        "sigmoid": "sigmoid",
        "hard_sigmoid": "hard_sigmoid_keras2" if old else "hard_sigmoid",
    }
    names = {layer.name: _function(layer.config.get("recurrent_activation")) for layer in layers}
    for layer, function in names.items():
        if function not in known:
            problems.append(f"{layer!r}: recurrent_activation is {function}, must be sigmoid or hard_sigmoid")
    if len(set(names.values())) > 1:
        problems.append(f"recurrent_activation differs between layers: {', '.join(names.values())}")
    return known.get(next(iter(names.values()), ""), "sigmoid")


def _function(value: Any) -> str:  # noqa: ANN401
    """Return the name of an activation, however it is written."""
    if isinstance(value, dict):
        settings = value["config"]
        if value["class_name"] == "function":
            return str(settings)
        unchanged = isinstance(settings, dict) and not any(
            settings.get(key) for key in ("max_value", "negative_slope", "threshold")
        )
        return "relu" if value["class_name"] == "ReLU" and unchanged else f"a changed {value['class_name']}"
    return "linear" if value is None else str(value)


def _pair(value: int | list[int]) -> tuple[int, int]:
    """Return a setting of two axes that may be written as one number."""
    first, second = (value, value) if isinstance(value, int) else value
    return first, second
