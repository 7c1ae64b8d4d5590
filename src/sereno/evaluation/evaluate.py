"""Scoring: every method on the same withheld pixels, none of which any method sees."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from functools import partial

import numpy as np
import xarray as xr

from sereno.climatology.heatwaves import heatwave_days
from sereno.config import as_mapping
from sereno.cube import Period, field_of, period_text, span, validate
from sereno.evaluation.evaluation import Evaluation
from sereno.evaluation.examples import common_maps, gallery_days, middling, step_of
from sereno.evaluation.results import FitRecord, Results, WeightsRecord
from sereno.evaluation.score_tables import (
    daily_scores,
    interval_record,
    pixel_scores,
    score_table,
    shared_baselines,
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

__all__ = ["Evaluation", "evaluate"]

SMALL_BYTES = 2**31
"""Bytes of the largest cube that is loaded before it is scored."""


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
        Models, or what `sereno.fit` takes for a method that is quick to fit: one, a list, or a mapping from names for
        the tables.
    days
        The days to score: text ``A:B``, a slice, or consecutive days; all where not given.
    protocol
        ``clouds`` or ``hidden-day``, see `sereno.gaps.withholding.withhold`.
    withheld
        An index (time, lat, lon) of an earlier evaluation, as of `sereno.io.outputs.withheld.read_withheld`: exactly
        its pixels are scored, by the protocol and the seed that its attributes name.
    share, seed
        Share of the eligible days to score, and the seed of the choice and of the resamples.
    observation_noise
        Standard deviation of the errors of the observations. Its square is added to the variance of the analysis for
        z, interval coverage and CRPS against observations. Estimated from the images where not given.
    relative_to
        Name of the method that ratios are to; the climatology of the methods where not given.
    nrt
        Near real time: each scored day is reconstructed from a cube that ends with it.
    progress
        True for bars, or a function of a stage and the fraction done.

    Raises
    ------
    InputError
        If nothing can be scored; if a model does not fit the cube, or was fitted on withheld pixels, or uses a
        climatology file that was; or if a method fails, with the days.

    Examples
    --------
    >>> import sereno
    >>> from sereno.synthetic import TwinSeaConfig, twin_sea
    >>> cube = twin_sea(TwinSeaConfig(days=40, shape=(24, 32)))
    >>> result = sereno.evaluate(cube, ["climatology", "linear"], days="2019-01-20:2019-01-25", share=0.5)
    >>> rows = result.results.observations.methods
    >>> rows["linear"].rmse < rows["climatology"].rmse
    True
    """
    validate(cube)
    progress, methods = reporter(progress), by_label(methods)
    if relative_to is not None:
        yardstick_of(relative_to, list(methods), {})
    cube = cube.compute() if cube.nbytes <= SMALL_BYTES else cube  # values that are scored often are read once
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
    results = _results(cube, methods, models, chosen, scored, seconds, noise, relative_to=relative_to, nrt=nrt)
    pixels = {label: one.pixels for label, one in scored.items()}
    daily = {label: one.tallies[target.against] for label, one in scored.items()}
    return Evaluation(
        results,
        chosen.mask,
        models,
        _examples(cube, scored, target, covered),
        pixel_scores(pixels, cube["water"], units=results.units, against=target.against),
        daily_scores(daily, covered, against=target.against),
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
        report = partial(progress, f"score {label}")
        scored[label] = score(label, model, cube, target, noise_variance=noise[label], progress=report)
        seconds[label] = round(time.perf_counter() - started, 2)
    return scored, seconds


def _results(
    cube: xr.Dataset,
    methods: Mapping[str, AnyMethod],
    models: Mapping[str, Model],
    chosen: Withholding,
    scored: Mapping[str, Scored],
    seconds: Mapping[str, float],
    noise: Mapping[str, float],
    *,
    relative_to: str | None,
    nrt: bool,
) -> Results:
    """Return the score tables against each reference, and how they came about."""
    shared = shared_baselines({label: one.tallies["observations"] for label, one in scored.items()})
    yardstick = yardstick_of(relative_to, list(scored), shared)
    tables = {
        against: score_table(
            {label: one.tallies[against] for label, one in scored.items()},
            shared,
            seconds,
            protocol=chosen.protocol,
            relative_to=yardstick,
            seed=chosen.seed,
        )
        for against in next(iter(scored.values())).tallies
    }
    baseline = {label: name for name, members in shared.items() for label in members}
    return Results(
        protocol=chosen.protocol,
        n_pixels=int(chosen.mask.sum()),
        n_days=chosen.mask.sizes["time"],
        days=span(chosen.mask),
        withheld=chosen.source,
        seed=chosen.seed,
        nrt=nrt,
        units=field_of(cube).attrs.get("units", ""),
        relative_to=yardstick,
        intervals=interval_record(chosen.mask.sizes["time"]),
        observations=tables["observations"],
        truth=tables.get("truth"),
        fitted={
            label: _record(
                model,
                chosen.mask,
                fitted_here=not isinstance(methods[label], Model),
                baseline=baseline[label],
                noise=math.sqrt(noise[label]),
            )
            for label, model in models.items()
        },
    )


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


def _record(model: Model, withheld: xr.DataArray, *, fitted_here: bool, baseline: str, noise: float) -> FitRecord:
    """Return what a model was fitted on, and whether that period holds scored days."""
    made, weights = model.description, None
    if made.weights_from:
        seen = holds(made.weights_period, withheld) if made.weights_period else None
        weights = WeightsRecord(
            made.weights_from, made.weights_period, False if made.weights_from == PACKAGED else seen
        )
    return FitRecord(
        method=model.name,
        training_period=made.training_period,
        training_period_holds_scored_days=holds(made.training_period, withheld),
        weights=weights,
        climatology_base_period=model.reconstructor.climatology.base_period,
        climatology_file=model.config.climatology.file,
        config=as_mapping(model.config),
        fitted_here=fitted_here,
        baseline=baseline,
        observation_noise=noise,
    )
