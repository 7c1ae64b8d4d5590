"""Tables of an evaluation, on the terminal and in files."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from sereno.evaluation.evaluate import Evaluation
from sereno.evaluation.score_tables import same_scores
from sereno.io.outputs.atomic import atomic_text, write_dataset
from sereno.io.outputs.withheld import write_withheld

COLUMNS = [
    ("rmse", "RMSE"),
    ("rmse_interval", "95 %"),
    ("ratio", "ratio"),
    ("bias", "bias"),
    ("crps", "CRPS"),
    ("z_std", "z std"),
    ("seconds", "time, s"),
]
"""Scores shown on the terminal and their headings; the files hold all scores."""
REFERENCE_COLUMNS = [
    ("bias", "MBE"),
    ("std", "STD"),
    ("rmse", "RMSD"),
    ("rmse_interval", "95 %"),
    ("ratio", "ratio"),
    ("mae", "MAE"),
    ("r2", "R²"),
]
"""The same under the protocol ``hidden-day``: those of the reference method first, by the names it gives them."""


def show_scores(result: dict[str, Any]) -> None:
    """Print the scores against the withheld observations and, where known, against the truth.

    The climatology that the methods depart from always stands there, whether or not it was asked for as a method.
    """
    console = Console()
    near = ", in near real time" if result["nrt"] else ""
    console.print(
        f"protocol {result['protocol']}{near}: {result['n_pixels']} pixels withheld on {result['n_days']} days "
        f"({result['days']}; {result['withheld']})"
    )
    columns = REFERENCE_COLUMNS if result["protocol"] == "hidden-day" else COLUMNS
    for title, scored in score_tables(result):
        table = Table(title=f"{title}, {result['units']}", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("method", overflow="fold")
        for _, heading in columns:
            table.add_column(heading, justify="right", no_wrap=True)
        for label, row in (scored["methods"] | further_baselines(scored)).items():
            table.add_row(label, *(_cell(row, name) for name, _ in columns))
        console.print(table)
    drawn = result["intervals"]
    console.print(
        f"95 %: interval of the RMSE by resampling blocks of {drawn['block_days']} scored days; "
        f"ratio: RMSE over that of {result['relative_to']}"
    )
    if columns is COLUMNS:
        console.print(
            "z std: of errors over the stated std, 1 where that is right; time: seconds that filling and scoring took"
        )
    for text in cautions(result["fitted"]):
        console.print(f"note: {text}")


def _cell(row: Mapping[str, Any], name: str) -> str:
    """Write one score of a row; nothing where the row has none."""
    if name not in row:
        return ""
    if name == "ratio":
        return f"{row[name]['rmse']:.3f}"
    if name.endswith("_interval"):
        known = all(math.isfinite(end) for end in row[name])
        return "–".join(f"{end:.3f}" for end in row[name]) if known else "one day"
    return f"{row[name]:.{2 if name == 'seconds' else 3}f}"


def cautions(fitted: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield what the reader must know of how the methods were fitted."""
    for method, record in fitted.items():
        if record["training_period_holds_scored_days"]:
            period = record["training_period"]
            yield f"{method} was fitted on {period}, scored days too, without their withheld pixels"
        weights = record.get("weights")
        if weights and weights["holds_scored_days"] is not False:
            told = (
                f"{weights['period']}, scored days too" if weights["period"] else "days not known, maybe those scored"
            )
            yield f"{method} has its weights from {weights['from']}: {told}, and maybe with what is withheld here"
        if record["climatology_file"] and not record["climatology_base_period"]:
            yield (
                f"{method} has its climatology from {record['climatology_file']}, which states no base period; "
                "it may have seen the scored days"
            )


def save_scores(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write the scores and the index of withheld pixels.

    Returns
    -------
    list of Path
        ``scores.json``, ``scores.csv``, ``strata.csv``, ``daily.csv``, ``maps.nc`` and ``withheld.nc``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows, strata = [], []
    for title, scored in score_tables(evaluation.scores):
        against = title.removeprefix("against the ")
        kinds = {"method": scored["methods"], "baseline": further_baselines(scored)}
        for kind, table in kinds.items():
            told = {"kind": kind, "against": against}
            rows += [{"method": label, **told, **_flat(row)} for label, row in table.items()]
        strata += [
            {"against": against, "stratum": stratum, "bin": label, "method": method, **row}
            for stratum, bins in scored["strata"].items()
            for label, methods in bins.items()
            for method, row in methods.items()
        ]
    protocol, seed = evaluation.scores["protocol"], evaluation.scores["seed"]
    text = json.dumps(_without_nan(evaluation.scores), indent=2, allow_nan=False) + "\n"
    return [
        atomic_text(folder / "scores.json", text),
        atomic_text(folder / "scores.csv", _csv(rows)),
        atomic_text(folder / "strata.csv", _csv(strata)),
        atomic_text(folder / "daily.csv", _csv(list(_daily_rows(evaluation.daily)))),
        write_dataset(evaluation.maps, folder / "maps.nc"),
        write_withheld(evaluation.withheld, folder / "withheld.nc", protocol=protocol, seed=seed),
    ]


def score_tables(result: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return ``methods``, ``baselines`` and ``strata`` against each reference, with its title."""
    tables = [("against the withheld observations", result)]
    if "truth" in result:
        tables.append(("against the truth", result["truth"]))
    return tables


def further_baselines(scored: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the baselines that are not among the methods already, told by their scores."""
    methods = scored["methods"].values()
    return {
        label: row for label, row in scored["baselines"].items() if not any(same_scores(row, one) for one in methods)
    }


def _flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a row without nesting: ``rmse_low`` and ``rmse_high`` for an interval, ``ratio_rmse`` for a ratio."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{name}_")
        elif name.endswith("_interval"):
            bare = prefix + name.removesuffix("_interval")
            flat |= {f"{bare}_low": value[0], f"{bare}_high": value[1]}
        else:
            flat[prefix + name] = value
    return flat


def _daily_rows(daily: xr.Dataset) -> Iterator[dict[str, Any]]:
    """Yield a row for each method and day."""
    for place, method in enumerate(daily["method"].values):
        for index, (day, shown) in enumerate(zip(daily["time"].values, daily["coverage"].values, strict=True)):
            scores = {name: daily[name].values[place, index].item() for name in ("rmse", "bias", "crps", "pixels")}
            known = {name: "" if np.isnan(score) else score for name, score in scores.items()}
            told = {"method": str(method), "day": str(day)[:10], "against": daily.attrs["against"]}
            yield {**told, **known, "coverage": float(shown)}


def _without_nan(value: Any) -> Any:  # noqa: ANN401
    """Return nested scores with null for what is undefined, because JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _csv(rows: list[dict[str, Any]]) -> str:
    """Return rows as text of comma-separated values; a row may lack some columns of others."""
    text = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
