"""Figures of what mean and standard deviation are worth: spectra and effective resolution, reliability, spread."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from sereno.evaluation.reliability import Reliability
from sereno.evaluation.results import Spectra
from sereno.report.figures import LABEL, TICK, TITLE, tidy
from sereno.report.styles import REFERENCE, look, shown_name


def spectra_figure(spectra: Spectra, *, reference: str, units: str) -> Figure:
    """Show the power spectra of reference, analyses and errors, and the score at each wavelength.

    Parameters
    ----------
    spectra
        Of all methods.
    reference
        What the methods are compared with, for the legend.
    units
        Of the field's differences.
    """
    wavelength = spectra.common.wavelength
    figure = Figure(figsize=(10.5, 4.9), layout="constrained")
    power, scored = figure.subplots(1, 2)
    power.loglog(wavelength, spectra.common.reference, color=REFERENCE, linewidth=2, label=reference)
    for order, (label, row) in enumerate(spectra.methods.items()):
        colour = look(order)["color"]
        power.loglog(wavelength, row.analysis, color=colour, linewidth=1.4, label=shown_name(label))
        power.loglog(wavelength, row.error, color=colour, linewidth=1.2, linestyle="--")
        scored.semilogx(wavelength, row.score, color=colour, linewidth=1.4)
        if row.effective_resolution is not None:
            scored.plot(row.effective_resolution, 0.5, linestyle="", markersize=7, **look(order))
    power.plot([], [], color="0.4", linestyle="--", label="error of a method")
    scored.axhline(0.5, color="0.4", linestyle=":", linewidth=1.2)
    scored.set_ylim(-0.25, 1.05)
    squared = f"{units}² km" if units else "power"
    power.set_ylabel(f"power spectral density ({squared})", fontsize=LABEL)
    scored.set_ylabel("1 − PSD(error) / PSD(reference field)", fontsize=LABEL)
    power.set_title("Power spectra", fontsize=TITLE)
    scored.set_title("Share of the variance resolved", fontsize=TITLE)
    for axis in (power, scored):
        _mark_wavelengths(axis, wavelength)
        tidy(axis)
    handles, labels = power.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), 4), frameon=False)
    return figure


def _mark_wavelengths(axis: Axes, wavelength: np.ndarray) -> None:
    """Let wavelengths fall to the right, as the field is used to, with whole kilometres at the ticks."""
    axis.set_xlabel("wavelength (km)", fontsize=LABEL)
    axis.set_xlim(1.1 * np.nanmax(wavelength), 0.9 * np.nanmin(wavelength))
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())


def reliability_figure(reliability: Mapping[str, Reliability], *, units: str) -> Figure:
    """Show how often intervals contain the reference field, and the error at each predicted standard deviation.

    Parameters
    ----------
    reliability
        By method.
    units
        Of the field's differences.
    """
    figure = Figure(figsize=(10.5, 5.2), layout="constrained")
    covered, spread = figure.subplots(1, 2)
    covered.plot([0, 100], [0, 100], color=REFERENCE, linestyle="--", linewidth=1, label="ideal")
    highest = 0.0
    for order, (label, row) in enumerate(reliability.items()):
        style = look(order)
        covered.plot(
            100 * row.nominal, 100 * row.coverage, label=shown_name(label), linewidth=1.4, markersize=5, **style
        )
        shares = row.pixels / max(row.pixels.sum(), 1)
        spread.plot(row.spread, row.error, color=style["color"], linewidth=1.2)
        spread.scatter(row.spread, row.error, s=8 + 220 * shares, c=style["color"], marker=style["marker"])
        highest = max(highest, *row.spread, *row.error)
    highest = 1.06 * highest or 1.0
    spread.plot([0, highest], [0, highest], color=REFERENCE, linestyle="--", linewidth=1)
    for axis, top in ((covered, 100.0), (spread, highest)):
        axis.set_xlim(0, top)
        axis.set_ylim(0, top)
        axis.set_aspect("equal")
        tidy(axis)
    unit = f" ({units})" if units else ""
    covered.set_xlabel("nominal coverage (%)", fontsize=LABEL)
    covered.set_ylabel("observed coverage (%)", fontsize=LABEL)
    spread.set_xlabel(f"predicted standard deviation{unit}", fontsize=LABEL)
    spread.set_ylabel(f"RMSE{unit}", fontsize=LABEL)
    covered.set_title("Reliability", fontsize=TITLE)
    spread.set_title("Spread and skill", fontsize=TITLE)
    for axis in (covered, spread):
        axis.tick_params(labelsize=TICK)
    handles, labels = covered.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), 4), frameon=False)
    return figure
