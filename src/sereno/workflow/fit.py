"""Fit a method on a cube, or take a fitted one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sereno.climatology import DAYS_PER_YEAR, HARMONIC_YEARS
from sereno.config import ClimatologyConfig, RunConfig, as_mapping
from sereno.cube import Period, field_of, period_text, select_period, span, validate
from sereno.errors import InputError
from sereno.gaps.hiding import visible_part
from sereno.io.inputs.static_maps import climatology_table
from sereno.io.models.model_folder import ModelDescription
from sereno.progress import Progress, reporter, silent
from sereno.reconstruct.anomaly import AnomalyReconstructor
from sereno.workflow.choices import AnyMethod, Choice, Unfitted, choice_of, settings_of
from sereno.workflow.models import Model

TRAINING_YEARS = 2.0
"""A method that is fitted for scoring uses only the days before the scored ones where these make this many years."""
SEASON_DAYS = HARMONIC_YEARS[0] * DAYS_PER_YEAR
"""Days below which a record shows no seasonal cycle."""
KNOWN_CELLS = (1 / 24, 1 / 4)
"""Degrees of the cells of the seas that the pre-trained weights were trained on."""


def fit(
    cube: xr.Dataset,
    method: Unfitted,
    *,
    train: Period | None = None,
    valid: Period | None = None,
    seed: int | None = None,
    climatology: ClimatologyConfig | None = None,
    calibration_days: int | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    max_minutes: float | None = None,
    nrt: bool | None = None,
    progress: Progress | bool = False,
    **settings: Any,  # noqa: ANN401
) -> Model:
    """Train or tune a method on a cube.

    Parameters
    ----------
    cube
        A valid cube. Only its field (and the error of the field) within `train` and `valid` is used, and never the
        variables for scoring.
    method
        The name of a method; or its settings, such as ``OptimalInterpolation(window=11)``; or a class of your own
        that meets `sereno.methods.Reconstructor`; or the configuration of a whole run; or a bare network, for which
        only climatology and uncertainty are fitted.
    train
        The days to fit on: text ``A:B`` (days, months or years), a slice, or consecutive days; all where not given.
    valid
        The days to select and to calibrate on, more than the method's window apart from `train`.
    seed
        Seed of everything random, 0 where not given.
    climatology
        How the daily climatology is made.
    calibration_days
        Days, at most, that the standard deviation is calibrated on; 240 where not given.
    folder
        Where a network keeps its checkpoints and losses.
    resume
        Continue from the checkpoints in `folder`.
    max_minutes
        End the training of a network after this many minutes, with the best weights so far.
    nrt
        Calibrate only for this mode, near real time (True) or not (False), which takes half as long as both. None:
        both.
    progress
        True for bars, or a function of a stage and the fraction done.
    **settings
        Settings of a method that is given by its name or class, such as ``window=11``.

    Returns
    -------
    Model

    Raises
    ------
    InputError
        If the periods overlap or lie closer than a window, or hold no observations; if a setting is unknown or out of
        range; or if an argument is of no use to the method.

    Examples
    --------
    >>> import sereno
    >>> from sereno.synthetic import TwinSeaConfig, twin_sea
    >>> cube = twin_sea(TwinSeaConfig(days=40, shape=(24, 32)))
    >>> sereno.fit(cube, "linear", window=11, train="2019-01")
    <sereno.Model linear: sst in kelvin, 24 × 32 cells, fitted on 2019-01-01:2019-01-31>
    >>> model = sereno.fit(cube, sereno.Linear(window=11))
    >>> analysis = model.fill(cube, days="2019-01-20")
    >>> bool(analysis["mean"].where(cube["water"], 0).notnull().all())
    True
    """
    if isinstance(method, Model):
        raise InputError("`method`: the model is fitted already; use it with fill, or give a method's name")
    validate(cube)
    choice = choice_of(method, settings)
    given: dict[str, Any] = {
        "train": period_text(cube, train),
        "valid": period_text(cube, valid),
        "seed": seed,
        "climatology": climatology,
        "calibration_days": calibration_days,
        "max_minutes": max_minutes,
    }
    changed = {name: value for name, value in given.items() if value is not None}
    choice = replace(choice, config=replace(choice.config, **changed))
    of_training = {"folder": folder, "resume": resume or None, "max_minutes": max_minutes}
    _require_use(choice, [name for name, value in of_training.items() if value is not None])
    if resume and folder is None:
        raise InputError("`resume`: give the `folder` with the checkpoints, too")
    return fit_choice(cube, choice, folder=folder, resume=resume, nrt=nrt, progress=reporter(progress))


def fit_choice(
    cube: xr.Dataset,
    choice: Choice,
    *,
    folder: str | Path | None = None,
    resume: bool = False,
    nrt: bool | None = None,
    progress: Progress = silent,
) -> Model:
    """Fit what was chosen on a valid cube: see `fit`."""
    config, network = choice.config, choice.network
    seen = visible_part(cube)
    train, valid = _periods(seen, config)
    for part, period in ((train, "training"), (valid, "validation")):
        if part is not None and not bool((field_of(part).notnull() & part["water"]).any()):
            raise InputError(f"the {period} period {span(part)} holds no observation")
    table = climatology_table(config.climatology, cube)
    training: dict[str, Any] = {}
    if choice.row.is_network:
        where = None if folder is None else Path(folder)
        training = {"folder": where, "resume": resume, "max_minutes": config.max_minutes}
    if network is not None:
        training["trained"] = network.state
    reconstructor = AnomalyReconstructor.fit(
        train,
        config,
        valid=valid,
        seed=config.seed,
        nrt=nrt,
        progress=progress,
        table=table,
        method=choice.row.load(),
        **training,
    )
    description = ModelDescription.of(train, as_mapping(config), seed=config.seed, grid_bound=True)
    if network is not None:
        description = replace(description, weights_from=network.origin, weights_period=network.period)
    return Model(reconstructor, description)


def _require_use(choice: Choice, given: list[str]) -> None:
    """Refuse arguments of a training where nothing is trained."""
    if given and not choice.trains:
        why = "is no network" if not choice.row.is_network else "is not trained, for its weights are there"
        raise InputError(f"`{given[0]}`: is for the training of a network, and {choice.row.name} {why}; leave it out")


def model_for(
    cube: xr.Dataset,
    method: AnyMethod,
    *,
    days: Period | None = None,
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
    config = settings_of(method)
    needed, name = config.model.window, config.model.method
    if known.sizes["time"] < needed:
        raise InputError(
            f"near real time: {name} would be fitted on the days up to {span(known)[-10:]}, "
            f"too few to estimate its uncertainty; {_later(cube, needed)} or give a fitted model"
        )
    return resolve(known, method, nrt=True, progress=progress)


def cautions(cube: xr.Dataset, config: RunConfig) -> list[str]:
    """Return warnings for a method that is fitted on a cube: a short record, cells of another size."""
    notes, days = [], select_period(cube, config.train).sizes["time"]
    if config.climatology.file is None and days < SEASON_DAYS:
        notes.append(
            f"{days} days show no seasonal cycle: the climatology is only their mean; give a longer "
            "record, or climatology.file in a run file"
        )
    if config.weights != "fresh":
        steps = [float(np.median(np.diff(cube[dim]))) for dim in ("lat", "lon") if cube.sizes[dim] > 1]
        if not all(KNOWN_CELLS[0] <= step * 1.01 and step <= KNOWN_CELLS[1] * 1.01 for step in steps):
            size = " × ".join(f"{step:.4g}°" for step in steps)
            notes.append(
                f"cells of {size}: the pre-trained network was trained on cells of 1/24° to 1/4°; compare it with "
                "oi-grid by `evaluate`"
            )
    return notes


def _later(cube: xr.Dataset, needed: int) -> str:
    """Say from which day on a cube has as many days as are needed."""
    days = cube["time"].values
    if len(days) < needed:
        return f"give {needed} days of input,"
    return f"fill days from {str(days[needed - 1])[:10]} on,"


def resolve(
    cube: xr.Dataset,
    method: AnyMethod,
    *,
    before: np.datetime64 | None = None,
    nrt: bool,
    progress: Progress,
) -> Model:
    """Return a model as it is; fit a method in any other form, on days `before` where these suffice.

    It is calibrated for the mode that is asked for. A bare network is completed in the same way.
    """
    if isinstance(method, Model):
        return method
    choice = choice_of(method, at_once=True)
    if before is not None and choice.config.train is None:
        gap = np.timedelta64(choice.config.model.window, "D")
        years = (before - gap - cube["time"].values[0]) / np.timedelta64(365, "D")
        if years >= TRAINING_YEARS:
            choice = replace(choice, config=replace(choice.config, train=f":{str(before - gap)[:10]}"))
    return fit_choice(validate(cube), choice, nrt=nrt, progress=progress)


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
            f"training {span(train)} and validation {span(valid)} must be more than the window of "
            f"{config.model.window} days apart, otherwise they share images; move one of them"
        )
    return train, valid
