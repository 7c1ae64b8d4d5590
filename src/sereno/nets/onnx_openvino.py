"""Networks for other programs: as ONNX or for OpenVINO, checked against PyTorch."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from sereno.errors import InputError
from sereno.nets.convlstm import ConvLSTM
from sereno.nets.engines import openvino_model

Format = Literal["onnx", "openvino"]
NEEDED = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("openvino",)}
"""Packages of the extra that each format needs."""
LARGEST_DIFFERENCE = 1e-3
"""Between the outputs of the written network and PyTorch's, which are of the order of 1."""
TRACED, CHECKED = {"batch": 2, "lat": 32, "lon": 48}, {"batch": 3, "lat": 37, "lon": 53}
"""Sizes that a network is traced with, and others that it is checked on."""


class Input(NamedTuple):
    """An input of a network: its dims, a number where the size is fixed; whether it is a mask, or has gaps (NaN)."""

    name: str
    dims: tuple[str | int, ...]
    mask: bool = False
    gaps: bool = False

    def example(self, sizes: Mapping[str, int], generator: torch.Generator) -> Tensor:
        """Return random values."""
        shape = [dim if isinstance(dim, int) else sizes[dim] for dim in self.dims]
        share = torch.rand(shape, generator=generator)
        if self.mask:
            return share < 0.9
        values = torch.randn(shape, generator=generator)
        return values.where(share < 0.4, torch.nan) if self.gaps else values


def examples(inputs: Sequence[Input], sizes: Mapping[str, int] = TRACED) -> tuple[Tensor, ...]:
    """Return random inputs of a network, the same each time."""
    generator = torch.Generator().manual_seed(0)
    return tuple(each.example(sizes, generator) for each in inputs)


@dataclass(frozen=True, eq=False)
class Portable:
    """A network with the description that another program needs.

    Attributes
    ----------
    network
        In evaluation mode, on the processor.
    inputs
        What it takes.
    outputs
        Names of what it returns.
    about
        What is written into the file next to the network.
    """

    network: nn.Module
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    about: dict[str, str]

    def write(self, path: Path, kind: Format, about: Mapping[str, str]) -> float:
        """Write the network, and return by how much its outputs differ at most from those of PyTorch.

        Raises
        ------
        InputError
            If the packages that this needs are not installed, or the format cannot express the network.
        """
        if missing := [name for name in NEEDED[kind] if find_spec(name) is None]:
            raise InputError(f'{kind} needs {", ".join(missing)}: pip install "sereno[{kind}]"')
        if kind == "openvino" and any(isinstance(module, ConvLSTM) for module in self.network.modules()):
            raise InputError("OpenVINO cannot trace a ConvLSTM; export it as ONNX, which OpenVINO reads as well")
        written = self._write_onnx if kind == "onnx" else self._write_openvino
        inputs = examples(self.inputs, CHECKED)
        with torch.no_grad():
            written(path, {**self.about, **about})
            expected = self.network(*inputs)
        expected = expected if isinstance(expected, tuple) else (expected,)
        given = {each.name: tensor.numpy() for each, tensor in zip(self.inputs, inputs, strict=True)}
        outputs = (_by_onnxruntime if kind == "onnx" else _by_openvino)(path, given)
        difference = max(float(np.abs(a - b.numpy()).max()) for a, b in zip(outputs, expected, strict=True))
        if not difference < LARGEST_DIFFERENCE:
            raise InputError(f"the {kind} network differs from PyTorch's by {difference:.2g}; it was not written")
        return difference

    def _write_onnx(self, path: Path, about: Mapping[str, str]) -> None:
        onnx = importlib.import_module("onnx")
        free = [{axis: dim for axis, dim in enumerate(each.dims) if isinstance(dim, str)} for each in self.inputs]
        with _quiet():
            program = torch.onnx.export(
                self.network,
                examples(self.inputs),
                dynamo=True,
                dynamic_shapes=tuple(free),
                input_names=[each.name for each in self.inputs],
                output_names=list(self.outputs),
                verbose=False,
            )
        assert program is not None
        model = program.model_proto
        for output in model.graph.output:  # whose names of dims say how they were derived
            dims = output.type.tensor_type.shape.dim
            for name, dim in zip(("batch", "lat", "lon"), (dims[0], *dims[-2:]), strict=True):
                dim.dim_param = name
        onnx.helper.set_model_props(model, dict(about))
        onnx.save(model, path, format="protobuf")

    def _write_openvino(self, path: Path, about: Mapping[str, str]) -> None:
        openvino = importlib.import_module("openvino")
        model: Any = openvino_model(self.network, examples(self.inputs))
        shapes = {each.name: [dim if isinstance(dim, int) else -1 for dim in each.dims] for each in self.inputs}
        for each, entry in zip(self.inputs, model.inputs, strict=True):
            entry.tensor.set_names({each.name})
        model.reshape(shapes)
        for name, output in zip(self.outputs, model.outputs, strict=True):
            output.tensor.set_names({name})
        for key, text in about.items():
            model.set_rt_info(text, ["sereno", key])
        openvino.save_model(model, path, compress_to_fp16=False)


def _by_onnxruntime(path: Path, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    runtime: Any = importlib.import_module("onnxruntime")
    outputs: list[np.ndarray] = runtime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, inputs)
    return outputs


def _by_openvino(path: Path, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    openvino = importlib.import_module("openvino")
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    outputs: dict[Any, np.ndarray] = openvino.Core().compile_model(path, "CPU", exact)(inputs)
    return list(outputs.values())


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what the exporter says about itself."""
    before = logging.root.manager.disable
    logging.disable(max(before, logging.WARNING))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
