"""The use cases as plain functions: fit, fill, and saving and loading a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sereno.climatology import DAYS_PER_YEAR, HARMONIC_YEARS
from sereno.config import RunConfig, as_mapping, configure, configure_at_once, parse_config, to_toml
from sereno.cube import OBSERVED, field_name, field_of, select_period, span, validate
from sereno.errors import InputError, file_edge
from sereno.gaps.withholding import visible_part
from sereno.io.inputs.static_maps import climatology_table
from sereno.io.models.model_folder import ModelDescription, check_fits, load_model, save_model
from sereno.io.outputs.level4 import Product, SstType
from sereno.methods import QUICK_METHODS, TRAINED_METHODS, Progress, method_class, silent
from sereno.reconstruct.anomaly import AnomalyReconstructor
from sereno.workflow.bare_networks import BareNetwork

_BARE = "network"
TRAINING_YEARS = 2.0
"""A method fitted on the fly for scoring keeps to the days before the scored ones where there are so many years."""
SEASON_DAYS = HARMONIC_YEARS[0] * DAYS_PER_YEAR
"""Days below which a record tells no seasonal cycle."""
KNOWN_CELLS = (1 / 24, 1 / 4)
"""Degrees of the cells of the seas that the weights of the package were trained on."""


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


def fit(
    cube: xr.Dataset,
    config: RunConfig | str,
    *,
    folder: Path | None = None,
    resume: bool = False,
    trained: BareNetwork | None = None,
    nrt: bool | None = None,
    progress: Progress = silent,
) -> Model:
    """Train or tune a method on a cube.

    Parameters
    ----------
    cube
        A valid cube. Only its field (and the field's error) within ``config.train`` and ``config.valid`` is seen;
        variables for scoring never are.
    config
        A configuration, or the name of a method for its defaults.
    folder
        Where a network keeps its checkpoints and losses.
    resume
        Continue from the checkpoints in `folder`.
    trained
        A network trained elsewhere: only climatology and uncertainty are fitted.
    nrt
        The mode that the model is to be used in alone, near real time or not: calibrating for it takes half as long
        as for both.

    Raises
    ------
    InputError
        If the periods overlap or lie closer than a window, or hold no observations.

    Examples
    --------
    >>> import sereno
    >>> from sereno.synthetic import TwinSeaConfig, twin_sea
    >>> cube = twin_sea(TwinSeaConfig(days=40, shape=(24, 32)))
    >>> model = sereno.fit(cube, "linear")
    >>> analysis = sereno.fill(cube, model, days="2019-01-20")
    >>> bool(analysis["mean"].where(cube["water"], 0).notnull().all())
    True
    """
    config = configure(config) if isinstance(config, str) else config
    validate(cube)
    seen = visible_part(cube)
    train, valid = _periods(seen, config)
    for part, period in ((train, "training"), (valid, "validation")):
        if part is not None and not bool((field_of(part).notnull() & part["water"]).any()):
            raise InputError(f"the {period} period {span(part)} holds no observation")
    table = climatology_table(config.climatology, cube)
    training: dict[str, Any] = {}
    if config.model.method in TRAINED_METHODS:
        training = {"folder": folder, "resume": resume, "max_minutes": config.max_minutes}
    if trained is not None:
        training["trained"] = trained.state
    reconstructor = AnomalyReconstructor.fit(
        train, config, valid=valid, seed=config.seed, nrt=nrt, progress=progress, table=table, **training
    )
    description = ModelDescription.of(train, as_mapping(config), seed=config.seed, grid_bound=True)
    if trained is not None:
        description = replace(description, weights_from=trained.origin, weights_period=trained.period)
    return Model(reconstructor, description)


def fill(
    cube: xr.Dataset,
    model: Model | BareNetwork | RunConfig | str,
    *,
    days: str | None = None,
    nrt: bool = False,
    keep_observed: bool = False,
    progress: Progress = silent,
) -> xr.Dataset:
    """Reconstruct days without gaps.

    Parameters
    ----------
    cube
        A valid cube of the model's grid.
    model
        A fitted model, or the name or the configuration of a method that is cheap enough to be fitted on `cube`
        itself, or a bare network, whose climatology and uncertainty are fitted there.
    days
        Period ``A:B`` to reconstruct; every day of the cube where not given.
    nrt
        Near real time: no day sees what came after it. A method given by name is fitted on the days up to the first.
    keep_observed
        Leave observed pixels exactly as they were observed, with the observations' own standard deviation.

    Returns
    -------
    xr.Dataset
        The analysis: ``mean`` and ``std`` (finite on all water, NaN on land), ``source``, ``climatology`` and
        ``water``; lazy, a block of days at a time.

    Raises
    ------
    InputError
        If the model does not fit the cube, or the cube has no day in the period.
    """
    model = model_for(cube, model, days=days, nrt=nrt, progress=progress)
    return fill_days(cube, model, select_period(cube, days)["time"].values, nrt=nrt, keep_observed=keep_observed)


def fill_days(
    cube: xr.Dataset, model: Model, wanted: np.ndarray, *, nrt: bool = False, keep_observed: bool = False
) -> xr.Dataset:
    """Reconstruct chosen days of a cube, ascending, by a fitted model; see `fill`."""
    check_fits(model.description, cube)
    seen = visible_part(cube)
    if nrt:
        made = model.reconstructor
        each = [made.reconstruct(seen.sel(time=slice(None, day)), np.array([day]), nrt=True) for day in wanted]
        analysis = xr.concat(each, "time", data_vars="minimal", coords="minimal", compat="override", join="override")
    else:
        analysis = model.reconstructor.reconstruct(seen, wanted)
    if keep_observed:
        analysis = _keep_observed(analysis, seen, model)
    analysis.attrs["field"] = field_name(cube)
    return analysis


def model_for(
    cube: xr.Dataset,
    method: Model | BareNetwork | RunConfig | str,
    *,
    days: str | None = None,
    nrt: bool = False,
    progress: Progress = silent,
) -> Model:
    """Return the model to fill `days` with: the one given, or one fitted on the cube by a method's name.

    In near real time it is fitted on the days up to the first one to be filled.
    """
    validate(cube)
    first = select_period(cube, days)["time"].values[0]  # before minutes are spent on a fit
    if not nrt or isinstance(method, Model):
        return resolve(cube, method, nrt=nrt, progress=progress)
    known = cube.sel(time=slice(None, first))
    config = settings_of(configure_at_once(method) if isinstance(method, str) else method)
    needed, name = config.model.window, config.model.method
    if known.sizes["time"] < needed:
        raise InputError(
            f"near real time: {name} would be fitted on the days up to {span(known)[-10:]}, "
            f"too few to tell its uncertainty; {_later(cube, needed)} or give a fitted model"
        )
    return resolve(known, method, nrt=True, progress=progress)


def settings_of(method: Model | BareNetwork | RunConfig) -> RunConfig:
    """Return the configuration of what `-m` can stand for."""
    return method if isinstance(method, RunConfig) else method.config


def cautions(cube: xr.Dataset, config: RunConfig) -> list[str]:
    """Return what to beware of when a method is fitted on a cube: a short record, cells of another size."""
    found, days = [], select_period(cube, config.train).sizes["time"]
    if config.climatology.file is None and days < SEASON_DAYS:
        found.append(
            f"{days} days tell no seasonal cycle: the climatology is no more than their mean; better a longer "
            "record, or climatology.file in a run file"
        )
    if getattr(config.model, "weights", "fresh") != "fresh":
        steps = [float(np.median(np.diff(cube[dim]))) for dim in ("lat", "lon") if cube.sizes[dim] > 1]
        if not all(KNOWN_CELLS[0] <= step * 1.01 and step <= KNOWN_CELLS[1] * 1.01 for step in steps):
            told = " × ".join(f"{step:.4g}°" for step in steps)
            found.append(
                f"cells of {told}: the network of the package was trained on cells of 1/24° to 1/4°; compare it with "
                "oi-grid by sereno evaluate"
            )
    return found


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


def _later(cube: xr.Dataset, needed: int) -> str:
    """Say from which day on a cube has as many days as are needed."""
    days = cube["time"].values
    if len(days) < needed:
        return f"give {needed} days of input,"
    return f"fill days from {str(days[needed - 1])[:10]} on,"


def product_of(cube: xr.Dataset, model: Model, *, nrt: bool = False, keep_observed: bool = False) -> Product:
    """Return what an output file says of the input, of the model, and of how `fill` used it."""
    kind: SstType = cube.attrs.get("sst_type") or "unknown"
    institution = cube.attrs.get("institution")
    return Product(
        sst_type=kind,
        model=model.description.summary() | {"nrt": nrt, "keep_observed": keep_observed},
        config=to_toml(model.config),
        attributes={"institution": institution} if institution else {},
    )


def resolve(
    cube: xr.Dataset,
    method: Model | BareNetwork | RunConfig | str,
    *,
    before: np.datetime64 | None = None,
    nrt: bool,
    progress: Progress,
) -> Model:
    """Return a model as it is; fit a method given by name or configuration, on days `before` where these suffice.

    It is calibrated for the mode that is asked for. A bare network is completed in the same way.
    """
    if isinstance(method, Model):
        return method
    if isinstance(method, str):
        if method not in QUICK_METHODS:
            raise InputError(f"{method} needs training: run sereno fit -m {method} first and give the model's folder")
        config = configure_at_once(method)
    else:
        config = method.config if isinstance(method, BareNetwork) else method
    if before is not None and config.train is None:
        gap = np.timedelta64(config.model.window, "D")
        years = (before - gap - cube["time"].values[0]) / np.timedelta64(365, "D")
        if years >= TRAINING_YEARS:
            config = replace(config, train=f":{str(before - gap)[:10]}")
    trained = method if isinstance(method, BareNetwork) else None
    return fit(cube, config, trained=trained, nrt=nrt, progress=progress)


def _periods(cube: xr.Dataset, config: RunConfig) -> tuple[xr.Dataset, xr.Dataset | None]:
    """Cut out the training and the validation period, and refuse a pair that leaks."""
    train = select_period(cube, config.train)
    if config.valid is None:
        return train, None
    valid = select_period(cube, config.valid)
    first, last = (part["time"].values for part in (train, valid))
    gap = max(last[0] - first[-1], first[0] - last[-1]) / np.timedelta64(1, "D")
    if gap <= config.model.window:
        raise InputError(
            f"training {span(train)} and validation {span(valid)} must keep more than the window of "
            f"{config.model.window} days apart, else the same images serve both; move one of them"
        )
    return train, valid


def _keep_observed(analysis: xr.Dataset, cube: xr.Dataset, model: Model) -> xr.Dataset:
    """Put the observations back where there are any, with their own standard deviation."""
    name = field_name(cube)
    observed = (analysis["source"] == OBSERVED) & cube["water"]
    at = {"time": analysis["time"]}
    error: Any = float(np.sqrt(model.reconstructor.noise_variance)) or analysis["std"]
    if f"{name}_error" in cube:
        told = cube[f"{name}_error"].sel(at)
        error = told.where(told > 0, error)
    mean = cube[name].sel(at).where(observed, analysis["mean"]).astype("float32")
    std = xr.where(observed, error, analysis["std"]).astype("float32").transpose(*analysis["mean"].dims)
    chunks = analysis["mean"].chunksizes
    kept = {"mean": mean.chunk(chunks), "std": std.chunk(chunks)}
    return analysis.assign({n: v.assign_attrs(analysis[n].attrs) for n, v in kept.items()})
