"""The verb that writes networks for other programs: export."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from sereno.cli.options import app
from sereno.cli.progress import sole_writer
from sereno.errors import InputError
from sereno.methods import METHODS


class Format(Enum):
    """What `export` writes."""

    ONNX = "onnx"
    OPENVINO = "openvino"


@app.command(epilog="Example: `sereno export model -o model.onnx`")
def export(
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write: .onnx, or .xml for openvino.")],
    model: Annotated[
        Path | None,
        typer.Argument(metavar="[MODEL]", help="Folder of a model.  [default: the pre-trained network]"),
    ] = None,
    kind: Annotated[Format, typer.Option("--format", help="Format of the file.")] = Format.ONNX,
) -> None:
    """Write the network of a model for other programs, and check it against PyTorch."""
    from sereno.workflow.export import export_network
    from sereno.workflow.models import load

    if model is not None and str(model) in METHODS and not model.exists():
        raise InputError(f"{model}: give the folder of a model, or leave it out for the pre-trained network")
    network = None if model is None else load(model)
    with sole_writer(output):
        difference = export_network(network, output, kind=kind.value)
    typer.echo(f"wrote {output}: differs from PyTorch by {difference:.1e} at most")
