"""The speed of the U-Net by what runs it: PyTorch, ONNX Runtime, OpenVINO, on one core each.

Usage: ``python benchmarks/engines.py [--side 448] [--rounds 7]``. The network of the package is run on one tile of
random inputs, by all in turn, so that a busy machine is slow for each. Printed are the median of the processor
seconds and the ratio to PyTorch as `fill` runs it in float32; differences are to its output. Needs the extras onnx
and openvino.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import dask
import numpy as np
import onnxruntime
import torch

from sereno.config import UNet
from sereno.nets.engines import with_openvino, with_torch
from sereno.nets.onnx_openvino import examples
from sereno.reconstruct.unet.method import UNetReconstructor
from sereno.workflow.export import export_network

Run = Callable[[], np.ndarray]


def engines(side: int) -> dict[str, Run]:
    """Return what runs the network of the package on one tile, by name; each returns the mean."""
    portable = UNetReconstructor.portable(UNet(), None)
    sizes = {"batch": 1, "lat": side, "lon": side}
    inputs = [tensor[0].numpy() for tensor in examples(portable.inputs, sizes)]
    eager = with_torch(portable.network, torch.float32)
    others = {
        "PyTorch, bfloat16": with_torch(portable.network, torch.bfloat16),
        "OpenVINO": with_openvino(portable.network, torch.float32, examples(portable.inputs)),
        "OpenVINO, bfloat16": with_openvino(portable.network, torch.bfloat16, examples(portable.inputs)),
    }
    with TemporaryDirectory() as folder:
        export_network(None, path := Path(folder, "unet.onnx"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options)
    batch = {each.name: part[None] for each, part in zip(portable.inputs, inputs, strict=True)}
    return {
        "PyTorch, float32": lambda: eager(*inputs)[0],
        **{name: lambda run=run: run(*inputs)[0] for name, run in others.items()},
        "ONNX Runtime": lambda: session.run(None, batch)[0][0],
    }


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=448, help="cells of the tile, each way")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    dask.config.set(num_workers=1)
    runs = engines(arguments.side)
    outputs = {name: run() for name, run in runs.items()}  # the first is slower
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(arguments.rounds):
        for name, run in runs.items():
            started = time.process_time()
            run()
            seconds[name].append(time.process_time() - started)
    reference = "PyTorch, float32"
    print(f"one tile of {arguments.side} × {arguments.side} cells, medians of {arguments.rounds} rounds\n")
    print("| engine | processor seconds | times as fast | largest difference |")
    print("| --- | --- | --- | --- |")
    for name, each in seconds.items():
        ratio = np.median(np.divide(seconds[reference], each))
        difference = np.abs(outputs[name] - outputs[reference]).max()
        print(f"| {name} | {np.median(each):.2f} | {ratio:.2f} | {difference:.1e} |")


if __name__ == "__main__":
    main()
