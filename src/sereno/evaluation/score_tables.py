"""The scores that follow from the sums: a row a method, with intervals and ratios, tables, series and maps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from sereno.errors import InputError
from sereno.evaluation.bootstrap import LEVEL, RESAMPLES, block_length, draw, intervals, ratio, resampled
from sereno.evaluation.gradients import gradient_scores
from sereno.evaluation.metrics import DailySums, scores, scores_with_zeros
from sereno.evaluation.reliability import reliability
from sereno.evaluation.spectra import spectrum
from sereno.evaluation.strata import tabulate
from sereno.evaluation.sums import PixelSums, Tally

Row = dict[str, Any]
"""Scores by name; intervals as ``[low, high]``, and ``ratio`` nested."""
OF_THE_STD = frozenset({"crps", "coverage_1sigma", "coverage_2sigma", "z_mean", "z_std"})
"""Scores that the standard deviation has a part in."""


def tables(
    tallies: Mapping[str, Tally],
    shared: Mapping[str, list[str]],
    seconds: Mapping[str, float],
    *,
    protocol: str,
    relative_to: str,
    seed: int,
) -> dict[str, Any]:
    """Return all that is told against one reference.

    Parameters
    ----------
    tallies
        The sums by method.
    shared
        The baselines by name, each with the methods that depart from it, as of `shared_baselines`.
    seconds
        What each method took.
    protocol
        Under ``hidden-day`` there are scores with zeros too.
    relative_to
        The method or baseline that ratios are to.
    seed
        Of the resamples.

    Returns
    -------
    dict
        ``methods`` and ``baselines``, a row each; ``strata``, ``spectra``, ``reliability``.
    """
    spectra = {label: spectrum(one.spectrum) for label, one in tallies.items()}
    methods, baselines = _rows(tallies, shared, spectra, with_zeros=protocol == "hidden-day")
    sums = {name: tallies[members[0]].baseline for name, members in shared.items()}
    sums |= {label: one.method for label, one in tallies.items()}  # a method of a baseline's name is the baseline
    yardstick = _Yardstick((baselines | methods)[relative_to], sums[relative_to], seed)
    for row, daily in (
        *((methods[label], one.method) for label, one in tallies.items()),
        *((baselines[name], tallies[members[0]].baseline) for name, members in shared.items()),
    ):
        row |= yardstick.uncertain(row, daily)
    for label, row in methods.items():
        row["seconds"] = seconds[label]
    return {
        "methods": methods,
        "baselines": baselines,
        "strata": tabulate({label: one.strata for label, one in tallies.items()}),
        "spectra": _spectra(spectra),
        "reliability": {label: reliability(one.reliability) for label, one in tallies.items()},
    }


def _rows(
    tallies: Mapping[str, Tally],
    shared: Mapping[str, list[str]],
    spectra: Mapping[str, dict[str, Any] | None],
    *,
    with_zeros: bool,
) -> tuple[dict[str, Row], dict[str, Row]]:
    """Return the rows of the methods and of the baselines, without intervals."""
    methods: dict[str, Row] = {}
    for label, one in tallies.items():
        told = spectra[label]
        resolution = {"effective_resolution": None if told is None else told["effective_resolution"]}
        methods[label] = scores(one.method.total) | resolution | gradient_scores(one.gradient)
        if with_zeros:
            methods[label] |= scores_with_zeros(one.method_with_zeros)
    baselines: dict[str, Row] = {}
    for name, members in shared.items():
        one = tallies[members[0]]
        baselines[name] = dict(scores(one.baseline.total))
        if with_zeros:
            baselines[name] |= scores_with_zeros(one.baseline_with_zeros)
    return methods, baselines


class _Yardstick:
    """What rows are measured by: the row and the sums of one of them, on resamples that all share."""

    def __init__(self, row: Row, daily: DailySums, seed: int) -> None:
        self._row = dict(row)
        self._times = draw(len(daily.days), seed=seed)
        self._resampled = resampled(daily, self._times)

    def uncertain(self, row: Row, daily: DailySums) -> Row:
        """Return the intervals of a row and its ratio to the yardstick."""
        mine, other = resampled(daily, self._times), self._resampled
        if len(daily.days) < 2:  # resamples of a single day are all the same, and tell nothing
            mine, other = (
                {name: np.full_like(values, np.nan) for name, values in one.items()} for one in (mine, other)
            )
        return intervals(mine) | {"ratio": ratio(row, self._row, mine, other)}


def interval_record(days: int) -> dict[str, Any]:
    """Tell how the intervals are made: ``level``, ``resamples`` and ``block_days``, the scored days of a block."""
    return {"level": LEVEL, "resamples": RESAMPLES, "block_days": block_length(days)}


def _spectra(spectra: Mapping[str, dict[str, Any] | None]) -> dict[str, Any] | None:
    """Return the spectra of all methods, what they share told once; None where there is none."""
    known = {label: told for label, told in spectra.items() if told is not None}
    if not known:
        return None
    common = next(iter(known.values()))
    own = ("analysis", "error", "score", "effective_resolution")
    return {
        **{name: common[name] for name in ("segment_cells", "segments", "wavelength", "reference")},
        "methods": {label: {name: told[name] for name in own} for label, told in known.items()},
    }


def shared_baselines(tallies: Mapping[str, Tally]) -> dict[str, list[str]]:
    """Return the distinct baselines by name, each with the methods that depart from it, told by their scores."""
    rows = {label: scores(tally.baseline.total) for label, tally in tallies.items()}
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


def same_scores(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether two rows are of the same analysis: the same scores but for rounding and those of the std.

    The climatology as a method has a calibrated std, the climatology that another method departs from has not.
    """
    return all(
        math.isclose(one[name], other[name], rel_tol=1e-6, abs_tol=1e-9)
        or (math.isnan(one[name]) and math.isnan(other[name]))
        for name in (one.keys() & other.keys()) - OF_THE_STD
        if isinstance(one[name], float) and isinstance(other[name], float)
    )


