"""Figures that compare methods: their ranking and their errors day by day."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sereno.evaluation.bootstrap import Ratio
from sereno.evaluation.results import ScoreRow
from sereno.report.figures import LABEL, TITLE, mark_dates, tidy
from sereno.report.styles import COLOURS, look, shown_name

MANY_DAYS = 60
"""Scored days beyond which the days are dots and a running median is the line."""


def ranking_figure(tables: Mapping[str, Mapping[str, ScoreRow]], *, units: str, relative_to: str) -> Figure:
    """Show RMSE and its ratio to a baseline with their intervals, the best method on top.

    Parameters
    ----------
    tables
        By what they are scored against, the rows of the methods. The order is that of the first.
    units
        Of the field's differences.
    relative_to
        What the ratios are to.
    """
    first = next(iter(tables.values()))
    methods = sorted(first, key=lambda label: first[label].rmse)
    figure = Figure(figsize=(10.5, 1.7 + 0.42 * len(methods)), layout="constrained")
    errors, ratios = figure.subplots(1, 2, sharey=True)
    places = np.arange(len(methods))
    for order, (against, rows) in enumerate(tables.items()):
        offset = 0.18 * (2 * order - len(tables) + 1)
        look_of = {"color": COLOURS[order], "markerfacecolor": "white" if order else COLOURS[order]}
        for axis in (errors, ratios):
            scored: list[ScoreRow | Ratio] = [rows[m].ratio if axis is ratios else rows[m] for m in methods]
            value, low, high = np.array([(one.rmse, *one.rmse_interval) for one in scored]).T
            axis.errorbar(
                value,
                places + offset,
                xerr=np.clip([value - low, high - value], 0, None),
                fmt="o",
                capsize=3,
                label=f"against the {against}",
                **look_of,
            )
    ratios.axvline(1, color="0.4", linestyle="--", linewidth=1)
    errors.set_yticks(places, [shown_name(label) for label in methods], fontsize=LABEL)
    errors.set_ylim(len(methods) - 0.4, -0.6)
    errors.set_xlabel(f"RMSE ({units})" if units else "RMSE", fontsize=LABEL)
    ratios.set_xlabel(f"RMSE / RMSE of {shown_name(relative_to)}", fontsize=LABEL)
    errors.set_title("RMSE", fontsize=TITLE)
    ratios.set_title("Ratio to the baseline", fontsize=TITLE)
    for axis in (errors, ratios):
        tidy(axis)
        axis.margins(x=0.08)
    errors.tick_params("y", labelsize=LABEL)
    if len(tables) > 1:
        handles, labels = errors.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False, fontsize=LABEL)
    return figure


def daily_figure(daily: xr.Dataset, *, units: str) -> Figure:
    """Show RMSE and bias of each method day by day, and how much of the sea was seen.

    Parameters
    ----------
    daily
        ``rmse``, ``bias`` (method, time) and ``coverage`` (time), a share, as `Evaluation.daily` has them.
    units
        Of the field's differences.
    """
    figure = Figure(figsize=(10.5, 6.2), layout="constrained")
    errors, biases, coverage_axis = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 1.2))
    for order, label in enumerate(daily["method"].values):
        for axis, score in ((errors, "rmse"), (biases, "bias")):
            _draw_days(axis, daily[score].sel({"method": label}), shown_name(str(label)), order)
    biases.axhline(0, color="0.4", linewidth=1, linestyle="--")
    coverage_axis.vlines(daily["time"].values, 0, 100 * daily["coverage"].values, color="#a9bccf", linewidth=2)
    errors.set_ylim(bottom=0)
    coverage_axis.set_ylim(0, 103)
    texts = {"RMSE": errors, "bias": biases}
    for name, axis in texts.items():
        axis.set_ylabel(f"{name} ({units})" if units else name, fontsize=LABEL)
    coverage_axis.set_ylabel("sea observed (%)", fontsize=LABEL)
    mark_dates(coverage_axis, daily["time"].values)
    for axis in (errors, biases, coverage_axis):
        tidy(axis)
    figure.align_ylabels()
    handles, labels = errors.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), 4), frameon=False)
    return figure


def _draw_days(axis: Axes, values: xr.DataArray, label: str, order: int) -> None:
    """Draw the scored days of one method: joined where they are few, else as dots about their running median."""
    style = look(order)
    known = pd.Series(values.values, index=pd.DatetimeIndex(values["time"].values)).dropna()
    if known.size <= MANY_DAYS:
        axis.plot(known.index, known.to_numpy(), label=label, linewidth=1.2, markersize=4, **style)
        return
    axis.plot(known.index, known.to_numpy(), linestyle="", markersize=2, alpha=0.25, **style)
    running = known.rolling(31, center=True, min_periods=8).median()
    axis.plot(running.index, running.to_numpy(), label=label, color=style["color"], linewidth=1.6)
