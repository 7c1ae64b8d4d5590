"""The maps of the report: days with what was shown, withheld and made of it, and the errors of each pixel."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import colormaps
from matplotlib.colors import Colormap

from sereno.evaluation.evaluation import Evaluation
from sereno.progress import Progress, silent
from sereno.report.figures import (
    ZERO_CELSIUS,
    Limits,
    colours_of,
    common_limits,
    date_text,
    is_kelvin,
    unit_label,
)
from sereno.report.rasters import bar, frame, image, ramp

BUDGET = 4_000_000
"""Water cells of all images of the days together at most: seas are thinned to it, so that the page stays small."""


def gallery(evaluation: Evaluation, *, progress: Progress = silent) -> dict[str, Any] | None:
    """Return what the page needs to show every kept day of every method, ready for JSON.

    Parameters
    ----------
    evaluation
        Its `examples`, and its `daily` for what stands below a map.
    progress
        Called with the stage ``"gallery"`` and the fraction done.

    Returns
    -------
    dict or None
        ``frame``, the geometry of all maps; ``days``, each with the images ``observed``, ``withheld`` and, where
        known, ``truth``; ``methods``, each with the images ``mean``, ``std`` and ``error`` of every day; the ticks
        of the colour bars and their ``ramps``; ``units``; what is shown first. None where no day was kept.
    """
    if not evaluation.examples:
        return None
    common = next(iter(evaluation.examples.values()))
    images = common.sizes["time"] * (2 + ("truth" in common) + 3 * len(evaluation.examples))
    step = _step(common["water"], images)
    examples = {label: _thinned(example, step) for label, example in evaluation.examples.items()}
    common = next(iter(examples.values()))
    limits = [_limits_of_day(examples.values(), day) for day in range(common.sizes["time"])]
    spread = (0.0, common_limits([one["std"] for one in examples.values()])[1])
    errors = {label: _error(example) for label, example in examples.items()}
    widest = common_limits([abs(error) for error in errors.values()])[1]
    colours = colours_of(common["target"])
    days = [_day(common.isel(time=index), day, colours) for index, day in enumerate(limits)]
    methods = []
    for done, (label, example) in enumerate(examples.items()):
        progress("gallery", done / len(examples))
        maps_of_days = [
            {
                "mean": image(example["mean"].isel(time=index), limits[index], colours),
                "std": image(example["std"].isel(time=index), spread, colormaps["cmo.amp"]),
                "error": image(errors[label].isel(time=index), (-widest, widest), colormaps["cmo.balance"]),
                "caption": _caption(evaluation, label, example["time"].values[index]),
            }
            for index in range(example.sizes["time"])
        ]
        methods.append({"name": label, "days": maps_of_days})
    progress("gallery", 1.0)
    return {
        "frame": frame(common["water"]),
        "days": days,
        "methods": methods,
        "first_method": list(examples).index(evaluation.results.judge[1].best),
        "first_day": int(np.flatnonzero(common["time"].values == np.datetime64(common.attrs["middling_day"]))[0]),
        "views": ["error", "std"] + (["truth"] if "truth" in common else []),
        "error": f"Error: analysis − {'truth' if 'truth' in common else 'withheld'}",
        "units": {"value": unit_label(common["target"]), "difference": unit_label(common["target"], difference=True)},
        "bars": {"std": bar(spread), "error": bar((-widest, widest))},
        "ramps": {
            "value": ramp(colours),
            "std": ramp(colormaps["cmo.amp"]),
            "error": ramp(colormaps["cmo.balance"]),
        },
    }


def _day(today: xr.Dataset, limits: Limits, colours: Colormap) -> dict[str, Any]:
    """Return the date of a day, the ticks of its colour bar, and the images that all methods share."""
    target, withheld = today["target"], today["withheld"]
    maps = {"observed": target.where(~withheld), "withheld": target.where(withheld)}
    if "truth" in today:
        maps["truth"] = today["truth"]
    shift = ZERO_CELSIUS if is_kelvin(target) else 0.0
    ticks = bar((limits[0] - shift, limits[1] - shift))
    images = {name: image(values, limits, colours) for name, values in maps.items()}
    return {"date": date_text(today["time"].values), "bar": ticks, **images}


def error_maps(evaluation: Evaluation) -> dict[str, Any] | None:
    """Return RMSE and bias of each pixel as images that share their colours, or None where they have no sea.

    Returns
    -------
    dict or None
        ``frame``, and ``scores``: of each ``name``, ``ramp``, ``bar``, ``units`` and ``maps``, which are pairs of a
        method's name and its image.
    """
    if not evaluation.examples:
        return None
    maps, water = evaluation.maps, next(iter(evaluation.examples.values()))["water"]
    if water.sizes != {dim: maps.sizes[dim] for dim in ("lat", "lon")}:
        maps = maps.sel(lat=water["lat"], lon=water["lon"])  # examples of a large sea are thinned
    maps = _thinned(maps.assign(water=water), _step(water, 2 * maps.sizes["method"]))
    widest = common_limits([abs(maps["bias"])])[1]
    plans = {
        "rmse": ("RMSE", (0.0, common_limits([maps["rmse"]])[1]), colormaps["cmo.amp"]),
        "bias": ("Bias", (-widest, widest), colormaps["cmo.balance"]),
    }
    shown = [
        {
            "name": name,
            "ramp": ramp(colours),
            "bar": bar(limits),
            "units": evaluation.results.difference_units,
            "maps": [
                (str(one["method"].values), image(one.where(maps["water"]), limits, colours)) for one in maps[score]
            ],
        }
        for score, (name, limits, colours) in plans.items()
    ]
    return {"frame": frame(maps["water"]), "scores": shown}


def _step(water: xr.DataArray, images: int) -> int:
    """Return which cells are kept, every first, second, third …, so that all images are within the budget."""
    return max(1, int(np.ceil(np.sqrt(int(water.sum()) * images / BUDGET))))


def _thinned(maps: xr.Dataset, step: int) -> xr.Dataset:
    return maps.isel(lat=slice(None, None, step), lon=slice(None, None, step)).compute()


def _limits_of_day(examples: Iterable[xr.Dataset], day: int) -> Limits:
    """Return the limits that all maps of the field share on one day, in the field's own unit."""
    maps = [example[name] for example in examples for name in ("target", "mean", "truth") if name in example]
    return common_limits([values.isel(time=day) for values in maps])


def _error(example: xr.Dataset) -> xr.DataArray:
    """Return analysis less truth or, where that is not known, less the withheld observations."""
    reference = example["truth"] if "truth" in example else example["target"].where(example["withheld"])
    return (example["mean"] - reference).where(example["water"])


def _caption(evaluation: Evaluation, label: str, day: np.datetime64) -> str:
    """Return the scores of a method on a day, and what was observed on it, as text."""
    row = evaluation.daily.sel({"method": label}).sel(time=day)
    rmse, bias, pixels, seen = (float(row[name]) for name in ("rmse", "bias", "pixels", "coverage"))
    units = evaluation.results.difference_units
    signed = f"{bias:+.3f}".replace("-", "−")
    scored = f"RMSE {rmse:.3f} {units}, bias {signed} {units} on {pixels:,.0f} withheld pixels"
    return f"{scored} · {100 * seen:.0f} % of the sea observed in the input"
