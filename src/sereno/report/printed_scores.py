"""The tables of an evaluation on the terminal, and what to beware of in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from sereno.evaluation.results import FitRecord, Results, ScoreRow


def _interval(row: ScoreRow) -> str:
    low, high = row.rmse_interval
    return f"{low:.3f}–{high:.3f}" if math.isfinite(low) and math.isfinite(high) else "one day"


COLUMNS: dict[str, Callable[[ScoreRow], str]] = {
    "RMSE": lambda row: f"{row.rmse:.3f}",
    "95 %": _interval,
    "ratio": lambda row: f"{row.ratio.rmse:.3f}",
    "bias": lambda row: f"{row.bias:.3f}",
    "CRPS": lambda row: f"{row.crps:.3f}",
    "z std": lambda row: f"{row.z_std:.3f}",
    "time, s": lambda row: "" if row.seconds is None else f"{row.seconds:.2f}",
}
"""Scores shown on the terminal by their headings; the files hold all scores."""
REFERENCE_COLUMNS: dict[str, Callable[[ScoreRow], str]] = {
    "MBE": COLUMNS["bias"],
    "STD": lambda row: f"{row.std:.3f}",
    "RMSD": COLUMNS["RMSE"],
    "95 %": _interval,
    "ratio": COLUMNS["ratio"],
    "MAE": lambda row: f"{row.mae:.3f}",
    "R²": lambda row: f"{row.r2:.3f}",
}
"""The same under the protocol ``hidden-day``: those of the thesis first, by its names."""


def show_scores(results: Results) -> None:
    """Print the scores against the withheld observations and, where known, against the truth.

    The climatology of the methods is always a row, whether or not it was asked for as a method.
    """
    console = Console()
    near = ", in near real time" if results.nrt else ""
    console.print(
        f"protocol {results.protocol}{near}: {results.n_pixels} pixels withheld on {results.n_days} days "
        f"({results.days}; {results.withheld})"
    )
    columns = REFERENCE_COLUMNS if results.protocol == "hidden-day" else COLUMNS
    for against, scored in results.tables.items():
        title = f"against the {against}, {results.units}"
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("method", overflow="fold")
        for heading in columns:
            table.add_column(heading, justify="right", no_wrap=True)
        for label, row in (scored.methods | scored.further_baselines).items():
            table.add_row(label, *(cell(row) for cell in columns.values()))
        console.print(table)
    console.print(
        f"95 %: interval of the RMSE by resampling blocks of {results.intervals.block_days} scored days; "
        f"ratio: RMSE over that of {results.relative_to}"
    )
    if columns is COLUMNS:
        console.print(
            "z std: of errors over the stated std, 1 where that is right; time: seconds that filling and scoring took"
        )
    for text in cautions(results.fitted):
        console.print(f"note: {text}")


def cautions(fitted: Mapping[str, FitRecord]) -> Iterator[str]:
    """Yield notes for the reader on how the methods were fitted."""
    for method, record in fitted.items():
        if record.training_period_holds_scored_days:
            yield f"{method} was fitted on {record.training_period}, scored days too, without their withheld pixels"
        weights = record.weights
        if weights and weights.holds_scored_days is not False:
            days = f"{weights.period}, scored days too" if weights.period else "days not known, maybe those scored"
            yield f"{method} has its weights from {weights.source}: {days}, and maybe with what is withheld here"
        if record.climatology_file and not record.climatology_base_period:
            yield (
                f"{method} has its climatology from {record.climatology_file}, which states no base period; "
                "it may have seen the scored days"
            )
