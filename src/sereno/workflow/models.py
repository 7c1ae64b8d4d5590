"""The use cases as plain functions: fit, fill, and saving and loading a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sereno.config import RunConfig, as_mapping, parse_config
from sereno.errors import InputError, file_edge
from sereno.io.models.model_folder import ModelDescription, load_model, save_model
from sereno.methods import TRAINED_METHODS, method_class
from sereno.reconstruct.anomaly import AnomalyReconstructor
from sereno.workflow.bare_networks import BareNetwork

_BARE = "network"


@dataclass(frozen=True)
class Model:
    """A fitted method and what is known of its making."""

    reconstructor: AnomalyReconstructor
    description: ModelDescription

    @property
    def name(self) -> str:
        """The method's name."""
        return self.description.method

    @property
    def config(self) -> RunConfig:
        """The resolved configuration it was fitted with."""
        return self.reconstructor.config


def settings_of(method: Model | BareNetwork | RunConfig) -> RunConfig:
    """Return the configuration of what `-m` can stand for."""
    return method if isinstance(method, RunConfig) else method.config


def save(model: Model | BareNetwork, folder: str | Path) -> Path:
    """Save a model, or a bare network, as a folder."""
    if isinstance(model, Model):
        return save_model(folder, model.reconstructor.state(), model.description)
    told = {"weights_from": model.origin, "weights_period": model.period}
    description = ModelDescription.of_network(as_mapping(model.config), **told)
    return save_model(folder, replace(model.state, values={_BARE: model.state.values}), description)


def load(folder: str | Path) -> Model | BareNetwork:
    """Load a model, or a bare network, saved by `save`.

    Raises
    ------
    InputError
        If the folder is not a model, or a damaged one.
    """

    def configuration(description: ModelDescription) -> RunConfig:
        model = description.config["model"]
        if description.method == "unet" and "network" not in model:  # of a version that knew no other
            model = model | {"network": "central-day"}
        return parse_config(description.config | {"model": model}, origin=f"{folder}: configuration of the model")

    def weights(description: ModelDescription) -> dict[str, tuple[int, ...]]:
        model = configuration(description).model
        if model.method != description.method:
            raise InputError(f"{folder}: damaged, it is of {description.method}, its configuration of {model.method}")
        networks: Any = method_class(model.method)
        return dict(networks.weights(model)) if model.method in TRAINED_METHODS else {}

    state, description = load_model(folder, weights=weights)
    config = configuration(description)
    with file_edge(folder, "it is damaged, or lacks something this version needs; fit it anew"):
        if _BARE in state.values:
            network: Any = method_class(config.model.method)
            trained = replace(state, values=state.values[_BARE])
            network.portable(config.model, trained)  # refused now, if it must be
            return BareNetwork(config, trained, description.weights_from, description.weights_period)
        return Model(AnomalyReconstructor.from_state(config, state), description)
