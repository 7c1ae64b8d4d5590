"""A fitted method, and saving and loading it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import xarray as xr

from sereno.config import RunConfig, as_mapping, parse_config
from sereno.cube import Period
from sereno.errors import InputError, file_edge
from sereno.io.models.model_folder import ModelDescription, load_model, save_model
from sereno.methods import METHODS, Method, Reconstructor, method_named, own_method
from sereno.progress import Progress
from sereno.reconstruct.anomaly import AnomalyReconstructor
from sereno.workflow.bare_networks import BareNetwork

_BARE = "network"


@dataclass(frozen=True, repr=False)
class Model:
    """A fitted method and the record of its fit; `fit` makes it, `load` reads it.

    Attributes
    ----------
    reconstructor
        The method with its climatology and calibration.
    description
        What it was fitted on, by which version and settings.
    """

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

    @property
    def calibrated_for_nrt(self) -> bool:
        """Whether its standard deviation is calibrated for near real time; false for models of the first versions."""
        return self.reconstructor.near_real_time is not None

    def fill(
        self,
        cube: xr.Dataset,
        *,
        days: Period | None = None,
        nrt: bool = False,
        keep_observed: bool = False,
        progress: Progress | bool = False,
    ) -> xr.Dataset:
        """Reconstruct days of a cube without gaps: see `sereno.fill`."""
        from sereno.workflow.fill import fill  # which needs this module

        return fill(cube, self, days=days, nrt=nrt, keep_observed=keep_observed, progress=progress)

    def save(self, folder: str | Path) -> Path:
        """Save as a folder: see `sereno.save`."""
        return save(self, folder)

    def __repr__(self) -> str:
        made = self.description
        cells = f"{len(made.lat)} × {len(made.lon)} cells, " if made.lat else ""
        return f"<sereno.Model {self.name}: {made.field} in {made.units}, {cells}fitted on {made.training_period}>"


def save(model: Model | BareNetwork, folder: str | Path) -> Path:
    """Save a model, or a bare network, as a folder; an older model of that name is replaced in one step.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InputError
        If it is no model, the parent folder is missing, or something else exists.

    Examples
    --------
    >>> import sereno, tempfile
    >>> from sereno.synthetic import TwinSeaConfig, twin_sea
    >>> model = sereno.fit(twin_sea(TwinSeaConfig(days=40, shape=(24, 32))), "climatology")
    >>> folder = sereno.save(model, tempfile.mkdtemp() + "/model")
    >>> sereno.load(folder).name
    'climatology'
    """
    if isinstance(model, Model):
        return save_model(folder, model.reconstructor.state(), model.description)
    if not isinstance(model, BareNetwork):
        raise InputError(f"`model`: give what fit or load returned (got {type(model).__name__})")
    origin = {"weights_from": model.origin, "weights_period": model.period}
    description = ModelDescription.of_network(as_mapping(model.config), **origin)
    return save_model(folder, replace(model.state, values={_BARE: model.state.values}), description)


def load(folder: str | Path, method: type[Reconstructor[Any]] | None = None) -> Model | BareNetwork:
    """Load a model, or a bare network, saved by `save`.

    Parameters
    ----------
    folder
        The folder.
    method
        The class of a method of your own that no package has registered.

    Raises
    ------
    InputError
        If the folder is not a model, or is damaged, or its method is not known.

    Examples
    --------
    >>> import sereno, tempfile
    >>> from sereno.synthetic import TwinSeaConfig, twin_sea
    >>> cube = twin_sea(TwinSeaConfig(days=40, shape=(24, 32)))
    >>> folder = sereno.fit(cube, "climatology").save(tempfile.mkdtemp() + "/model")
    >>> sereno.load(folder)
    <sereno.Model climatology: sst in kelvin, 24 × 32 cells, fitted on 2019-01-01:2019-02-09>
    """
    saved = _Saved(folder, None if method is None else own_method(method))
    state, description = load_model(folder, weights=saved.weights)
    config, row = saved.configuration(description), saved.row(description)
    with file_edge(folder, "it is damaged, or lacks something this version needs; fit it again"):
        if _BARE in state.values:
            trained = replace(state, values=state.values[_BARE])
            row.network().portable(config.model, trained)  # refused now, if it must be
            return BareNetwork(config, trained, description.weights_from, description.weights_period)
        return Model(AnomalyReconstructor.from_state(config, state, method=row.load()), description)


@dataclass(frozen=True)
class _Saved:
    """What the description in a model's folder means; `own` is a method of your own that no package registered."""

    folder: str | Path
    own: Method | None

    def row(self, description: ModelDescription) -> Method:
        """Return what the model's method can do."""
        if self.own is None or description.method in METHODS:
            try:
                return method_named(description.method)
            except InputError as error:
                remedy = "of a method of your own give the class to load, or install the package that registers it"
                raise InputError(f"{self.folder}: {error}; {remedy}") from None
        if self.own.name != description.method:
            raise InputError(f"{self.folder}: is of the method {description.method!r}, not of {self.own.name!r}")
        return self.own

    def configuration(self, description: ModelDescription) -> RunConfig:
        """Return the configuration that the model was fitted with."""
        model = description.config["model"]
        if description.method == "unet" and "network" not in model:  # of a version that had no other
            model = model | {"network": "central-day"}
        origin = f"{self.folder}: configuration of the model"
        settings = self.row(description).own_settings
        return parse_config(description.config | {"model": model}, origin=origin, settings=settings)

    def weights(self, description: ModelDescription) -> dict[str, tuple[int, ...]] | None:
        """Return the shapes of the weights that the model must have; None where its method says nothing of them."""
        model, row = self.configuration(description).model, self.row(description)
        if model.method != description.method:
            reason = f"it is of {description.method}, its configuration of {model.method}"
            raise InputError(f"{self.folder}: damaged, {reason}")
        if row.own_settings is not None:
            return None
        return dict(row.network().weights(model)) if row.is_network else {}
