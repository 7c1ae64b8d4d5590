"""Scoring: every method on the same withheld pixels, none of which any method sees."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from sereno.climatology.heatwaves import heatwave_days
from sereno.config import as_mapping
from sereno.cube import Period, field_of, period_text, span, validate
from sereno.evaluation.examples import common_maps, gallery_days, middling, step_of
from sereno.evaluation.score_tables import (
    daily_scores,
    interval_record,
    pixel_scores,
    shared_baselines,
    tables,
    yardstick_of,
)
from sereno.evaluation.scored_pixels import Withholding, choose, holds, require_unseen, require_unseen_climatology
from sereno.evaluation.scoring import Scored, Target, rounds, score
from sereno.evaluation.spectra import segment_cells
from sereno.gaps.hiding import hide
from sereno.gaps.statistics import coverage
from sereno.io.models.model_folder import PACKAGED, check_fits
from sereno.progress import Progress, labelled, reporter
from sereno.workflow.choices import AnyMethod, by_label
from sereno.workflow.fit import resolve
from sereno.workflow.models import Model

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
        and method; ``spectra`` and ``reliability``. Where the cube has ``truth``, the same against it under
        ``truth``. Rows hold intervals, ``[low, high]``, and ``ratio`` to the method named by ``relative_to``.
    withheld
        bool (time, lat, lon) over the scored days.
    models
        The models scored, those fitted on the fly among them.
    examples
        By method, up to eight scored days spread over the record and over coverage: ``target`` (the observations,
        withheld ones among them), ``withheld``, ``mean``, ``std``, ``climatology``, ``truth`` where known (time,
        lat, lon), ``coverage`` (time) and ``water``; large grids thinned. ``attrs["middling_day"]`` is the one of
        middling coverage.
    maps
        By pixel, (method, lat, lon): ``rmse``, ``bias``, ``pixels``, against the truth where known, else the
        observations, as ``attrs["against"]`` says.
    daily
        By day, (method, time): ``rmse``, ``bias``, ``crps``, ``pixels``, against the same, and ``coverage`` (time),
        the share of the water that the input shows.
    """

    scores: dict[str, Any]
    withheld: xr.DataArray
    models: dict[str, Model] = field(default_factory=dict)
    examples: dict[str, xr.Dataset] = field(default_factory=dict)
    maps: xr.Dataset = field(default_factory=xr.Dataset)
    daily: xr.Dataset = field(default_factory=xr.Dataset)


def evaluate(
    cube: xr.Dataset,
    methods: Mapping[str, AnyMethod] | Iterable[AnyMethod] | AnyMethod,
    *,
    days: Period | None = None,
    protocol: str = "clouds",
    withheld: xr.DataArray | None = None,
    share: float = 0.25,
    seed: int = 0,
    observation_noise: float | None = None,
    relative_to: str | None = None,
    nrt: bool = False,
    progress: Progress | bool = False,
) -> Evaluation:
    """Score methods on observations withheld from all of them.

    Where the cube has ``<field>_withheld``, exactly those pixels are scored; otherwise
    `sereno.gaps.withholding.withhold` chooses them. No method sees a withheld pixel, ``<field>_withheld`` or
    ``truth``; a method given by name or configuration is fitted here, on the days before the scored ones where these
    make two years, else on the cube without the withheld pixels.

    Parameters
    ----------
    methods
        Models, or what `sereno.fit` takes for a method that is cheap to fit: one, several, or by the names that they
        are to have in the tables.
    days
        Period ``A:B`` to score.
    protocol
        ``clouds`` or ``hidden-day``, see `sereno.gaps.withholding.withhold`.
    withheld
        An index (time, lat, lon) of an earlier evaluation, as of `sereno.io.outputs.withheld.read_withheld`: exactly
        its pixels are scored, by the protocol and the seed that its attributes name.
    share, seed
        Share of the eligible days to score, and the seed of the choice and of the resamples.
    observation_noise
        Standard deviation of the observations' noise, which is added to an analysis's own for z, coverage and CRPS
        against observations; estimated from the images where not given.
    relative_to
        Name of the method that ratios are to; the climatology that the methods depart from where not given.
    nrt
        Near real time: each scored day is reconstructed from a cube that ends with it.

    Raises
    ------
    InputError
        If nothing can be scored; if a model does not fit the cube, was fitted on what is withheld, or has its
        climatology from a file that was; or if a method fails, with the days on which it does.
    """
    validate(cube)
    progress, methods = reporter(progress), by_label(methods)
    if relative_to is not None:
        yardstick_of(relative_to, list(methods), {})
    cube = cube.compute() if cube.nbytes <= SMALL_BYTES else cube  # what is scored often is read once
    chosen = choose(cube, withheld=withheld, days=period_text(cube, days), protocol=protocol, share=share, seed=seed)
    first = chosen.mask["time"].values[0]
    models: dict[str, Model] = {}
    for label, method in methods.items():
        # A copy for each: none can change what another sees.
        fitting = labelled(progress, label)
        models[label] = resolve(hide(cube, chosen.mask), method, before=first, nrt=nrt, progress=fitting)
        check_fits(models[label].description, cube)
        require_unseen_climatology(label, models[label], chosen.mask)
        if isinstance(method, Model):
            require_unseen(label, method, cube, chosen)
    covered = coverage(cube.sel(time=chosen.mask["time"]))
    target = _target(cube, chosen, list(models.values()), covered.values, nrt=nrt)
    noise = {
        label: model.reconstructor.noise_variance if observation_noise is None else observation_noise**2
        for label, model in models.items()
    }
    scored, seconds = _score_all(models, cube, target, noise, progress)
    result = {
        "protocol": chosen.protocol,
        "n_pixels": int(chosen.mask.sum()),
        "n_days": chosen.mask.sizes["time"],
        "days": span(chosen.mask),
        "withheld": chosen.source,
        "seed": chosen.seed,
        "nrt": nrt,
        "units": field_of(cube).attrs.get("units", ""),
        **_standings(scored, seconds, chosen, relative_to),
    }
    baseline = {label: name for name, members in result.pop("shared").items() for label in members}
    result["fitted"] = {
        label: _record(model, chosen.mask)
        | {
            "fitted_here": not isinstance(methods[label], Model),
            "baseline": baseline[label],
            "observation_noise": math.sqrt(noise[label]),
        }
        for label, model in models.items()
    }
    told = {"against": target.against}
    return Evaluation(
        result,
        chosen.mask,
        models,
        _examples(cube, scored, target, covered),
        pixel_scores({n: s.pixels for n, s in scored.items()}, cube["water"], units=result["units"], **told),
        daily_scores({label: one.tallies[target.against] for label, one in scored.items()}, covered, **told),
    )


