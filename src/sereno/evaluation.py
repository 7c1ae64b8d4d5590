"""Scoring: every method on the same withheld pixels, none of which any method sees."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from sereno.clouds import coverage, hide, withhold
from sereno.config import RunConfig, as_mapping
from sereno.cube import field_name, field_of, parse_period, span, validate
from sereno.errors import InputError
from sereno.io.artefact import check_fits
from sereno.methods import Progress, silent
from sereno.metrics import scores, scores_with_zeros
from sereno.networks import BareNetwork
from sereno.scoring import Tally, Target, rounds, score
from sereno.strata import tabulate
from sereno.workflow import Model, resolve

SMALL_BYTES = 2**31
"""A cube of up to so many bytes is loaded before it is scored."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of several methods on the same withheld pixels.

    Attributes
    ----------
    scores
        ``protocol``, ``n_pixels``, ``methods`` and the record of how they came about; ``baselines``, the scores of
        the climatologies that the methods depart from, one where all share it; ``strata``, scores by stratum, bin
        and method. Where the cube has ``truth``, the same scores against it under ``truth``.
    withheld
        bool (time, lat, lon) over the scored days.
    models
        The models scored, those fitted on the fly among them.
    examples
        By method, one scored day of middling coverage: ``target`` (the observations, withheld ones among them),
        ``mean``, ``std``, ``climatology`` (time, lat, lon) and ``water``.
    """

    scores: dict[str, Any]
    withheld: xr.DataArray
    models: dict[str, Model] = field(default_factory=dict)
    examples: dict[str, xr.Dataset] = field(default_factory=dict)


def evaluate(
    cube: xr.Dataset,
    methods: Mapping[str, Model | BareNetwork | RunConfig | str],
    *,
    days: str | None = None,
    protocol: str = "clouds",
    share: float = 0.25,
    seed: int = 0,
    observation_noise: float | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Score methods on observations withheld from all of them.

    Where the cube has ``<field>_withheld``, exactly those pixels are scored; otherwise `sereno.clouds.withhold`
    chooses them. No method sees a withheld pixel, ``<field>_withheld`` or ``truth``; a method given by name or
    configuration is fitted here, on the days before the scored ones where these make two years, else on the cube
    without the withheld pixels.

    Parameters
    ----------
    methods
        By the name each is to have in the table: a model, a configuration, or the name of a cheap method.
    days
        Period ``A:B`` to score.
    protocol
        ``clouds`` or ``hidden-day``, see `sereno.clouds.withhold`.
    share, seed
        Share of the eligible days to score, and the seed of the choice.
    observation_noise
        Standard deviation of the observations' noise, which is added to an analysis's own for z, coverage and CRPS
        against observations; estimated from the images where not given.

    Raises
    ------
    InputError
        If nothing can be scored, a model does not fit the cube, or its climatology comes from a file whose base
        period holds days to score.
    """
    validate(cube)
    cube = cube.compute() if cube.nbytes <= SMALL_BYTES else cube  # what is scored often is read once
    name, period = field_name(cube), None if days is None else parse_period(days)
    given = cube.get(f"{name}_withheld")
    if given is not None and protocol == "clouds":
        part = given if period is None else given.sel(time=period)
        withheld = (part.notnull() & cube["water"]).compute().rename("withheld")
        withheld = withheld.isel(time=np.flatnonzero(withheld.any(("lat", "lon")).values))
        if withheld.sizes["time"] == 0:
            raise InputError(f"{name}_withheld holds no pixel on the days to score")
        source = f"{name}_withheld of the input"
        reference = given
    else:
        withheld = withhold(cube, protocol=protocol, days=period, share=share, seed=seed)
        source, reference = f"drawn with seed {seed}", field_of(cube)
    visible = hide(cube, withheld)
    models: dict[str, Model] = {}
    for label, method in methods.items():
        models[label] = resolve(visible, method, before=withheld["time"].values[0], progress=progress)
        check_fits(models[label].description, cube)
        _require_unseen(label, models[label], withheld)
    references = {"observations": reference} | ({"truth": cube["truth"]} if "truth" in cube else {})
    target = _target(cube, withheld, references, list(models.values()), protocol)
    here = {"time": [target.example]}
    observed = reference.sel(here).where(withheld.sel(here), field_of(cube).sel(here)).compute()
    tallies: dict[str, dict[str, Tally]] = {against: {} for against in references}
    seconds: dict[str, float] = {}
    examples: dict[str, xr.Dataset] = {}
    for label, model in models.items():
        noise = model.reconstructor.noise_variance if observation_noise is None else observation_noise**2
        started = time.perf_counter()
        told = partial(progress, f"score {label}")
        total, example = score(model, cube, target, noise_variance=noise, progress=told)
        seconds[label] = round(time.perf_counter() - started, 2)
        examples[label] = example.assign(target=observed.assign_attrs(field_of(cube).attrs), water=cube["water"])
        for against in references:
            tallies[against][label] = total[against]
    shared = _shared_baselines(tallies["observations"])
    record = {
        label: _record(model, withheld)
        | {
            "fitted_here": not isinstance(methods[label], Model),
            "baseline": next(name for name, members in shared.items() if label in members),
        }
        for label, model in models.items()
    }
    result = {
        "protocol": protocol,
        "n_pixels": int(withheld.sum()),
        "n_days": withheld.sizes["time"],
        "days": span(withheld),
        "withheld": source,
        "seed": seed,
        "units": field_of(cube).attrs.get("units", ""),
        **_tables(tallies["observations"], shared, seconds, protocol),
        "fitted": record,
    }
    if "truth" in references:
        result["truth"] = {"n_pixels": int(withheld.sum()), **_tables(tallies["truth"], shared, seconds, protocol)}
    return Evaluation(result, withheld, models, examples)


