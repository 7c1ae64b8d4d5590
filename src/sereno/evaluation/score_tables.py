"""The scores that follow from the sums: a row a method, with intervals and ratios, tables, series and maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from sereno.errors import InputError
from sereno.evaluation.bootstrap import (
    LEVEL,
    RESAMPLES,
    Resampled,
    block_length,
    draw,
    intervals,
    ratio,
    resampled,
)
from sereno.evaluation.gradients import gradient_scores
from sereno.evaluation.metrics import DailySums, SumsWithZeros, scores, scores_with_zeros
from sereno.evaluation.reliability import reliability
from sereno.evaluation.results import IntervalRecord, ScoreRow, ScoreTable, Spectra, same_scores
from sereno.evaluation.spectra import spectrum
from sereno.evaluation.strata import tabulate
from sereno.evaluation.sums import PixelSums, Tally


def score_table(
    tallies: Mapping[str, Tally],
    shared: Mapping[str, list[str]],
    seconds: Mapping[str, float],
    *,
    protocol: str,
    relative_to: str,
    seed: int,
) -> ScoreTable:
    """Return all scores against one reference.

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
    """
    baselines = {name: tallies[members[0]] for name, members in shared.items()}
    daily = {name: one.baseline for name, one in baselines.items()}
    daily |= {label: one.method for label, one in tallies.items()}  # a method of a baseline's name is the baseline
    yardstick = _Yardstick(daily[relative_to], seed)
    with_zeros = protocol == "hidden-day"
    spectra = ((label, spectrum(one.spectrum)) for label, one in tallies.items())
    known = {label: one for label, one in spectra if one is not None}
    return ScoreTable(
        methods={
            label: yardstick.row(
                one.method,
                one.method_with_zeros if with_zeros else None,
                effective_resolution=known[label].effective_resolution if label in known else None,
                **vars(gradient_scores(one.gradient)),
                seconds=seconds[label],
            )
            for label, one in tallies.items()
        },
        baselines={
            name: yardstick.row(one.baseline, one.baseline_with_zeros if with_zeros else None)
            for name, one in baselines.items()
        },
        strata=tabulate({label: one.strata for label, one in tallies.items()}),
        spectra=Spectra(known) if known else None,
        reliability={label: reliability(one.reliability) for label, one in tallies.items()},
    )


class _Yardstick:
    """What rows are measured by: the scores of one of them, on resamples that all share."""

    def __init__(self, daily: DailySums, seed: int) -> None:
        self._scores = scores(daily.total)
        self._times = draw(len(daily.days), seed=seed)
        self._resampled = self._resample(daily)

    def row(self, daily: DailySums, with_zeros: SumsWithZeros | None, **further: Any) -> ScoreRow:  # noqa: ANN401
        """Return the row of these sums, with intervals and its ratio to the baseline, and `further` scores."""
        pooled, resamples = scores(daily.total), self._resample(daily)
        zeros = {} if with_zeros is None else vars(scores_with_zeros(with_zeros))
        compared = ratio(pooled, self._scores, resamples, self._resampled)
        return ScoreRow(**vars(pooled), **zeros, **vars(intervals(resamples)), ratio=compared, **further)

    def _resample(self, daily: DailySums) -> Resampled:
        resamples = resampled(daily, self._times)
        if len(daily.days) < 2:  # resamples of a single day are all the same
            return {name: np.full_like(values, np.nan) for name, values in resamples.items()}
        return resamples


def interval_record(days: int) -> IntervalRecord:
    """Return how intervals over a number of scored days are made."""
    return IntervalRecord(level=LEVEL, resamples=RESAMPLES, block_days=block_length(days))


def shared_baselines(tallies: Mapping[str, Tally]) -> dict[str, list[str]]:
    """Return the distinct baselines by name, each with the methods that depart from it; equal scores are one."""
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
    scores = {"rmse": np.sqrt(means["rmse"]), "bias": means["bias"], "crps": means["crps"]}
    scores["pixels"] = sums["pixels"].astype(np.int64)
    return xr.Dataset(
        {name: (("method", "time"), values) for name, values in scores.items()}
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
