"""Figures of an exploration: where and how long it is cloudy, what is seen when, how values are distributed."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from sereno.io.outputs.atomic import atomic_files, atomic_text, write_dataset
from sereno.progress import Progress, silent
from sereno.report.figures import (
    BAR_HEIGHT,
    LABEL,
    MARGIN,
    TICK,
    TITLE,
    ZERO_CELSIUS,
    common_limits,
    draw_map,
    is_kelvin,
    mark_dates,
    panel_size,
    projection_of,
    save,
    thinned,
    tidy,
    unit_label,
)
from sereno.report.input_tables import decimals, description_csv

LONG_RECORD = 1500
"""Days beyond which coverage is drawn as dots: a line would be a solid block."""
BARS = 80
"""Bars that a histogram shows at most, between the outermost 0.1 % on either side."""
_FIRST, _SECOND, _PALE = "#4c6a88", "#c8553d", "#a9bccf"
_MONTHS = "JFMAMJJASOND"
_HEADROOM = 1.35
"""The axis of a histogram is this many times as high as its greatest bar; the legend is above the bars."""


def save_description(description: xr.Dataset, folder: str | Path, *, progress: Progress = silent) -> list[Path]:
    """Write ``describe.nc``, ``describe.csv`` and the figures into a folder, all of them or none.

    Parameters
    ----------
    description
        What `sereno.workflow.describe.describe` returns.
    folder
        Made where it is not there yet; what else it holds is left alone.
    progress
        Called with the stage ``"figures"`` and the fraction drawn.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    InputError
        If the folder cannot be written to.
    """
    figures = {
        "cover.png": cover_figure,
        "persistence.png": persistence_figure,
        "coverage.png": monthly_coverage_figure,
        "distributions.png": distributions_figure,
    }
    names = ["describe.nc", "describe.csv", *figures]
    stored = _with_attributes(description)
    with atomic_files(folder) as temporary:
        write_dataset(stored, temporary / names[0])
        atomic_text(temporary / names[1], description_csv(description))
        for done, (name, draw) in enumerate(figures.items()):
            progress("figures", done / len(figures))
            save(draw(description), temporary / name)
        progress("figures", 1.0)
    return [Path(folder) / name for name in names]


def _with_attributes(description: xr.Dataset) -> xr.Dataset:
    """Return a description with the attributes that CF-1.11 asks for in a file."""
    stored = description.assign(water=description["water"].astype("int8"))
    flags = {"flag_values": np.array([0, 1], "int8"), "flag_meanings": "land water"}
    stored["water"].attrs = {"long_name": "water mask", **flags}
    stored["time"].attrs = {"standard_name": "time", "long_name": "day", "axis": "T"}
    for name, variable in stored.variables.items():
        if is_kelvin(stored[name]):
            difference = str(name).startswith("anomaly") or str(name).endswith("_std")
            variable.attrs["units_metadata"] = f"temperature: {'difference' if difference else 'on_scale'}"
    now = pd.Timestamp.now("UTC").strftime("%Y-%m-%dT%H:%M:%SZ")
    return stored.assign_attrs(Conventions="CF-1.11", history=f"{now} sereno {version('sereno')}: described")


def cover_figure(description: xr.Dataset) -> Figure:
    """Map cloud cover, the mean length of gaps and the longest gap."""
    panels = {
        "cloud_cover": ("Cloud cover", "% of days", "cmo.ice"),
        "gap_mean": ("Mean length of gaps", "days", "cmo.matter"),
        "gap_longest": ("Longest gap", "days", "cmo.matter"),
    }
    width, height = panel_size(description["water"])
    columns = 1 if width > 1.5 * height else len(panels)  # wide seas one above the other, so that maps stay large
    rows = len(panels) // columns
    figure = Figure(figsize=(columns * (width + MARGIN), rows * (height + BAR_HEIGHT) + 0.5))
    figure.set_layout_engine("compressed", h_pad=0.1)
    drawn_in = {"projection": projection_of(description["water"])}
    axes = figure.subplots(rows, columns, subplot_kw=drawn_in, squeeze=False).ravel()
    for axis, (name, (title, label, scale)) in zip(axes, panels.items(), strict=True):
        values = thinned(description[name])
        limits = common_limits([values])
        draw_map(
            axis, values, description["water"], title=title, limits=limits, colours=colormaps[scale], label=label
        )
    figure.suptitle(_period(description), fontsize=TITLE + 1)
    return figure


def persistence_figure(description: xr.Dataset) -> Figure:
    """Show how many gaps are of each length, and how much of them and of the missing days longer ones hold."""
    length = description["gap_length"].values
    runs, censored = (description[name].values for name in ("gap_runs", "gap_runs_censored"))
    figure = Figure(figsize=(10.5, 4.4), layout="constrained")
    counted, exceeded = figure.subplots(1, 2)
    whole = runs - censored
    counted.plot(length[whole > 0], whole[whole > 0], "o", markersize=4, color=_FIRST, label="whole")
    cut = censored > 0
    label = "cut off by an end of the record"
    counted.plot(length[cut], censored[cut], "x", markersize=5, color=_SECOND, label=label)
    counted.set_yscale("log")
    counted.set_ylabel("gaps, over all water pixels", fontsize=LABEL)
    counted.set_title("Gaps by length", fontsize=TITLE)
    shares = {"of all gaps": runs, "of all missing days": runs * length}
    for (name, weights), colour in zip(shares.items(), (_FIRST, _SECOND), strict=True):
        at_least = 100 * weights[::-1].cumsum()[::-1] / max(weights.sum(), 1)
        exceeded.plot(length, at_least, color=colour, label=name, marker="." if length.size < 60 else "")
    exceeded.set_ylim(0, 103)
    exceeded.set_ylabel("% in gaps of that length or longer", fontsize=LABEL)
    exceeded.set_title("Persistence", fontsize=TITLE)
    for axis in (counted, exceeded):
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_xlim(0.9, 1.15 * max(length[-1], 2))
        axis.set_xlabel("length of gap (days)", fontsize=LABEL)
        tidy(axis)
        axis.legend(frameon=False, fontsize=TICK)
    figure.suptitle(_period(description), fontsize=TITLE + 1)
    return figure


def monthly_coverage_figure(description: xr.Dataset) -> Figure:
    """Show coverage day by day with the means of months, and by month of the year."""
    daily, monthly = description["coverage"], description["coverage_monthly"]
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    series, year = figure.subplots(1, 2, width_ratios=(3, 1))
    style: dict[str, Any] = {"color": _PALE if monthly.size > 1 else _FIRST, "linewidth": 1.0}
    if daily.size < 60:
        style["marker"] = "."
    elif daily.size > LONG_RECORD:
        style |= {"marker": ".", "markersize": 1.5, "linewidth": 0}
    series.plot(daily["time"], daily, label="each day", **style)
    if monthly.size > 1:
        middle = monthly["month"].values + np.timedelta64(15, "D")
        series.plot(middle, monthly, color=_FIRST, linewidth=1.3, label="mean of the month")
        series.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=2,
            frameon=False,
            fontsize=TICK,
            borderaxespad=0.2,
            markerscale=3 if daily.size > LONG_RECORD else 1,
        )
    series.margins(x=0.01)
    series.set_title(f"Coverage, {float(daily.mean()):.1f} % on average", fontsize=TITLE, loc="right")
    mark_dates(series, daily["time"].values)
    of_year = description["coverage_by_month_of_year"]
    year.bar(of_year["month_of_year"], of_year, color=_FIRST, width=0.8)
    year.set_xlim(0.4, 12.6)
    year.set_xticks(range(1, 13), list(_MONTHS))
    year.set_title("By month of the year", fontsize=TITLE)
    for axis in (series, year):
        axis.set_ylim(0, 103)
        axis.set_ylabel("% of the sea", fontsize=LABEL)
        axis.set_axisbelow(True)
        tidy(axis)
    return figure


def distributions_figure(description: xr.Dataset) -> Figure:
    """Show the distributions of the field and of its anomalies from the daily climatology."""
    field = str(description.attrs["field"])
    figure = Figure(figsize=(10.5, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_histogram(left, description, field, title="SST" if field == "sst" else field)
    made_of = f"Anomaly from the climatology\n({description.attrs['climatology']})"
    _draw_histogram(right, description, "anomaly", title=made_of)
    figure.suptitle(_period(description), fontsize=TITLE + 1)
    return figure


def _draw_histogram(axis: Axes, description: xr.Dataset, name: str, *, title: str) -> None:
    """Draw a histogram in per cent of the values, with their mean, their median and the middle nine tenths."""
    histogram, middle = description[f"{name}_histogram"], description[f"{name}_bin"]
    absolute = is_kelvin(middle) and name != "anomaly"
    unit, spread = (unit_label(middle, difference=difference) for difference in (not absolute, True))
    shift = ZERO_CELSIUS if absolute else 0.0
    edges, share = _bars(histogram.values, middle.values - shift, histogram.attrs["bin_width"])
    quantile = description[f"{name}_quantile"] - shift
    low, median, high = (float(quantile.sel(quantile=q)) for q in (0.05, 0.5, 0.95))
    mean, std = float(description[f"{name}_mean"]) - shift, float(description[f"{name}_std"])
    number = f"{{:z.{decimals(std)}f}}".format
    top = 1 / _HEADROOM
    axis.stairs(share, edges, fill=True, color=_PALE)
    axis.stairs(share, edges, color=_FIRST, linewidth=1)
    label = f"5 to 95 %: {number(low)} to {number(high)} {unit}"
    axis.axvspan(low, high, ymax=top, color=_SECOND, alpha=0.10, linewidth=0, label=label)
    axis.axvline(median, ymax=top, color=_SECOND, linewidth=1.3, label=f"median {number(median)} {unit}")
    label = f"mean {number(mean)} {unit}, std {number(std)} {spread}"
    axis.axvline(mean, ymax=top, color="0.15", linewidth=1.3, linestyle="--", label=label)
    axis.set_xlim(edges[0], edges[-1])
    axis.set_ylim(0, 1.05 * _HEADROOM * share.max())
    axis.set_title(title, fontsize=TITLE)
    axis.set_xlabel(unit, fontsize=LABEL)
    axis.set_ylabel(f"% of observations, by {edges[1] - edges[0]:.3g} {spread}".rstrip(), fontsize=LABEL)
    tidy(axis)
    axis.legend(frameon=False, fontsize=TICK, loc="upper left")


def _bars(counts: np.ndarray, middle: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Merge fine bins into bars; return their edges and the % of all values in each, the far tails left out."""
    reached = np.cumsum(counts)
    first, last = np.searchsorted(reached, (0.001 * reached[-1], 0.999 * reached[-1]))
    fewest = -(-(last - first + 1) // BARS)
    # Bars of a round width hold as many counts of packed data each; 33 bins of 0.002 K would look like a comb.
    widths = (nice * 10.0**power for power in range(-9, 10) for nice in (1, 2, 5))
    merged = next(
        (round(bar / width) for bar in widths if _whole(bar / width) and bar / width > fewest - 0.5), fewest
    )
    starts = np.arange(first, last + 1, merged)
    bars = np.add.reduceat(np.append(counts[: starts[-1] + merged], 0), starts)
    edges = middle[0] + width * (np.append(starts, starts[-1] + merged) - 0.5)
    return edges, 100 * bars / reached[-1]


def _whole(number: float) -> bool:
    return abs(number - round(number)) < 1e-6 * number


def _period(description: xr.Dataset) -> str:
    first, _, last = str(description.attrs["period"]).partition(":")
    return f"{first} to {last}"
