"""The result of an evaluation: scores, maps, days, examples and models, as tables and as files."""

from __future__ import annotations

import csv
import html
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from sereno.evaluation.results import Results
from sereno.io.outputs.atomic import atomic_text, write_dataset
from sereno.io.outputs.withheld import write_withheld
from sereno.workflow.models import Model

Table = Literal["scores", "strata", "daily"]
_SHOWN = ("rmse", "rmse_low", "rmse_high", "ratio_rmse", "bias", "crps", "z_std", "seconds")


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Scores of several methods on the same withheld pixels.

    Attributes
    ----------
    results
        The scores and how they were made: ``results.observations.methods["oi"].rmse``, and ``results.truth`` where
        the cube has ``truth``.
    withheld
        bool (time, lat, lon) over the scored days.
    models
        All models, including those that were fitted for the evaluation.
    examples
        By method, up to eight scored days, spread over the record and over coverage: ``target`` (the observations,
        including the withheld ones), ``withheld``, ``mean``, ``std``, ``climatology``, ``truth`` where known (time,
        lat, lon), ``coverage`` (time) and ``water``; large grids thinned. ``attrs["middling_day"]`` is the day whose
        coverage is nearest to the median.
    maps
        By pixel, (method, lat, lon): ``rmse``, ``bias``, ``pixels``, against the truth where known, else the
        observations, as ``attrs["against"]`` says.
    daily
        By day, (method, time): ``rmse``, ``bias``, ``crps``, ``pixels``, against the same, and ``coverage`` (time),
        the share of the water that the input shows.
    """

    results: Results
    withheld: xr.DataArray
    models: dict[str, Model] = field(default_factory=dict)
    examples: dict[str, xr.Dataset] = field(default_factory=dict)
    maps: xr.Dataset = field(default_factory=xr.Dataset)
    daily: xr.Dataset = field(default_factory=xr.Dataset)

    @property
    def scores(self) -> dict[str, Any]:
        """The results as the nested dictionary of ``scores.json``, except NaN, which is null there."""
        return self.results.to_dict()

    def to_dict(self) -> dict[str, Any]:
        """Return `scores`."""
        return self.scores

    def to_dataframe(self, table: Table = "scores") -> pd.DataFrame:
        """Return a table, as `save` writes it.

        Parameters
        ----------
        table
            ``scores``: a row for each method and further baseline, against each reference; ``strata``: a row for
            each bin of each stratum; ``daily``: a row for each method and day.

        Examples
        --------
        >>> import sereno
        >>> from sereno.synthetic import TwinSeaConfig, twin_sea
        >>> cube = twin_sea(TwinSeaConfig(days=40, shape=(24, 32)))
        >>> found = sereno.evaluate(cube, {"mine": "linear"}).to_dataframe()
        >>> found.loc[found["against"] == "truth", ["method", "kind"]].values.tolist()
        [['mine', 'method'], ['climatology', 'baseline']]
        """
        return pd.DataFrame(self._rows(table))

    def save(self, folder: str | Path) -> list[Path]:
        """Write the scores, the maps and the index of withheld pixels into a folder.

        Returns
        -------
        list of Path
            ``scores.json``, ``scores.csv``, ``strata.csv``, ``daily.csv``, ``maps.nc`` and ``withheld.nc``.

        Raises
        ------
        InputError
            If the folder cannot be written to.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(_without_nan(self.scores), indent=2, allow_nan=False) + "\n"
        tables: tuple[Table, ...] = ("scores", "strata", "daily")
        return [
            atomic_text(folder / "scores.json", text),
            *(atomic_text(folder / f"{table}.csv", _csv(self._rows(table))) for table in tables),
            write_dataset(self.maps, folder / "maps.nc"),
            write_withheld(
                self.withheld, folder / "withheld.nc", protocol=self.results.protocol, seed=self.results.seed
            ),
        ]

    def __repr__(self) -> str:
        made = self.results
        return (
            f"<Evaluation of {', '.join(made.fitted)}: {made.n_pixels:,} pixels withheld on {made.n_days} days, "
            f"{made.days}, protocol {made.protocol}>"
        )

    def _repr_html_(self) -> str:
        shown = self.to_dataframe().set_index(["against", "method"])
        return f"<p>{html.escape(repr(self))}</p>" + shown[[name for name in _SHOWN if name in shown]].to_html(
            float_format="{:.3f}".format, na_rep=""
        )

    def _rows(self, table: Table) -> list[dict[str, Any]]:
        kinds = {"scores": _score_rows(self.results), "strata": _strata_rows(self.results)}
        return list(kinds[table] if table in kinds else _daily_rows(self.daily))


def _score_rows(results: Results) -> Iterator[dict[str, Any]]:
    """Yield a row for each method and further baseline, against each reference."""
    for against, table in results.tables.items():
        for kind, rows in (("method", table.methods), ("baseline", table.further_baselines)):
            for label, row in rows.items():
                yield {"method": label, "kind": kind, "against": against, **_flat(row.to_dict())}


def _strata_rows(results: Results) -> Iterator[dict[str, Any]]:
    """Yield a row for each reference, stratum, bin and method."""
    for against, table in results.tables.items():
        for stratum, bins in table.strata.items():
            for label, methods in bins.items():
                for method, row in methods.items():
                    yield {"against": against, "stratum": stratum, "bin": label, "method": method, **vars(row)}


def _daily_rows(daily: xr.Dataset) -> Iterator[dict[str, Any]]:
    """Yield a row for each method and day."""
    for place, method in enumerate(daily["method"].values):
        for index, (day, shown) in enumerate(zip(daily["time"].values, daily["coverage"].values, strict=True)):
            scores = {name: daily[name].values[place, index].item() for name in ("rmse", "bias", "crps", "pixels")}
            known = {name: None if math.isnan(score) else score for name, score in scores.items()}
            labels = {"method": str(method), "day": str(day)[:10], "against": daily.attrs["against"]}
            yield {**labels, **known, "coverage": float(shown)}


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


def _without_nan(value: Any) -> Any:  # noqa: ANN401
    """Return nested scores with null for undefined scores, because JSON has no NaN."""
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
