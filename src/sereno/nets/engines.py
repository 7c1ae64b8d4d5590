"""What runs a trained network: PyTorch, on the graphics card where there is one, or OpenVINO on the processor."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from threading import Lock
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from sereno.compute.cores import cores
from sereno.config import ConvLSTMUNet, UNet
from sereno.errors import InputError
from sereno.nets.precision import computing, device

Engine = Callable[..., tuple[np.ndarray, ...]]
"""Takes the inputs of a network and returns its outputs, all without the axis of the batch."""
SMALLEST_MAP = 2**16
"""Cells of a map below which OpenVINO does not earn the seconds back that it takes to start."""


def engine_for(config: UNet, cells: int) -> Literal["torch", "openvino"]:
    """Return what a network is to be run with on maps of this many cells.

    Raises
    ------
    InputError
        If the configuration asks for OpenVINO, and it is not installed.
    """
    installed = find_spec("openvino") is not None
    if config.engine == "openvino" and not installed:
        raise InputError(
            'model.engine = "openvino": OpenVINO is not installed; pip install "sereno[openvino]", or set '
            'model.engine to "auto"'
        )
    if config.engine != "auto":
        return config.engine
    useful = cells >= SMALLEST_MAP and device() == "cpu" and not isinstance(config, ConvLSTMUNet)
    return "openvino" if installed and useful else "torch"


def with_torch(network: nn.Module, dtype: torch.dtype) -> Engine:
    """Run a network by PyTorch."""
    place = device()
    network = network.to(place)

    def run(*inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        tensors = [torch.from_numpy(np.ascontiguousarray(part))[None].to(place) for part in inputs]
        with computing(dtype):
            outputs = network(*tensors)
        return tuple(output[0].cpu().numpy() for output in outputs)

    return run


def with_openvino(network: nn.Module, dtype: torch.dtype, example: tuple[Tensor, ...]) -> Engine:
    """Run a network by OpenVINO on all cores, for one caller at a time: so its memory is needed once.

    Parameters
    ----------
    example
        Inputs of the network, of any size.
    """
    openvino = importlib.import_module("openvino")
    settings = {
        # Of itself OpenVINO takes bfloat16 or float16 where the processor has it.
        "INFERENCE_PRECISION_HINT": "bf16" if dtype == torch.bfloat16 else "f32",
        "EXECUTION_MODE_HINT": "PERFORMANCE" if dtype == torch.bfloat16 else "ACCURACY",
        "INFERENCE_NUM_THREADS": cores(),
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # processes side by side would all be pinned to the same cores
    }
    compiled = openvino.Core().compile_model(openvino_model(network, example), "CPU", settings)
    request, lock = compiled.create_infer_request(), Lock()

    def run(*inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        with lock:
            request.infer([np.ascontiguousarray(part)[None] for part in inputs])
            return tuple(request.get_output_tensor(k).data[0].copy() for k in range(len(compiled.outputs)))

    return run


def openvino_model(network: nn.Module, example: tuple[Tensor, ...]) -> Any:  # noqa: ANN401  # openvino.Model
    """Return a network as OpenVINO has it, for inputs of any size."""
    decoder = importlib.import_module("openvino.frontend.pytorch.ts_decoder")
    frontend = importlib.import_module("openvino.frontend").FrontEndManager().load_by_framework("pytorch")
    with warnings.catch_warnings():  # of what tracing takes for constant, and is
        warnings.simplefilter("ignore")
        traced = decoder.TorchScriptPythonDecoder(network.cpu(), example_input=example)
        return frontend.convert(frontend.load(traced))
