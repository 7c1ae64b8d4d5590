"""The verb that hands networks to other programs: export."""

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
        typer.Argument(metavar="[MODEL]", help="A model's folder.  [default: the network of the package]"),
    ] = None,
    kind: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.ONNX,
) -> None:
    """Write a model's network for other programs, and check it against PyTorch."""
    from sereno.workflow.export import export_network
    from sereno.workflow.models import load

    if model is not None and str(model) in METHODS and not model.exists():
        raise InputError(f"{model}: give the folder of a model, or leave it out for the network of the package")
    network = None if model is None else load(model)
    with sole_writer(output):
        difference = export_network(network, output, kind=kind.value)
    typer.echo(f"wrote {output}: differs from PyTorch by {difference:.1e} at most")
