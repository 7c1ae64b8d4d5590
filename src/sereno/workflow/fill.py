"""Fill the days of a cube, lazily."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from sereno.config import RunConfig, to_toml
from sereno.cube import OBSERVED, field_name, select_period
from sereno.gaps.hiding import visible_part
from sereno.io.models.model_folder import check_fits
from sereno.io.outputs.level4 import Product, SstType
from sereno.progress import Progress, silent
from sereno.workflow.bare_networks import BareNetwork
from sereno.workflow.fit import model_for
from sereno.workflow.models import Model


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
