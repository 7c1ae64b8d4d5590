"""Figures of an evaluation: errors by strata, and target, prediction and climatology side by side."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from sereno.evaluation.evaluation import Evaluation
from sereno.evaluation.strata import STRATA, BinnedScores, StrataScores, Stratum
from sereno.progress import Progress, silent
from sereno.report.figures import maps_figure, save
from sereno.report.styles import look, shown_name

_COLUMNS = 2
_BARS = "0.9"
_TITLE, _LABEL, _TICK = 11, 10, 9


def save_score_figures(evaluation: Evaluation, folder: Path, *, progress: Progress = silent) -> list[Path]:
    """Write ``strata.png`` and, for each method, ``triptych_<method>.png``; return the paths.

    Strata are against the truth where it is known. `progress` gets the stage ``"figures"`` and the fraction drawn.
    """
    results = evaluation.results
    strata = results.judge[1].strata
    paths = [save(strata_figure(strata, units=results.difference_units), folder / "strata.png")]
    for done, (method, example) in enumerate(evaluation.examples.items()):
        progress("figures", done / len(evaluation.examples))
        figure = triptych_figure(example, method=method, protocol=results.protocol)
        name = re.sub(r"[^\w.+-]+", "_", method)  # a method may have any name, a file may not
        paths.append(save(figure, folder / f"triptych_{name}.png"))
    progress("figures", 1.0)
    return paths


def triptych_figure(example: xr.Dataset, *, method: str, protocol: str) -> Figure:
    """Show target, prediction and climatology of the day of median coverage side by side, with one colour scale.

    Parameters
    ----------
    example
        ``target``, ``mean``, ``climatology`` (time, lat, lon) and ``water``, as in
        `sereno.evaluation.evaluate.Evaluation.examples`.
    method
        The method's name, for the heading.
    protocol
        Under ``hidden-day`` the target is what was hidden.
    """
    return maps_figure(
        example["target"],
        example,
        day=example.attrs["middling_day"],
        target_title="Target: the hidden observations" if protocol == "hidden-day" else "Target: the observations",
        analysis_title="Prediction",
        heading=shown_name(method),
        with_std=False,
    )


def strata_figure(strata: StrataScores, *, units: str) -> Figure:
    """Show the RMSE of each method by strata, a panel each, over bars of how many pixels a bin holds.

    Parameters
    ----------
    strata
        Scores by stratum, bin and method.
    units
        Of the field.

    Returns
    -------
    matplotlib.figure.Figure
        Axes: the panels in the order of `sereno.evaluation.strata.STRATA`, then those of the bars.
    """
    shown = {name: stratum for name, stratum in STRATA.items() if name in strata}
    methods = list(next(iter(strata[next(iter(shown))].values())))
    rows = -(-len(shown) // _COLUMNS)
    figure = Figure(figsize=(5.25 * _COLUMNS, 3.2 * rows + 0.6), layout="constrained")
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for axis in panels[len(shown) :]:
        axis.set_axis_off()
    for axis, (name, stratum) in zip(panels, shown.items(), strict=False):
        _draw_stratum(axis, stratum, strata[name], methods)
        axis.set_ylabel(f"RMSE, {units}" if units else "RMSE", fontsize=_LABEL)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(len(methods), 5), frameon=False)
    return figure


def _draw_stratum(axis: Axes, stratum: Stratum, bins: BinnedScores, methods: list[str]) -> None:
    """Draw one panel: the RMSE of each method in each bin that holds pixels, and their number behind."""
    labels = [label for label in stratum.labels if label in bins]
    places = np.arange(len(labels))
    counts = axis.twinx()
    counts.bar(places, [bins[label][methods[0]].n_pixels for label in labels], width=0.8, color=_BARS)
    counts.yaxis.set_major_formatter(EngFormatter(sep=""))
    counts.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    counts.set_ylabel("pixels", fontsize=_TICK, color="0.5")
    counts.tick_params(labelsize=_TICK, colors="0.5")
    counts.spines[["top"]].set_visible(False)
    axis.set_zorder(counts.get_zorder() + 1)  # lines before bars
    axis.patch.set_visible(False)
    joined = len(labels) - (stratum.last_is_apart and stratum.labels[-1] in bins)
    for order, method in enumerate(methods):
        rmse = [bins[label][method].rmse for label in labels]
        style = look(order)
        axis.plot(places[:joined], rmse[:joined], label=shown_name(method), linewidth=1.4, markersize=5, **style)
        axis.plot(places[joined:], rmse[joined:], linestyle="", markersize=5, **style)
    axis.set_xticks(places, [_short(label) for label in labels], fontsize=_TICK)
    middle, half = (len(labels) - 1) / 2, max(len(labels), 3) / 2 + 0.1
    axis.set_xlim(middle - half, middle + half)
    highest = max(row.rmse for scored in bins.values() for row in scored.values())
    axis.set_ylim(0, 1.12 * highest or 1.0)
    axis.set_title(stratum.title, fontsize=_TITLE)
    axis.tick_params(labelsize=_TICK)
    axis.grid(axis="y", alpha=0.3)
    axis.spines[["top"]].set_visible(False)


def _short(label: str) -> str:
    """Break the label of a bin so that it fits between its neighbours."""
    value, _, rest = label.removesuffix(" and more").partition(" ")
    more = "+" if label.endswith(" and more") else ""
    return f"{value}{more}\n{rest}".replace("-", "–").replace("the ", "the\n").rstrip()
