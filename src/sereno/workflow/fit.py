"""Fit a method on a cube, or take what is fitted already."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sereno.climatology import DAYS_PER_YEAR, HARMONIC_YEARS
from sereno.config import RunConfig, as_mapping, configure, configure_at_once
from sereno.cube import field_of, select_period, span, validate
from sereno.errors import InputError
from sereno.gaps.hiding import visible_part
from sereno.io.inputs.static_maps import climatology_table
from sereno.io.models.model_folder import ModelDescription
from sereno.methods import QUICK_METHODS, TRAINED_METHODS
from sereno.progress import Progress, silent
from sereno.reconstruct.anomaly import AnomalyReconstructor
from sereno.workflow.bare_networks import BareNetwork
from sereno.workflow.models import Model, settings_of

TRAINING_YEARS = 2.0
"""A method fitted on the fly for scoring keeps to the days before the scored ones where there are so many years."""
SEASON_DAYS = HARMONIC_YEARS[0] * DAYS_PER_YEAR
"""Days below which a record tells no seasonal cycle."""
KNOWN_CELLS = (1 / 24, 1 / 4)
"""Degrees of the cells of the seas that the weights of the package were trained on."""


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


def _later(cube: xr.Dataset, needed: int) -> str:
    """Say from which day on a cube has as many days as are needed."""
    days = cube["time"].values
    if len(days) < needed:
        return f"give {needed} days of input,"
    return f"fill days from {str(days[needed - 1])[:10]} on,"


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
