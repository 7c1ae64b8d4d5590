"""Networks trained with the Keras script of the thesis: their architecture and weights, without Keras.

Only JSON and arrays are read, so a file can run no code. Source of the layouts: `keras.saving` of Keras 3 (the
``.keras`` archive and legacy HDF5) and of TensorFlow's Keras 2.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import h5py
import numpy as np

from sereno.errors import InputError, file_edge, reason_of
from sereno.files import require_regular
from sereno.io.hdf5 import HDF5
from sereno.io.models.keras_layers import CHANNELS, Architecture, KerasLayer, RecurrentActivation, read_architecture

_WEIGHTS = {
    "ConvLSTM2D": ("conv_lstm2d", "cell/vars", ("kernel", "recurrent_kernel", "bias")),
    "Conv2D": ("conv2d", "vars", ("kernel", "bias")),
}
"""Of each class: the stem of its group in a ``.keras`` archive, where in the group its weights are, their order."""
LEAST_MEMBER, MOST_PACKED = 2**24, 20
"""Bytes that are unpacked of any member, and bytes unpacked for one of the file: weights hardly pack."""
LARGEST_WEIGHT = 1e4
"""Magnitude of a weight at most; those of a trained network are of the order of 1."""
_ELSEWHERE = object()
_SAVE_WHOLE = "save the whole model in Keras with model.save('network.keras')"


@dataclass(frozen=True)
class KerasNetwork:
    """A network of the thesis as read from a Keras file.

    Attributes
    ----------
    layers, hidden, kernel, head, dilation
        As in `sereno.config.ConvLSTM`.
    window
        Days in the sequence; None where the file leaves it open.
    tile
        Cells (lat, lon) of the input it was trained on; None where the file leaves them open.
    recurrent_activation
        ``sigmoid``; ``hard_sigmoid``, clip(x/6 + 1/2, 0, 1), of Keras 3; or ``hard_sigmoid_keras2``,
        clip(x/5 + 1/2, 0, 1).
    keras_version
        The version that wrote the file.
    tensors
        float32, by the names and in the layout of `sereno.nets.thesis.ThesisNetwork`: ``recurrent.{i}.gates.weight``
        of shape (4 · hidden, channels + hidden, kernel, kernel) with the gates in the order i, f, c, o,
        ``recurrent.{i}.gates.bias``, ``head.0.weight``, ``head.0.bias``, ``head.2.weight`` and ``head.2.bias``.
    """

    layers: int
    hidden: int
    kernel: int
    head: int
    dilation: int
    window: int | None
    tile: tuple[int, int] | None
    recurrent_activation: RecurrentActivation
    keras_version: str
    tensors: dict[str, np.ndarray]

    @property
    def settings(self) -> dict[str, Any]:
        """What the file says of the settings of `sereno.config.ConvLSTM`."""
        names = ("layers", "hidden", "kernel", "head", "dilation", "window", "tile", "recurrent_activation")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class _Saved(NamedTuple):
    """An open file: the model's configuration, the version that wrote it, its weights and how they are laid out."""

    document: dict[str, Any]
    keras_version: str
    weights: h5py.Group
    layout: Literal["archive", "legacy"]


def read_keras(path: str | Path) -> KerasNetwork:
    """Read a network of the thesis that was trained and saved with Keras.

    Parameters
    ----------
    path
        A ``.keras`` file, or an HDF5 file that holds a whole model. Sequential and functional models of ConvLSTM2D
        layers and two Conv2D; dropout has no part in inference and is left out.

    Raises
    ------
    InputError
        If the file cannot be read, holds weights alone, or holds another network; all departures are listed.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: a folder (a SavedModel?), not a file; {_SAVE_WHOLE}")
    require_regular(path)
    with file_edge(f"{path}: cannot be read", "truncated or damaged? Copy it again"), _open(path) as saved:
        version = saved.keras_version
        architecture = read_architecture(saved.document, keras_version=version, origin=path)
        tensors = _read_tensors(saved, architecture, path)
    return KerasNetwork(
        layers=len(architecture.recurrent),
        hidden=architecture.hidden,
        kernel=architecture.kernel,
        head=architecture.head,
        dilation=architecture.dilation,
        window=architecture.window,
        tile=architecture.tile,
        recurrent_activation=architecture.recurrent_activation,
        keras_version=version,
        tensors=tensors,
    )


@contextmanager
def _open(path: Path) -> Iterator[_Saved]:
    """Open a file by what it is, whatever its name ends in."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            document = _parse(_member(archive, "config.json", path), path)
            version = str(_parse(_member(archive, "metadata.json", path), path).get("keras_version", "3"))
            content = _member(archive, "model.weights.h5", path)
        with HDF5, h5py.File(io.BytesIO(content)) as file:
            yield _Saved(document, version, file, "archive")
    elif _is_hdf5(path):
        with HDF5, h5py.File(path) as file:
            weights = _within(file, "model_weights")
            if "model_config" not in file.attrs or not isinstance(weights, h5py.Group):
                raise InputError(f"{path}: holds no model, at most its weights; {_SAVE_WHOLE}")
            version = _text(file.attrs.get("keras_version", "2"))
            yield _Saved(_parse(file.attrs["model_config"], path), version, weights, "legacy")
    else:
        raise InputError(f"{path}: neither a .keras archive nor HDF5, or cut short; copy it again, or {_SAVE_WHOLE}")


