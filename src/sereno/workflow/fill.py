"""Fill the days of a cube, lazily."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from sereno.config import to_toml
from sereno.cube import OBSERVED, Period, field_name, select_period, span
from sereno.gaps.hiding import visible_part
from sereno.io.models.model_folder import check_fits
from sereno.io.outputs.provenance import Product, SstType
from sereno.progress import Progress, reporter
from sereno.workflow.choices import AnyMethod
from sereno.workflow.fit import model_for
from sereno.workflow.models import Model


def fill(
    cube: xr.Dataset,
    model: AnyMethod = "unet",
    *,
    days: Period | None = None,
    nrt: bool = False,
    keep_observed: bool = False,
    progress: Progress | bool = False,
) -> xr.Dataset:
    """Reconstruct days without gaps.

    Parameters
    ----------
    cube
        A valid cube of the model's grid.
    model
        A fitted model; or what `fit` takes for a method that is quick to fit, which is then fitted on `cube`; or a
        bare network, whose climatology and uncertainty are fitted on `cube`.
    days
        The days to reconstruct: text ``A:B`` or one day, a slice, dates; every day of the cube where not given.
    nrt
        Near real time: no day uses later days. A method that is not fitted yet is fitted on the days up to the first
        one filled.
    keep_observed
        Keep observed values exactly, with the standard deviation of the observations.
    progress
        True for bars, or a function of a stage and the fraction done. It reports the fit; the analysis is lazy.

    Returns
    -------
    xr.Dataset
        The analysis, (time, lat, lon): ``mean`` and ``std`` in the field's unit, finite on all water, NaN on land;
        ``source``, 0 land, 1 observed, 2 filled, 3 filled without an observation of the pixel within the window;
        ``data_age``, days since the last observation; ``climatology``; and ``water`` (lat, lon). Lazy, a block of
        days at a time.
        Its attributes hold the model, its configuration and the input, and `write_analysis` puts them into the file.

    Raises
    ------
    InputError
        If the model does not fit the cube, or the cube has no day in the period.

    Examples
    --------
    >>> import sereno
    >>> from sereno.synthetic import TwinSeaConfig, twin_sea
    >>> cube = twin_sea(TwinSeaConfig(days=40, shape=(24, 32)))
    >>> analysis = sereno.fill(cube, "climatology", days=cube["time"][20:23])
    >>> analysis.sizes["time"], bool((analysis["std"] > 0).where(cube["water"], True).all())
    (3, True)
    """
    fitted = model_for(cube, model, days=days, nrt=nrt, progress=reporter(progress))
    return fill_days(cube, fitted, select_period(cube, days)["time"].values, nrt=nrt, keep_observed=keep_observed)


def fill_days(
    cube: xr.Dataset, model: Model, wanted: np.ndarray, *, nrt: bool = False, keep_observed: bool = False
) -> xr.Dataset:
    """Reconstruct chosen days of a cube, ascending, by a fitted model; see `fill`."""
    check_fits(model.description, cube)
    visible = visible_part(cube)
    if nrt:
        made = model.reconstructor
        each = [made.reconstruct(visible.sel(time=slice(None, day)), np.array([day]), nrt=True) for day in wanted]
        analysis = xr.concat(each, "time", data_vars="minimal", coords="minimal", compat="override", join="override")
    else:
        analysis = model.reconstructor.reconstruct(visible, wanted)
    if keep_observed:
        analysis = _keep_observed(analysis, visible, model)
    analysis.attrs["field"] = field_name(cube)
    product = product_of(cube, model, nrt=nrt, keep_observed=keep_observed)
    return analysis.assign_attrs(product.as_attributes())


def product_of(cube: xr.Dataset, model: Model, *, nrt: bool = False, keep_observed: bool = False) -> Product:
    """Return what an output file says of the input, of the model, and of how `fill` used it."""
    kind: SstType = cube.attrs.get("sst_type") or "unknown"
    institution = cube.attrs.get("institution")
    known = {name: cube.attrs[name] for name in ("variable", "water_from") if cube.attrs.get(name)}
    return Product(
        sst_type=kind,
        model=model.description.summary() | {"nrt": nrt, "keep_observed": keep_observed},
        config=to_toml(model.config),
        attributes={"institution": institution} if institution else {},
        input={**known, "period": span(cube)},
    )


def _keep_observed(analysis: xr.Dataset, cube: xr.Dataset, model: Model) -> xr.Dataset:
    """Put the observations back where there are any, with their own standard deviation."""
    name = field_name(cube)
    observed = (analysis["source"] == OBSERVED) & cube["water"]
    at = {"time": analysis["time"]}
    error: Any = float(np.sqrt(model.reconstructor.noise_variance)) or analysis["std"]
    if f"{name}_error" in cube:
        stated = cube[f"{name}_error"].sel(at)
        error = stated.where(stated > 0, error)
    mean = cube[name].sel(at).where(observed, analysis["mean"]).astype("float32")
    std = xr.where(observed, error, analysis["std"]).astype("float32").transpose(*analysis["mean"].dims)
    chunks = analysis["mean"].chunksizes
    kept = {"mean": mean.chunk(chunks), "std": std.chunk(chunks)}
    return analysis.assign({n: v.assign_attrs(analysis[n].attrs) for n, v in kept.items()})