def _target(cube: xr.Dataset, chosen: Withholding, models: list[Model], covered: np.ndarray, *, nrt: bool) -> Target:
    """Return what all models are scored on: the same pixels, hidden together, sorted by the same strata."""
    days = chosen.mask["time"].values
    references = {"observations": chosen.observations}
    cells = {"observations": segment_cells(chosen.mask.values)}
    heatwave = None
    if "truth" in cube:
        references["truth"] = cube["truth"]
        cells["truth"] = segment_cells(cube["water"].values[None], times=len(days))
        hot = heatwave_days(cube["truth"].transpose("time", "lat", "lon"), days)
        heatwave = None if hot is None else chosen.mask.copy(data=hot)
    reach = max(model.reconstructor.reach for model in models)
    return Target(
        withheld=chosen.mask,
        references=references,
        rounds=rounds(days, protocol=chosen.protocol, reach=reach, nrt=nrt),
        hidden_at_once=chosen.protocol == "clouds",
        nrt=nrt,
        window=max(model.config.model.window for model in models),
        segment_cells=cells,
        heatwave=heatwave,
        gallery=gallery_days(days, covered),
        step=step_of(cube["water"]),
    )


def _score_all(
    models: Mapping[str, Model], cube: xr.Dataset, target: Target, noise: Mapping[str, float], progress: Progress
) -> tuple[dict[str, Scored], dict[str, float]]:
    """Walk over the analysis of every method, one after the other, and time each."""
    scored: dict[str, Scored] = {}
    seconds: dict[str, float] = {}
    for label, model in models.items():
        started = time.perf_counter()
        told = partial(progress, f"score {label}")
        scored[label] = score(label, model, cube, target, noise_variance=noise[label], progress=told)
        seconds[label] = round(time.perf_counter() - started, 2)
    return scored, seconds


def _standings(
    scored: Mapping[str, Scored], seconds: Mapping[str, float], chosen: Withholding, relative_to: str | None
) -> dict[str, Any]:
    """Return the tables against each reference, ``relative_to``, ``intervals``, and the ``shared`` baselines."""
    shared = shared_baselines({label: one.tallies["observations"] for label, one in scored.items()})
    yardstick = yardstick_of(relative_to, list(scored), shared)
    told: dict[str, Any] = {"protocol": chosen.protocol, "relative_to": yardstick, "seed": chosen.seed}
    found: dict[str, Any] = {
        "relative_to": yardstick,
        "intervals": interval_record(chosen.mask.sizes["time"]),
        "shared": shared,
    }
    for against in next(iter(scored.values())).tallies:
        table = tables({label: one.tallies[against] for label, one in scored.items()}, shared, seconds, **told)
        if against == "observations":
            found |= table
        else:
            found[against] = {"n_pixels": int(chosen.mask.sum()), **table}
    return found


def _examples(
    cube: xr.Dataset, scored: Mapping[str, Scored], target: Target, covered: xr.DataArray
) -> dict[str, xr.Dataset]:
    """Return the gallery of each method: its analysis, and what all share."""
    common = common_maps(cube, dict(target.references), target.withheld, target.gallery)
    units = {"units": field_of(cube).attrs.get("units", "")}
    middle = str(target.withheld["time"].values[middling(covered.values)])[:10]
    examples = {}
    for label, one in scored.items():
        fields = {name: values.assign_attrs(units) for name, values in one.gallery.items()}
        example = common.assign({name: (values.dims, values.data, values.attrs) for name, values in fields.items()})
        shown = covered.sel(time=target.gallery)
        examples[label] = example.assign(coverage=("time", shown.values)).assign_attrs(middling_day=middle)
    return examples


def _record(model: Model, withheld: xr.DataArray) -> dict[str, Any]:
    """Tell what a model was fitted on, and whether that period holds scored days."""
    made = model.description
    weights: dict[str, Any] = {"from": made.weights_from, "period": made.weights_period, "holds_scored_days": None}
    if made.weights_from == PACKAGED:
        weights["holds_scored_days"] = False
    elif made.weights_period:
        weights["holds_scored_days"] = holds(made.weights_period, withheld)
    return {
        "method": model.name,
        "training_period": made.training_period,
        "training_period_holds_scored_days": holds(made.training_period, withheld),
        **({"weights": weights} if made.weights_from else {}),
        "climatology_base_period": model.reconstructor.climatology.base_period,
        "climatology_file": model.config.climatology.file,
        "config": as_mapping(model.config),
    }