def _is_hdf5(path: Path) -> bool:
    with HDF5:
        return bool(h5py.is_hdf5(path))


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    if name not in archive.namelist():
        raise InputError(f"{path}: {name} is missing from the archive; {_SAVE_WHOLE}")
    member = archive.getinfo(name)
    if member.file_size > LEAST_MEMBER + MOST_PACKED * member.compress_size:
        reason = f"{name} has {member.file_size} bytes, packed in {member.compress_size}: no weights pack so well"
        raise InputError(f"{path}: {reason}; {_SAVE_WHOLE}")
    return archive.read(name)


def _parse(text: str | bytes, path: Path) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except Exception as error:  # thousands of brackets are a RecursionError
        reason = reason_of(error)
        raise InputError(f"{path}: damaged, its configuration is not JSON ({reason}); copy it again") from error
    if not isinstance(document, dict):
        raise InputError(f"{path}: damaged, its configuration is not a JSON object; copy it again")
    return document


def _read_tensors(saved: _Saved, architecture: Architecture, path: Path) -> dict[str, np.ndarray]:
    """Return the weights in PyTorch's layout, all checked against the architecture."""
    problems: list[str] = []
    tensors: dict[str, np.ndarray] = {}
    channels = CHANNELS
    for i, layer in enumerate(architecture.recurrent):
        shape = (architecture.kernel, architecture.kernel)
        gates = 4 * architecture.hidden
        shapes = {
            "kernel": (*shape, channels, gates),
            "recurrent_kernel": (*shape, architecture.hidden, gates),
            "bias": (gates,),
        }
        arrays = _read_layer(saved, layer, shapes, problems)
        channels = architecture.hidden
        if problems:
            continue
        kernel = np.concatenate([arrays["kernel"], arrays["recurrent_kernel"]], axis=2)
        tensors[f"recurrent.{i}.gates.weight"] = _outward(kernel)
        tensors[f"recurrent.{i}.gates.bias"] = arrays["bias"]
    for i, layer, filters in zip((0, 2), architecture.convolutions, (architecture.head, CHANNELS), strict=True):
        arrays = _read_layer(saved, layer, {"kernel": (3, 3, channels, filters), "bias": (filters,)}, problems)
        channels = filters
        if problems:
            continue
        tensors[f"head.{i}.weight"] = _outward(arrays["kernel"])
        tensors[f"head.{i}.bias"] = arrays["bias"]
    if problems:
        listed = "\n".join(f"  {line}" for line in problems)
        raise InputError(f"{path}: its weights do not belong to its layers:\n{listed}\n{_SAVE_WHOLE}")
    return tensors


def _outward(kernel: np.ndarray) -> np.ndarray:
    """Turn a kernel of Keras, (row, column, from, to), into one of PyTorch, (to, from, row, column)."""
    return np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))


def _read_layer(
    saved: _Saved, layer: KerasLayer, shapes: dict[str, tuple[int, ...]], problems: list[str]
) -> dict[str, np.ndarray]:
    """Return the weights of a layer as float32, zeros for a bias it does without, and note what is wrong."""
    find = _in_archive if saved.layout == "archive" else _in_legacy
    stored = find(saved.weights, layer)
    arrays = {}
    for role, shape in shapes.items():
        if role == "bias" and not layer.config.get("use_bias", True):
            arrays[role] = np.zeros(shape, dtype=np.float32)
            continue
        array = stored.get(role)
        if array is _ELSEWHERE or (isinstance(array, h5py.Dataset) and (array.external or array.is_virtual)):
            problems.append(f"{layer.name!r}: {role} lies in another file")
        elif not isinstance(array, h5py.Dataset):
            problems.append(f"{layer.name!r}: {role} is missing")
        elif array.shape != shape or array.dtype.kind != "f":
            problems.append(f"{layer.name!r}: {role} is {array.dtype} {array.shape}, must be float {shape}")
        elif array.nbytes > MOST_PACKED * array.id.get_storage_size():
            problems.append(f"{layer.name!r}: {role} was never written")
        elif not (np.abs(values := array[()].astype(np.float32)) <= LARGEST_WEIGHT).all():
            problems.append(f"{layer.name!r}: {role} has values that are not finite or beyond {LARGEST_WEIGHT:g}")
        else:
            arrays[role] = values
    return arrays


def _in_archive(weights: h5py.Group, layer: KerasLayer) -> dict[str, Any]:
    """Return the arrays of a layer in a ``.keras`` archive, where a layer's class and place represent its name."""
    stem, inside, roles = _WEIGHTS[layer.kind]
    container = (
        "layers" if _within(weights, "layers") is not None else "_layer_checkpoint_dependencies"
    )  # as Keras 2.12 had it
    name = f"{stem}_{layer.place}" if layer.place else stem
    return {role: _within(weights, f"{container}/{name}/{inside}/{i}") for i, role in enumerate(roles)}


def _in_legacy(weights: h5py.Group, layer: KerasLayer) -> dict[str, Any]:
    """Return the arrays of a layer in a legacy file, by the last part of the names that its group lists."""
    group = _within(weights, layer.name)
    if not isinstance(group, h5py.Group):
        return {}
    names = [_text(name) for name in group.attrs.get("weight_names", [])]
    return {name.rpartition("/")[2].partition(":")[0]: _within(group, name) for name in names}


def _within(group: h5py.Group, path: str) -> object:
    """Return what lies at a path of a file, `_ELSEWHERE` where a link leads away, None where nothing does.

    No such link is followed: it could lead to another file, or to a pipe.
    """
    node: object = group
    for name in path.strip("/").split("/"):
        key = name.encode()
        if not isinstance(node, h5py.Group) or not key or not node.id.links.exists(key):
            return None
        if node.id.links.get_info(key).type != h5py.h5l.TYPE_HARD:
            return _ELSEWHERE
        node = node[name]
    return node


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
