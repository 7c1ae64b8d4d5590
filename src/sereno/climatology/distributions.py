"""Distributions of fields too large for memory: moments, fine histograms and the quantiles that follow from them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import compute

from sereno.cube import days_per_block
from sereno.errors import InputError

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
MOST_BINS = 5000
"""Bins of a histogram, about."""
Bins = tuple[int, int, float]
"""First and last bin as multiples of the width, and the width."""
_RELATIVE_WIDTH = 1e-9
_LONG = {"mean": "mean", "std": "standard deviation", "minimum": "smallest value", "maximum": "greatest value"}


def distributions(fields: Mapping[str, xr.DataArray]) -> xr.Dataset:
    """Return moments, histogram and quantiles of each field, read together, twice, a few blocks of days at a time.

    The width of the bins is 1, 2 or 5 times a power of ten, so that there are up to `MOST_BINS`, and round values
    lie in the middle of a bin, so that values stored as counts do not fall between two. A quantile is the middle of
    the bin which holds the smallest value that the wanted share of the values does not exceed (the inverted
    distribution function): it is right to half a bin's width.

    Parameters
    ----------
    fields
        By name, arrays (time, lat, lon), lazy or not, NaN where missing; ``units`` are kept.

    Returns
    -------
    xr.Dataset
        In memory, for each NAME: ``NAME_histogram`` (NAME_bin,), int64, with the middle of each bin as coordinate and
        its width as attribute ``bin_width``; ``NAME_quantile`` (quantile,); and the numbers ``NAME_mean``,
        ``NAME_std`` (of the population), ``NAME_minimum``, ``NAME_maximum`` and ``NAME_observations``.

    Raises
    ------
    InputError
        If a field holds no value at all.
    """
    lazy = {name: _lazily(values) for name, values in fields.items()}
    first = compute({name: [v.count(), v.sum(), v.min(), v.max()] for name, v in lazy.items()})[0]
    summaries: dict[str, dict[str, float]] = {}
    for name, (count, total, low, high) in first.items():
        if count == 0:
            raise InputError(f"{name}: not one observation to describe")
        summaries[name] = {"mean": float(total / count), "minimum": float(low), "maximum": float(high)}
    bins = {name: _bins(summary["minimum"], summary["maximum"]) for name, summary in summaries.items()}
    second = compute(
        {
            name: [((values - summaries[name]["mean"]) ** 2).sum(), _histogram(values, bins[name])]
            for name, values in lazy.items()
        }
    )[0]
    parts = []
    for name, (squares, counts) in second.items():
        summaries[name]["std"] = math.sqrt(squares / counts.sum())
        parts.append(_dataset(name, summaries[name], bins[name], counts, str(fields[name].attrs.get("units", ""))))
    return xr.merge(parts)


def nice_width(width: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is at least `width`, within rounding."""
    decade = 10.0 ** math.floor(math.log10(width))
    return next(factor * decade for factor in (1, 2, 5, 10) if factor * decade >= width * (1 - 1e-9))


def _lazily(values: xr.DataArray) -> xr.DataArray:
    days = days_per_block(math.prod(values.shape[1:]))
    return (values if values.chunks else values.chunk(time=days)).astype(np.float64)


def _bins(low: float, high: float) -> Bins:
    """Return bins round the multiples of a nice width, one more on either side than the values need."""
    width = nice_width(max(((high - low) or 1.0) / MOST_BINS, _RELATIVE_WIDTH * max(abs(low), abs(high))))
    return round(low / width) - 1, round(high / width) + 1, width


def _histogram(values: xr.DataArray, bins: Bins) -> da.Array:
    first, last, width = bins
    edges = ((first - 0.5) * width, (last + 0.5) * width)
    counts: da.Array
    counts, _ = da.histogram(values.data, bins=last - first + 1, range=edges)
    return counts


def _dataset(name: str, summary: dict[str, float], bins: Bins, counts: np.ndarray, units: str) -> xr.Dataset:
    first, last, width = bins
    middle = np.arange(first, last + 1) * width
    reached = np.cumsum(counts)
    # Less a trifle, or 0.05 × 100 would count as more than five.
    ranks = np.ceil(np.array(QUANTILES) * reached[-1] * (1 - 1e-12))
    histogram = {"long_name": f"number of values of {name} in each bin", "units": "1", "bin_width": width}
    quantiles = middle[np.searchsorted(reached, ranks)]
    bin_name = f"{name}_bin"
    return xr.Dataset(
        {
            f"{name}_{key}": ((), summary[key], {"long_name": f"{_LONG[key]} of {name}", "units": units})
            for key in _LONG
        }
        | {
            f"{name}_observations": ((), reached[-1], {"long_name": f"number of values of {name}", "units": "1"}),
            f"{name}_histogram": ((bin_name,), counts.astype(np.int64), histogram),
            f"{name}_quantile": (("quantile",), quantiles, {"long_name": f"quantiles of {name}", "units": units}),
        },
        coords={
            bin_name: (bin_name, middle, {"long_name": f"middle of the bin of {name}", "units": units}),
            "quantile": (
                "quantile",
                np.array(QUANTILES),
                {"long_name": "share of values", "units": "1"},
            ),
        },
    )
