"""Tables of an input on the terminal and in files: its summary and its description."""

from __future__ import annotations

import calendar
import csv
import io
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
from dask.base import compute
from rich.console import Console
from rich.table import Table

from sereno.cube import field_of, span
from sereno.grids.cells import cell_size
from sereno.io.inputs.file import some_of
from sereno.io.inputs.rejected_values import tally_of

Row = tuple[str, str, str, Any, str]
"""Quantity, statistic, where on its axis, value, units."""


def summary_of(cube: xr.Dataset) -> dict[str, str]:
    """Read all of an input, and return its summary: variable, grid, period, missing days, coverage, range."""
    field = field_of(cube)
    coverage, on_land, (low, middle, high) = _read_all(cube)
    height, width = cell_size(cube)
    lat, lon = cube["lat"].values, cube["lon"].values
    days, empty = cube.sizes["time"], int((coverage == 0).sum())
    units = field.attrs.get("units", "")
    dropped = {"dropped": f"{on_land} observations on what the mask calls land"} if on_land else {}
    return {
        "variable": f"{cube.attrs['variable']} ({units}{', ' + kind if (kind := cube.attrs['sst_type']) else ''})",
        "grid": f"{lat.size} × {lon.size} (lat × lon), "
        f"{lat[0]:.3f} to {lat[-1]:.3f} N, {lon[0]:.3f} to {lon[-1]:.3f} E",
        "cell": f"{height:.2f} × {width:.2f} km",
        "water": f"{100 * float(cube['water'].mean()):.1f} % of the grid, from {cube.attrs['water_from']}",
        "period": f"{span(cube)}, {days} days",
        "missing days": f"{len(cube.attrs['inserted_days'])} without a file, {empty} without an observation in all",
        "coverage": f"{100 * float(coverage.mean()):.1f} % of the water on average, "
        f"{100 * float(coverage.min()):.1f} to {100 * float(coverage.max()):.1f} % a day",
        "values": f"{low:.2f} to {high:.2f}, median {middle:.2f} {units}",
    } | dropped


def show_summary(rows: dict[str, str], cube: xr.Dataset) -> None:
    """Print a summary, and what was taken as missing, by file and reason."""
    _show_rows(rows)
    missing = [f"{path}: {line}" for path, lines in tally_of(cube).by_file().items() for line in lines]
    for line in some_of(missing):
        Console().print(f"taken as missing: {line}", soft_wrap=True, highlight=False)
    if not missing:
        Console().print("no problem found")


def show_description(description: xr.Dataset) -> None:
    """Print what `sereno.workflow.describe.describe` found: cloud cover, coverage, gaps, distributions."""
    cover, daily, seasons = (description[k] for k in ("cloud_cover", "coverage", "coverage_by_month_of_year"))
    gaps = gap_summary(description)
    rows = {
        "variable": f"{description.attrs['variable']}, {int(description['water'].sum())} water pixels",
        "period": f"{description.attrs['period']}, {daily.size} days",
        "cloud cover": f"{float(cover.mean()):.1f} % of the days on average, "
        f"{float(cover.min()):.1f} to {float(cover.max()):.1f} % by pixel",
        "coverage": f"{float(daily.mean()):.1f} % of the water on average, "
        f"{float(daily.min()):.1f} to {float(daily.max()):.1f} % a day",
    }
    if seasons.size > 1:
        clearest, cloudiest = (int(month) for month in (seasons.idxmax(), seasons.idxmin()))
        rows["seasons"] = (
            f"most of the water observed in {calendar.month_name[clearest]} ({float(seasons.max()):.1f} %), "
            f"least in {calendar.month_name[cloudiest]} ({float(seasons.min()):.1f} %)"
        )
    rows["gaps"] = "none"
    if gaps["count"]:
        rows["gaps"] = (
            f"{gaps['count']:.0f}, of {gaps['mean']:.2f} days on average, median {gaps['median']:g}, "
            f"longest {gaps['longest']:.0f}"
        )
        rows["cut off"] = f"{gaps['censored']:.0f} gaps by an end of the record ({gaps['censored_share']:.2f} %)"
    for name in (description.attrs["field"], "anomaly"):
        mean, std = (float(description[f"{name}_{key}"]) for key in ("mean", "std"))
        quantiles = [float(description[f"{name}_quantile"].sel(quantile=q)) for q in (0.05, 0.5, 0.95)]
        low, middle, high, mean_told, std_told = (f"{x:z.{decimals(std)}f}" for x in (*quantiles, mean, std))
        units = description[f"{name}_bin"].attrs["units"]
        rows[f"{name}, {units}"] = f"mean {mean_told}, std {std_told}, median {middle}, 5 to 95 %: {low} to {high}"
    rows["climatology"] = description.attrs["climatology"]
    _show_rows(rows)


