"""Scoring: every method on the same withheld pixels, none of which any method sees."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr
from dask.base import compute

from sereno.clouds import hide, withhold
from sereno.config import RunConfig, as_mapping
from sereno.cube import days_per_block, field_name, field_of, parse_period, span, validate
from sereno.errors import InputError
from sereno.io.artefact import check_fits
from sereno.methods import Progress, silent
from sereno.metrics import Sums, scores, sums
from sereno.networks import BareNetwork
from sereno.workflow import Model, resolve

SMALL_BYTES = 2**31
"""A cube of up to so many bytes is loaded before it is scored."""
GROUP_BLOCKS = 4
"""Blocks of days that are computed at once: two cores work, and neighbours share what they read."""


@dataclass(frozen=True)
class Evaluation:
    """Scores of several methods on the same withheld pixels.

    Attributes
    ----------
    scores
        ``protocol``, ``n_pixels``, ``methods`` and the record of how they came about; where the cube has ``truth``,
        the same scores against it under ``truth``.
    withheld
        bool (time, lat, lon) over the scored days.
    models
        The models scored, those fitted on the fly among them.
    """

    scores: dict[str, Any]
    withheld: xr.DataArray
    models: dict[str, Model] = field(default_factory=dict)


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
    table: dict[str, dict[str, Any]] = {target: {} for target in references}
    record: dict[str, Any] = {}
    for label, model in models.items():
        noise = model.reconstructor.noise_variance if observation_noise is None else observation_noise**2
        started = time.perf_counter()
        total = _score(model, cube, withheld, references, protocol, noise, partial(progress, f"score {label}"))
        seconds = round(time.perf_counter() - started, 2)
        for target in references:
            table[target][label] = scores(total[target]) | {"seconds": seconds}
        record[label] = _record(model, withheld) | {"fitted_here": not isinstance(methods[label], Model)}
    result = {
        "protocol": protocol,
        "n_pixels": int(withheld.sum()),
        "n_days": withheld.sizes["time"],
        "days": span(withheld),
        "withheld": source,
        "seed": seed,
        "units": field_of(cube).attrs.get("units", ""),
        "methods": table["observations"],
        "fitted": record,
    }
    if "truth" in table:
        result["truth"] = {"n_pixels": int(withheld.sum()), "methods": table["truth"]}
    return Evaluation(result, withheld, models)


def _score(
    model: Model,
    cube: xr.Dataset,
    withheld: xr.DataArray,
    references: Mapping[str, xr.DataArray],
    protocol: str,
    noise_variance: float,
    progress: Callable[[float], None],
) -> dict[str, Sums]:
    """Sum up a model's scores against each reference, a few blocks of days in memory at a time."""
    total = {target: Sums() for target in references}
    done = 0
    for days in _rounds(withheld["time"].values, model, protocol):
        seen = hide(cube, withheld.sel(time=days))
        for block in _blocks(model.reconstructor.reconstruct(seen, days)):
            at = block["time"].values
            mean, std, *values = compute(block["mean"], block["std"], *(r.sel(time=at) for r in references.values()))
            scored = withheld.sel(time=at).values
            for target, reference in zip(references, values, strict=True):
                noise = noise_variance if target == "observations" else 0.0
                known = scored & np.isfinite(reference.values)
                total[target] += sums(mean.values, std.values, reference.values, known, noise_variance=noise)
            done += len(at)
            progress(done / withheld.sizes["time"])
    return total


def _rounds(days: np.ndarray, model: Model, protocol: str) -> list[np.ndarray]:
    """Part the scored days into rounds, each hidden together.

    Under ``hidden-day`` a day is reconstructed with its neighbours in sight, so a round's days lie far apart.
    """
    if protocol == "clouds":
        return [days]
    reach = np.timedelta64(model.reconstructor.reach, "D")
    rounds: list[list[np.datetime64]] = []
    for day in days:
        home = next((other for other in rounds if day - other[-1] > reach), None)
        if home is None:
            rounds.append([day])
        else:
            home.append(day)
    return [np.array(one) for one in rounds]


def _blocks(analysis: xr.Dataset) -> list[xr.Dataset]:
    """Cut a lazy analysis into groups of its chunks of days, large enough to share what they read."""
    ends = np.cumsum(analysis.chunksizes["time"])
    longest = GROUP_BLOCKS * days_per_block(analysis["water"].size)
    group = (ends - 1) // longest
    edges = np.concatenate([[0], ends[np.flatnonzero(np.diff(group))], ends[-1:]])
    return [analysis.isel(time=slice(a, b)) for a, b in pairwise(edges)]


def _require_unseen(label: str, model: Model, withheld: xr.DataArray) -> None:
    """Refuse a climatology from a file whose base period holds days to score: it has seen what is withheld."""
    period, file = model.reconstructor.climatology.base_period, model.config.climatology.file
    if file is not None and period is not None and (seen := withheld.sel(time=parse_period(period))["time"].size):
        raise InputError(
            f"{label}: the base period {period} of its climatology, {file}, holds {seen} of the days to score "
            f"({span(withheld)}); give one that was made without them, or score other days"
        )


def _record(model: Model, withheld: xr.DataArray) -> dict[str, Any]:
    """Tell what a model was fitted on, and whether that period holds scored days."""
    first, last = (np.datetime64(day) for day in model.description.training_period.split(":"))
    scored = withheld["time"].values
    return {
        "method": model.name,
        "training_period": model.description.training_period,
        "training_period_holds_scored_days": bool(((scored >= first) & (scored <= last)).any()),
        "climatology_base_period": model.reconstructor.climatology.base_period,
        "climatology_file": model.config.climatology.file,
        "config": as_mapping(model.config),
    }