def _target(
    cube: xr.Dataset,
    withheld: xr.DataArray,
    references: Mapping[str, xr.DataArray],
    models: list[Model],
    protocol: str,
) -> Target:
    """Return what all models are scored on: the same pixels, hidden together, sorted by the same strata."""
    reach = max(model.reconstructor.reach for model in models)
    longest = max(model.config.model.window for model in models)
    covered = coverage(cube.sel(time=withheld["time"])).values
    example = withheld["time"].values[int(np.abs(covered - np.median(covered)).argmin())]
    parted = rounds(withheld["time"].values, protocol=protocol, reach=reach)
    return Target(withheld, references, parted, longest, example)


def _tables(
    tallies: Mapping[str, Tally], shared: Mapping[str, list[str]], seconds: Mapping[str, float], protocol: str
) -> dict[str, Any]:
    """Return the scores of the methods and of the baselines, and those of the methods by strata."""
    methods = {label: scores(tally.method) | {"seconds": seconds[label]} for label, tally in tallies.items()}
    baselines = {name: scores(tallies[members[0]].baseline) for name, members in shared.items()}
    if protocol == "hidden-day":
        for label, tally in tallies.items():
            methods[label] |= scores_with_zeros(tally.method_with_zeros)
        for name, members in shared.items():
            baselines[name] |= scores_with_zeros(tallies[members[0]].baseline_with_zeros)
    strata = tabulate({label: tally.strata for label, tally in tallies.items()})
    return {"methods": methods, "baselines": baselines, "strata": strata}


def _shared_baselines(tallies: Mapping[str, Tally]) -> dict[str, list[str]]:
    """Return the distinct baselines by name, each with the methods that depart from it, told by their scores."""
    rows = {label: scores(tally.baseline) for label, tally in tallies.items()}
    groups: list[list[str]] = []
    for label, row in rows.items():
        home = next((group for group in groups if same_scores(rows[group[0]], row)), None)
        if home is None:
            groups.append([label])
        else:
            home.append(label)
    if len(groups) == 1:
        return {"climatology": groups[0]}
    return {f"climatology of {', '.join(group)}": group for group in groups}


def same_scores(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Tell whether two rows hold the same scores, but for rounding and for what only one of them has."""
    return all(
        math.isclose(one[name], other[name], rel_tol=1e-6, abs_tol=1e-9)
        or (math.isnan(one[name]) and math.isnan(other[name]))
        for name in one.keys() & other.keys()
    )


def _require_unseen(label: str, model: Model, withheld: xr.DataArray) -> None:
    """Refuse a climatology from a file whose base period holds days to score: it has seen what is withheld."""
    period, file = model.reconstructor.climatology.base_period, model.config.climatology.file
    if file is not None and period is not None and (seen := withheld.sel(time=parse_period(period))["time"].size):
        raise InputError(
            f"{label}: the base period {period} of its climatology, {file}, holds {seen} of the days to score "
            f"({span(withheld)}); give one that was made without them, or score other days"
        )


def _holds(period: str, withheld: xr.DataArray) -> bool:
    """Tell whether a period ``A:B`` holds a scored day."""
    first, last = (np.datetime64(day) for day in period.split(":"))
    scored = withheld["time"].values
    return bool(((scored >= first) & (scored <= last)).any())


def _record(model: Model, withheld: xr.DataArray) -> dict[str, Any]:
    """Tell what a model was fitted on, and whether that period holds scored days."""
    made = model.description
    weights: dict[str, Any] = {"from": made.weights_from, "period": made.weights_period, "holds_scored_days": None}
    if made.weights_period:
        weights["holds_scored_days"] = _holds(made.weights_period, withheld)
    return {
        "method": model.name,
        "training_period": made.training_period,
        "training_period_holds_scored_days": _holds(made.training_period, withheld),
        **({"weights": weights} if made.weights_from else {}),
        "climatology_base_period": model.reconstructor.climatology.base_period,
        "climatology_file": model.config.climatology.file,
        "config": as_mapping(model.config),
    }