def decimals(std: float) -> int:
    """Return the number of decimals for values of a standard deviation: two, or more where it is small."""
    return max(2, 1 - math.floor(math.log10(std))) if std > 0 else 2


def gap_summary(description: xr.Dataset) -> dict[str, float]:
    """Return count, mean, median and longest of all gaps (days), and how many and what % of them are cut off."""
    runs, length = description["gap_runs"].values, description["gap_length"].values
    count, censored = int(runs.sum()), int(description["gap_runs_censored"].sum())
    ordered = np.searchsorted(np.cumsum(runs), [(count - 1) // 2, count // 2], side="right")
    return {
        "count": count,
        "mean": float((runs * length).sum() / count) if count else np.nan,
        "median": float(length[ordered].mean()) if count else np.nan,
        "longest": float(length[runs > 0].max(initial=0)),
        "censored": censored,
        "censored_share": 100 * censored / count if count else 0.0,
    }


def description_csv(description: xr.Dataset) -> str:
    """Return the numbers of a description as tidy CSV: quantity, statistic, at, value, units.

    ``at`` says where on its axis a value stands: a day, a month, a length in days, a quantile; it is empty for a
    number over the whole record. Statistics of maps are over the water pixels that have a value.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("quantity", "statistic", "at", "value", "units"))
    for quantity, statistic, at, value, units in (*_gap_rows(description), *_value_rows(description)):
        writer.writerow((quantity, statistic, at, _number(value), units))
    return text.getvalue()


def _gap_rows(description: xr.Dataset) -> Iterator[Row]:
    """Yield the rows of maps, gaps and coverage."""
    for name in ("cloud_cover", "gap_mean", "gap_median", "gap_longest"):
        values = description[name]
        for statistic in ("mean", "min", "max"):
            yield name, f"{statistic} over pixels", "", getattr(values, statistic)(), values.attrs["units"]
    units = {"count": "1", "censored": "1", "censored_share": "%"}
    for statistic, value in gap_summary(description).items():
        yield "gaps", statistic, "", value, units.get(statistic, "days")
    counts, censored = description["gap_runs"].values, description["gap_runs_censored"].values
    for at, count, cut in zip(map(str, description["gap_length"].values), counts, censored, strict=True):
        yield "gaps by length", "count", at, count, "1"
        yield "gaps by length", "share", at, 100 * count / max(counts.sum(), 1), "%"
        yield "gaps by length", "censored", at, cut, "1"
    for name, quantity, letters in (
        ("coverage", "coverage by day", 10),
        ("coverage_monthly", "coverage by month", 7),
        ("coverage_by_month_of_year", "coverage by month of the year", 2),
    ):
        (axis,) = description[name].dims
        for at, value in zip(description[axis].values, description[name].values, strict=True):
            yield quantity, "mean", str(at)[:letters], value, "%"


def _value_rows(description: xr.Dataset) -> Iterator[Row]:
    """Yield the rows of the distributions."""
    for name in (description.attrs["field"], "anomaly"):
        units = description[f"{name}_bin"].attrs["units"]
        yield name, "observations", "", description[f"{name}_observations"], "1"
        for statistic in ("mean", "std", "minimum", "maximum"):
            yield name, statistic, "", description[f"{name}_{statistic}"], units
        for value in description[f"{name}_quantile"]:
            yield name, "quantile", f"{float(value['quantile']):g}", value, units


def _number(value: Any) -> str:  # noqa: ANN401
    """Write a whole number in full and any other to seven digits; nothing for an undefined number."""
    number = float(value)
    if math.isnan(number):
        return ""
    return str(int(number)) if number.is_integer() else f"{number:.7g}"


def _show_rows(rows: dict[str, str]) -> None:
    table = Table(show_header=False, box=None)
    for name, text in rows.items():
        table.add_row(f"[bold]{name}", text)
    Console().print(table, soft_wrap=True)


def _read_all(cube: xr.Dataset) -> tuple[xr.DataArray, int, tuple[float, float, float]]:
    """Read every image, and all that goes with it, once.

    Returns
    -------
    tuple
        The share of water observed on each day; the number of observations on land; of those on water the lowest
        value, the median of up to two dozen images spread over the record, and the highest value.
    """
    field = field_of(cube)
    observed, of_water = field.notnull(), field.where(cube["water"])
    observed_cells = of_water.notnull().sum(("lat", "lon"))
    some = of_water.isel(time=slice(None, None, max(1, field.sizes["time"] // 24)))
    others = [cube[name].notnull().any() for name in cube.data_vars if name not in (field.name, "water")]
    observed_cells, total, some, low, high, *_ = compute(
        observed_cells, observed.sum(), some, of_water.min(), of_water.max(), *others
    )
    range_of = (float(low), float(np.nanmedian(some)), float(high))
    return observed_cells / cube["water"].sum(), int(total - observed_cells.sum()), range_of
