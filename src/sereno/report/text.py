"""Text and numbers of the report: its first sentence, the facts of the run, the tables of scores."""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import tomli_w

from sereno.evaluation.bootstrap import Interval
from sereno.evaluation.results import Results, ScoreRow


@dataclass(frozen=True)
class Column:
    """A column of the table of scores.

    Attributes
    ----------
    name
        The attribute of a `ScoreRow`; ``ratio.rmse`` is inside ``ratio``.
    heading, explained
        The text above it, and its explanation.
    decimals
        Of its numbers.
    units
        Whether it has the field's unit: ``""``, ``{}`` for the unit itself, or a pattern such as ``{}/km``.
    """

    name: str
    heading: str
    explained: str
    decimals: int = 3
    units: str = ""


COLUMNS = (
    Column("rmse", "RMSE", "root mean square error over all withheld pixels", units="{}"),
    Column("ratio.rmse", "ratio", "RMSE divided by that of the baseline: below 1 is better"),
    Column("bias", "bias", "mean error, analysis less reference field", units="{}"),
    Column("std", "STD", "standard deviation of the error", units="{}"),
    Column("mae", "MAE", "mean absolute error", units="{}"),
    Column("r2", "R²", "share of the variance of the reference field that is explained"),
    Column(
        "crps",
        "CRPS",
        "continuous ranked probability score: error of mean and standard deviation together",
        units="{}",
    ),
    Column("coverage_1sigma", "in 1σ", "share of the errors within one standard deviation; 0.683 is right"),
    Column("coverage_2sigma", "in 2σ", "share of the errors within two standard deviations; 0.954 is right"),
    Column("z_mean", "z mean", "mean of error / standard deviation; 0 is right"),
    Column(
        "z_std",
        "z std",
        "standard deviation of error / standard deviation; 1 is right; above 1 the standard deviation is too small",
    ),
    Column("rmse_per_image", "RMSE per image", "mean over days of each day's RMSE", units="{}"),
    Column("rmse_with_zeros", "RMSE with zeros", "over all cells, land and cloud as zeros", units="{}"),
    Column("r2_with_zeros", "R² with zeros", "over all cells, land and cloud as zeros"),
    Column("effective_resolution", "resolution", "wavelength at which half of the variance is resolved", 0, "km"),
    Column("gradient_rmse", "gradient RMSE", "root mean square error of the gradient's magnitude", 4, "{}/km"),
    Column(
        "gradient_bias", "gradient bias", "mean error of the gradient's magnitude; below 0 is too smooth", 4, "{}/km"
    ),
    Column("seconds", "time", "seconds for filling and scoring", 1, "s"),
)


def verdict(results: Results) -> str:
    """Return the first sentence of the report: the best method, its RMSE and its ratio to the baseline."""
    against, table = results.judge
    row = table.methods[table.best]
    rmse, ratio = _text(row.rmse, row.rmse_interval), _text(row.ratio.rmse, row.ratio.rmse_interval)
    sentence = f"{table.best} has the lowest RMSE against the {against}: {rmse} {results.difference_units}"
    if table.best != results.relative_to:
        sentence += f", {ratio} times that of {results.relative_to}"
    return sentence + "."


def facts(results: Results, command: str) -> dict[str, str]:
    """Return how the scores were made, by name."""
    protocol = {
        "clouds": "clouds: the clouds of another day hide observations of a day, which are scored",
        "hidden-day": "hidden-day: the whole day is hidden",
    }
    days, intervals = results.n_days, results.intervals
    noise = sorted({f"{record.observation_noise:.3f}" for record in results.fitted.values()}, key=float)
    rows = {
        "Protocol": protocol[results.protocol],
        "Scored": f"{results.n_pixels:,} pixels on {days:,} day{'s' * (days > 1)}, {period(results.days)}",
        "Withheld": results.withheld,
        "Seed": str(results.seed),
        "Errors of the observations": f"{' to '.join(noise[:1] + noise[1:][-1:])} {results.difference_units}".strip(),
        "Near real time": "no day was filled with observations of later days" if results.nrt else "",
        "Baseline of the ratios": results.relative_to,
        "Intervals": f"{100 * intervals.level:g} %, from {intervals.resamples:,} resamples of the scored days "
        f"in blocks of {intervals.block_days}",
        "Command": command,
    }
    return {name: text for name, text in rows.items() if text}


def period(text: str) -> str:
    """Return a period ``A:B`` as text."""
    return text.replace(":", " to ")


def fitted(results: Results) -> list[dict[str, str]]:
    """Return what each method was fitted on, and its settings as TOML."""
    return [
        {
            "label": label,
            "method": record.method,
            "period": period(record.training_period),
            "climatology": record.climatology_file or "fitted",
            "base": period(record.climatology_base_period or "not known"),
            "weights": record.weights.source if record.weights else "",
            "noise": f"{record.observation_noise:.3f} {results.difference_units}".rstrip(),
            "config": tomli_w.dumps(record.config),
        }
        for label, record in results.fitted.items()
    ]


def tables(results: Results) -> list[dict[str, Any]]:
    """Return the tables of scores, a dictionary each: ``against``, ``columns`` and ``rows``; the judge's first.

    A row's cells hold the ``value`` to sort by (None where there is none), its ``text`` and that of its ``interval``.
    Baselines that no method equals are rows too; columns without any value are left out.
    """
    made = []
    for against, scored in reversed(results.tables.items()):
        further = scored.further_baselines
        ordered = sorted((scored.methods | further).items(), key=lambda item: item[1].rmse)
        columns = [column for column in COLUMNS if any(_known(attrgetter(column.name)(row)) for _, row in ordered)]
        units = results.difference_units
        made.append(
            {
                "against": against,
                "columns": [
                    {
                        "heading": column.heading,
                        "units": column.units.format(units) if units else "",
                        "explained": column.explained,
                    }
                    for column in columns
                ],
                "rows": [
                    {
                        "label": label,
                        "baseline": label in further,
                        "cells": [_cell(row, column) for column in columns],
                    }
                    for label, row in ordered
                ],
            }
        )
    return made


def _cell(row: ScoreRow, column: Column) -> dict[str, Any]:
    value = attrgetter(column.name)(row)
    if not _known(value):
        return {"value": None, "text": "–", "interval": ""}
    *inside, last = column.name.split(".")
    interval = getattr(attrgetter(*inside)(row) if inside else row, f"{last}_interval", None)
    text = f"{value:z.{column.decimals}f}".replace("-", "−")
    return {"value": value, "text": text, "interval": _interval(interval, column.decimals)}


def _text(value: float, interval: Interval) -> str:
    """Return a score with its interval as text."""
    ends = _interval(interval, 3)
    return f"{value:.3f}" + (f" [{ends}]" if ends else "")


def _interval(interval: Interval | None, decimals: int) -> str:
    if interval is None or not all(_known(end) for end in interval):
        return ""
    return " to ".join(f"{end:z.{decimals}f}".replace("-", "−") for end in interval)


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