def yardstick_of(relative_to: str | None, methods: list[str], shared: Mapping[str, list[str]]) -> str:
    """Return the name that ratios are to: the one asked for, else the climatology that the first method departs from.

    Raises
    ------
    InputError
        If there is no method of that name.
    """
    if relative_to is None:
        return next(iter(shared))
    if relative_to not in methods:
        raise InputError(f"relative to {relative_to!r}: it is not one of the methods ({', '.join(methods)})")
    return relative_to


def daily_scores(tallies: Mapping[str, Tally], coverage: xr.DataArray, *, against: str) -> xr.Dataset:
    """Return ``rmse``, ``bias``, ``crps`` (NaN without a pixel) and ``pixels`` (method, time), and ``coverage``."""
    each = {label: tally.method for label, tally in tallies.items()}
    names = {"pixels": "pixels", "bias": "error", "rmse": "error_squared", "crps": "crps"}
    sums = {name: np.stack([one.of(field) for one in each.values()]) for name, field in names.items()}
    with np.errstate(invalid="ignore"):
        means = {name: sums[name] / sums["pixels"] for name in ("bias", "rmse", "crps")}
    found = {"rmse": np.sqrt(means["rmse"]), "bias": means["bias"], "crps": means["crps"]}
    found["pixels"] = sums["pixels"].astype(np.int64)
    return xr.Dataset(
        {name: (("method", "time"), values) for name, values in found.items()}
        | {"coverage": ("time", coverage.values)},
        coords={"method": list(each), "time": pd.DatetimeIndex(next(iter(each.values())).days)},
        attrs={"against": against},
    )


def pixel_scores(pixels: Mapping[str, PixelSums], water: xr.DataArray, *, against: str, units: str) -> xr.Dataset:
    """Return ``rmse``, ``bias`` (float32, NaN where never scored) and ``pixels`` (method, lat, lon)."""
    with np.errstate(invalid="ignore"):
        rmse = np.stack([np.sqrt(one.error_squared / one.pixels).astype(np.float32) for one in pixels.values()])
        bias = np.stack([(one.error / one.pixels).astype(np.float32) for one in pixels.values()])
    count = np.stack([one.pixels for one in pixels.values()])
    dims = ("method", "lat", "lon")
    return xr.Dataset(
        {
            "rmse": (dims, rmse, {"long_name": "root mean square error", "units": units}),
            "bias": (dims, bias, {"long_name": "mean of analysis less reference", "units": units}),
            "pixels": (dims, count, {"long_name": "days on which the cell was scored", "units": "1"}),
        },
        coords={"method": list(pixels), "lat": water["lat"], "lon": water["lon"]},
        attrs={"against": against},
    )
