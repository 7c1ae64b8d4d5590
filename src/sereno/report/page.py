"""The report: tables, figures and maps of days of an evaluation, in one file that needs no other."""

from __future__ import annotations

import io
import platform
from collections.abc import Iterator
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.figure import Figure

from sereno.evaluation.evaluation import Evaluation
from sereno.io.outputs.atomic import atomic_path
from sereno.progress import Progress, reporter
from sereno.report.calibration_figures import reliability_figure, spectra_figure
from sereno.report.comparison_figures import daily_figure, ranking_figure
from sereno.report.day_maps import error_maps, gallery
from sereno.report.printed_scores import cautions
from sereno.report.rasters import data_uri
from sereno.report.reading_notes import NOTES
from sereno.report.score_figures import strata_figure
from sereno.report.text import facts, fitted, period, tables, verdict

_DPI = 110
JUDGES = {"truth": "truth", "observations": "withheld observations"}
_FIGURES = 5
"""Largest number of figures, for the progress."""


def save_report(
    evaluation: Evaluation, folder: str | Path, *, command: str = "", progress: Progress | bool = False
) -> Path:
    """Write ``report.html``: one file for any browser, which needs no network.

    Parameters
    ----------
    evaluation
        What `sereno.evaluate` returns.
    folder
        An existing folder.
    command
        What made the evaluation, to be shown.
    progress
        True for a bar, or a function of the stage ``"report"`` and the fraction done.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        If the folder is missing or cannot be written to.

    Examples
    --------
    >>> import sereno, tempfile
    >>> from sereno.synthetic import TwinSeaConfig, twin_sea
    >>> cube = twin_sea(TwinSeaConfig(days=40, shape=(24, 32)))
    >>> result = sereno.evaluate(cube, ["climatology", "persistence"], days="2019-01-20:2019-01-25", share=0.5)
    >>> sereno.save_report(result, tempfile.mkdtemp()).name
    'report.html'
    """
    path = Path(folder) / "report.html"
    with atomic_path(path) as temporary:
        temporary.write_text(_page(evaluation, command, reporter(progress)), encoding="utf-8")
    return path


def _page(evaluation: Evaluation, command: str, progress: Progress) -> str:
    """Draw everything and return the page."""
    results = evaluation.results
    figures: dict[str, list[dict[str, Any]]] = {}
    progress("report", 0.0)
    for done, (name, caption, figure) in enumerate(_drawn(evaluation)):
        figures.setdefault(name, []).append({"caption": caption, **_embedded(figure)})
        progress("report", 0.7 * (done + 1) / _FIGURES)
    shown = gallery(evaluation, progress=lambda _, done: progress("report", 0.7 + 0.3 * done))
    page = _template().render(
        title=f"Evaluation, {period(results.days)}",
        verdict=verdict(results),
        facts=facts(results, command),
        cautions=list(cautions(results.fitted)),
        fitted=fitted(results),
        versions={name: version(name) for name in ("sereno", "numpy", "scipy", "xarray", "torch")}
        | {"Python": platform.python_version()},
        tables=tables(results),
        notes=NOTES,
        figures=figures,
        gallery=shown,
        error_maps=error_maps(evaluation),
        judge=JUDGES[evaluation.maps.attrs["against"]],
        style=_part("report.css"),
        script=_part("report.js"),
    )
    progress("report", 1.0)
    return page


def _drawn(evaluation: Evaluation) -> Iterator[tuple[str, str, Figure]]:
    """Yield every figure there is something for: the note it belongs to, what it is in words, the figure."""
    results, units = evaluation.results, evaluation.results.difference_units
    against, table = results.judge
    ranked = {name: one.methods for name, one in reversed(results.tables.items())}
    figure = ranking_figure(ranked, units=units, relative_to=results.relative_to)
    yield "ranking", f"RMSE of each method against the {' and the '.join(ranked)}", figure
    yield "daily", "RMSE and bias of each day, by method", daily_figure(evaluation.daily, units=units)
    yield "strata", f"RMSE against the {against} by strata, by method", strata_figure(table.strata, units=units)
    figure = reliability_figure(table.reliability, units=units)
    yield "reliability", f"Coverage of intervals and spread against the {against}, by method", figure
    if table.spectra:
        segments = f"{table.spectra.common.segments:,} segments of {table.spectra.common.segment_cells} cells"
        figure = spectra_figure(table.spectra, reference=against, units=units)
        yield "spectra", f"Spectra and score against the {against}, by method, from {segments}", figure


def _embedded(figure: Figure) -> dict[str, Any]:
    """Return a figure as an image that a page can hold, with its size in pixels."""
    stream = io.BytesIO()
    figure.savefig(stream, format="webp", dpi=_DPI, pil_kwargs={"lossless": True})
    width, height = figure.get_size_inches() * _DPI
    return {"image": data_uri(stream.getvalue(), "image/webp"), "width": int(width), "height": int(height)}


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_part("report.html"))


def _part(name: str) -> str:
    """Return a part of the page from the folder of this module."""
    return files("sereno").joinpath("report", name).read_text(encoding="utf-8")
