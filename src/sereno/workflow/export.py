"""Export of networks: the network of a model or the pre-trained one, as a file that other programs can run."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sereno.config import UNet, configure_at_once, to_toml
from sereno.errors import InputError
from sereno.io.models.model_folder import PACKAGED
from sereno.io.outputs.atomic import atomic_files
from sereno.methods import METHODS, State, method_named
from sereno.workflow.bare_networks import BareNetwork
from sereno.workflow.models import Model

if TYPE_CHECKING:
    from sereno.config import RunConfig

SUFFIXES = {"onnx": ".onnx", "openvino": ".xml"}
"""How the file of each format is called; OpenVINO's weights lie next to it, as ``.bin``."""


def export_network(
    model: Model | BareNetwork | None, output: str | Path, *, kind: Literal["onnx", "openvino"] = "onnx"
) -> float:
    """Write a model's network for other programs, and compare it with PyTorch's on random inputs of another size.

    Parameters
    ----------
    model
        A model of a network; that of the package where None.
    output
        The file, by the suffix of its format (`SUFFIXES`). Batch, latitude and longitude are of any size; its
        metadata hold method, window, channels, configuration, version, and what the weights were trained on.
    kind
        The format.

    Returns
    -------
    float
        The largest difference of the outputs.

    Raises
    ------
    InputError
        If the model has no network, the format cannot express it, or what writes the format is not installed.
    """
    output = Path(output)
    if output.suffix != SUFFIXES[kind]:
        others = ", ".join(name for name, suffix in SUFFIXES.items() if suffix == output.suffix)
        advice = f", or give `kind` {others}" if others else ""
        raise InputError(f"`output` {output}: {kind} files end in {SUFFIXES[kind]}; rename it{advice}")
    if output.is_dir():
        raise InputError(f"`output` {output}: it is a folder; choose another name")
    if not output.resolve().parent.is_dir():
        raise InputError(f"`output` {output}: there is no folder {output.parent}; make it first")
    config, state, weights = _source(model)
    row = method_named(config.model.method)
    if not row.is_network:
        able = ", ".join(name for name, one in METHODS.items() if one.is_network)
        raise InputError(f"{row.name} has no network to export; {able} have")
    about = {
        "sereno_version": version("sereno"),
        "method": config.model.method,
        "window": str(config.model.window),
        "weights_from": weights,
        "config": to_toml(config),
    }
    portable = row.network().portable(config.model, state)
    with atomic_files(output.parent, output=output.name) as folder:
        difference: float = portable.write(folder / output.name, kind, about)
    return difference


def _source(model: Model | BareNetwork | None) -> tuple[RunConfig, State | None, str]:
    """Return the configuration, the state of the method, and what the weights were trained on."""
    if model is None:
        return configure_at_once(UNet().method), None, PACKAGED
    if isinstance(model, BareNetwork):
        return model.config, model.state, model.origin
    trained_on = model.description.weights_from or model.description.training_period
    return model.config, model.reconstructor.inner.state(), trained_on
