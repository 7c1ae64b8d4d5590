"""Figures of coverage and of maps, drawn offline and without a display.

They are built on `matplotlib.figure.Figure` itself, not on pyplot, so that many can be drawn at once and none stays
open. The coast is the one that comes with the package; nothing is downloaded.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cartopy.crs as ccrs
import numpy as np
import pandas as pd
import shapely
import xarray as xr
from cartopy.mpl.geoaxes import GeoAxes
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.dates import ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from sereno.cube import FILLED, OBSERVED, field_of
from sereno.grids.coast import land_polygons
from sereno.io.outputs.atomic import atomic_path

with warnings.catch_warnings():
    # cmocean 4.0 calls matplotlib in a way deprecated since 3.11; a user can do nothing about it.
    warnings.filterwarnings("ignore", message="Passing 'N' to ListedColormap", category=DeprecationWarning)
    import cmocean

DPI = 150
ZERO_CELSIUS = 273.15
_MOST_CELLS = 1000
"""Cells drawn along either side at most: finer maps are thinned, as no figure shows more."""
_PANEL_AREA = 10.0
"""Square inches of a map."""
MARGIN, BAR_HEIGHT = 0.75, 1.2
"""Inches that labels add to a map's width; title, labels and colour bar to its height."""
_ANTIMERIDIAN = 180
_LAND, _SHORE, _BEFORE, _AFTER = "0.72", "0.25", "#4c6a88", "#c8553d"
TITLE, LABEL, TICK = 11, 10, 9

Limits = tuple[float, float]


def coverage_figure(cube: xr.Dataset, analysis: xr.Dataset | None = None, *, day: Any) -> Figure:  # noqa: ANN401
    """Show coverage before and after: the share of the sea seen day by day, and the maps of one day.

    Parameters
    ----------
    cube
        The observations.
    analysis
        ``mean`` and ``source`` of some or all days of the cube. Coverage after counts what was observed or filled
        from observations within the window, without the pixels that are beyond support.
    day
        The day to map: a date, or text such as ``"2017-05-12"``.

    Returns
    -------
    matplotlib.figure.Figure
        Axes: the time series, then one map or two.
    """
    field, water = field_of(cube), cube["water"]
    panels = {f"Observed, {date_text(day)}": _map_of(field, day, kelvin=is_kelvin(field))}
    if analysis is not None:
        panels["Filled"] = _map_of(analysis["mean"], day, kelvin=is_kelvin(field))
    width, height = panel_size(field)
    columns = len(panels)
    figure = Figure(figsize=(max(columns * (width + MARGIN), 8.0), 2.6 + height + BAR_HEIGHT), layout="constrained")
    grid = figure.add_gridspec(2, columns, height_ratios=(2.6, height + BAR_HEIGHT))
    _draw_series(figure.add_subplot(grid[0, :]), cube, analysis, day)
    limits = common_limits(list(panels.values()))
    for column, (title, values) in enumerate(panels.items()):
        axis = figure.add_subplot(grid[1, column], projection=projection_of(field))
        draw_map(axis, values, water, title=title, limits=limits, colours=colours_of(field), label=unit_label(field))
    return figure


def maps_figure(
    target: xr.DataArray,
    analysis: xr.Dataset,
    *,
    day: Any,  # noqa: ANN401
    climatology: xr.DataArray | None = None,
    target_title: str = "Observed",
    analysis_title: str = "Analysis",
    heading: str = "",
    with_std: bool = True,
) -> Figure:
    """Show target, analysis, climatology and standard deviation of one day side by side.

    Parameters
    ----------
    target
        Observations or truth, (time, lat, lon), NaN where missing; its ``units`` label the figure.
    analysis
        ``mean``, ``std`` and ``water`` on the same grid.
    day
        The day to map: a date, or text such as ``"2017-05-12"``.
    climatology
        What the method departs from, (time, lat, lon); ``analysis["climatology"]`` where not given. The panel is
        left out where there is neither.
    target_title, analysis_title
        Titles of the first and the second map.
    heading
        What stands before the date above all maps.
    with_std
        Whether the standard deviation is drawn.
    """
    fields = {target_title: target, analysis_title: analysis["mean"]}
    if climatology is None and "climatology" in analysis:
        climatology = analysis["climatology"]
    if climatology is not None:
        fields["Climatology"] = climatology
    panels = {title: _map_of(values, day, kelvin=is_kelvin(target)) for title, values in fields.items()}
    width, height = panel_size(target)
    count = len(panels) + with_std
    columns = 2 if count == 4 and width > height else count  # wide seas in two rows, so that maps stay large
    rows = count // columns
    figure = Figure(figsize=(columns * (width + MARGIN), rows * (height + BAR_HEIGHT) + 0.4))
    figure.set_layout_engine("compressed", h_pad=0.1)
    axes = figure.subplots(rows, columns, subplot_kw={"projection": projection_of(target)}, squeeze=False).ravel()
    limits, water = common_limits(list(panels.values())), analysis["water"]
    for axis, (title, values) in zip(axes, panels.items(), strict=False):
        draw_map(
            axis, values, water, title=title, limits=limits, colours=colours_of(target), label=unit_label(target)
        )
    if with_std:
        std = _map_of(analysis["std"], day)
        draw_map(
            axes[-1],
            std,
            water,
            title="Error standard deviation",
            limits=(0.0, common_limits([std])[1]),
            colours=cmocean.cm.amp,
            label=unit_label(target, difference=True),
        )
    figure.suptitle(", ".join(filter(None, (heading, date_text(day)))), fontsize=TITLE + 2)
    return figure


def losses_figure(metrics: str | Path, *, likelihood: bool = False) -> Figure:
    """Show the training and the validation loss of each epoch, from a training's ``metrics.csv``.

    Squared errors share a logarithmic axis. Likelihoods get an axis each: that of the training is weighed by the
    standard deviation (β-NLL).
    """
    losses = pd.read_csv(metrics)
    figure = Figure(figsize=(6.5, 5.0 if likelihood else 4.0), layout="constrained")
    axes = figure.subplots(2 if likelihood else 1, sharex=True, squeeze=False)[:, 0]
    epochs = losses["epoch"] + 1
    best = int(losses["valid_loss"].fillna(np.inf).argmin())
    for name, label, colour, axis in (
        ("train_loss", "training", _BEFORE, axes[0]),
        ("valid_loss", "validation", _AFTER, axes[-1]),
    ):
        axis.plot(epochs, losses[name], color=colour, label=label, marker="." if len(losses) < 60 else "")
    axes[-1].axvline(epochs[best], color="0.5", linestyle=":", label=f"best: epoch {epochs[best]}")
    if likelihood:
        axes[0].set_ylabel("β-NLL", fontsize=LABEL)
        axes[-1].set_ylabel("negative log-likelihood", fontsize=LABEL)
    else:
        axes[0].set_ylabel("mean squared error of normalised anomalies", fontsize=LABEL)
        axes[0].set_yscale("log")
        axes[0].yaxis.set_major_formatter(ScalarFormatter())
        axes[0].yaxis.set_minor_formatter(ScalarFormatter())
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[-1].set_xlabel("epoch", fontsize=LABEL)
    for axis in axes:
        axis.tick_params(labelsize=TICK, which="both")
        axis.grid(alpha=0.3, which="both")
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=LABEL)
    return figure


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG of 150 dots per inch, atomically, and return its path."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DPI)
    return Path(path)


def _draw_series(axis: Axes, cube: xr.Dataset, analysis: xr.Dataset | None, day: Any) -> None:  # noqa: ANN401
    """Draw the percentage of the sea observed each day and, with an analysis, filled with support."""
    sea, cells = cube["water"], float(cube["water"].sum())
    before = 100 * (field_of(cube).notnull() & sea).sum(("lat", "lon")) / cells
    axis.plot(before["time"], before, color=_BEFORE, linewidth=1.4, marker="." if before.size < 60 else "")
    labels = [("before", _BEFORE, float(before.mean()))]
    if analysis is not None:
        after = 100 * analysis["source"].isin([OBSERVED, FILLED]).where(sea, False).sum(("lat", "lon")) / cells
        axis.plot(after["time"], after, color=_AFTER, linewidth=1.4, marker="." if after.size < 60 else "")
        labels.append(("after", _AFTER, float(after.mean())))
    axis.axvline(pd.Timestamp(day).to_datetime64(), color="0.5", linestyle=":")  # type: ignore[arg-type]
    for line, (name, _, mean) in zip(axis.lines, labels, strict=False):
        line.set_label(f"{name}: {mean:.0f} % on average")
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=LABEL, borderaxespad=0.2)
    axis.set_ylim(0, 103)
    axis.set_ylabel("% of the sea", fontsize=LABEL)
    axis.set_title("Coverage", fontsize=TITLE, loc="right")
    mark_dates(axis, before["time"].values)
    tidy(axis)


def mark_dates(axis: Axes, days: np.ndarray) -> None:
    """Tick the days of a series, without saying twice what all dates have in common."""
    if days.size < 10:
        axis.set_xticks(days)  # or hours would be ticked
    dates = ConciseDateFormatter(axis.xaxis.get_major_locator())  # type: ignore[no-untyped-call]
    axis.xaxis.set_major_formatter(dates)


def tidy(axis: Axes) -> None:
    """Give a graph the house's ticks, grid and two spines."""
    axis.tick_params(labelsize=TICK)
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)


def draw_map(
    axis: GeoAxes,
    values: xr.DataArray,
    water: xr.DataArray,
    *,
    title: str,
    limits: Limits,
    colours: Colormap,
    label: str,
) -> None:
    """Draw one map with its coast, graticule and colour bar; missing sea stays white, land is grey."""
    west, south, east, north = bounds(water)
    middle = _middle(water)
    axis.set_extent((west - middle, east - middle, south, north), crs=axis.projection)
    # A degree of longitude is shorter than one of latitude: without this, seas far from the equator look squashed.
    axis.set_aspect(1 / np.cos(np.radians((south + north) / 2)))
    land = shapely.transform(land_polygons(west, south, east, north), lambda xy: xy - np.array([middle, 0]))
    axis.add_geometries([land], crs=axis.projection, facecolor=_LAND, edgecolor="none", zorder=0.5)
    dry = thinned(xr.where(water, np.nan, 1.0))
    axis.pcolormesh(dry["lon"] - middle, dry["lat"], dry, cmap=ListedColormap([_LAND]), zorder=0.6, rasterized=True)
    low, high = limits
    mesh = axis.pcolormesh(
        values["lon"] - middle, values["lat"], values, cmap=colours, vmin=low, vmax=high, zorder=1, rasterized=True
    )
    axis.add_geometries([land], crs=axis.projection, facecolor="none", edgecolor=_SHORE, linewidth=0.5, zorder=2)
    lines = axis.gridlines(draw_labels={"bottom": "x", "left": "y"}, linewidth=0.4, color="0.4", alpha=0.5)
    lines.xlocator, lines.ylocator = MaxNLocator(5), MaxNLocator(5)
    lines.xlabel_style = lines.ylabel_style = {"size": TICK}
    axis.set_title(title, fontsize=TITLE)
    below, above = bool((values < low).any()), bool((values > high).any())
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
    bar = axis.figure.colorbar(
        mesh, ax=axis, orientation="horizontal", extend=extend[below, above], shrink=0.85, aspect=30, pad=0.04
    )
    bar.set_label(label, fontsize=LABEL)
    bar.ax.tick_params(labelsize=TICK)


def _map_of(values: xr.DataArray, day: Any, *, kelvin: bool = False) -> xr.DataArray:  # noqa: ANN401
    """Return one day as a map in memory, thinned for drawing, in °C where it comes in kelvin."""
    chosen = thinned(values.sel(time=pd.Timestamp(day), method="nearest", tolerance=pd.Timedelta("12h"))).compute()
    return chosen - ZERO_CELSIUS if kelvin else chosen


def thinned(values: xr.DataArray) -> xr.DataArray:
    """Return a map thinned to the number of cells that a figure can show."""
    return values[{dim: slice(None, None, -(-values.sizes[dim] // _MOST_CELLS)) for dim in ("lat", "lon")}]


def common_limits(maps: Sequence[xr.DataArray]) -> Limits:
    """Return colour limits that all maps share: all but the outermost 1 % on either side."""
    values = np.concatenate([values.values.ravel() for values in maps])
    values = values[np.isfinite(values)]
    if values.size == 0:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(values, (1, 99)))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def bounds(grid: xr.DataArray) -> tuple[float, float, float, float]:
    """Return west, south, east and north of the outer cells' edges."""
    west, east, south, north = (
        edge
        for dim in ("lon", "lat")
        for values in [grid[dim].values]
        for half in [float(np.median(np.diff(values))) / 2 if values.size > 1 else 0.5]
        for edge in (float(values[0]) - half, float(values[-1]) + half)
    )
    west = max(west, -180.0)
    across = float(grid["lon"][-1]) > _ANTIMERIDIAN
    return west, max(south, -90.0), min(east, west + 360 if across else 180.0), min(north, 90.0)


def projection_of(grid: xr.DataArray) -> ccrs.PlateCarree:
    """Return what to draw a map in: degrees, counted from the middle of an area that lies across 180°."""
    return ccrs.PlateCarree(central_longitude=_middle(grid))


def _middle(grid: xr.DataArray) -> int:
    west, _, east, _ = bounds(grid)
    return round((west + east) / 2) if east > _ANTIMERIDIAN else 0


def panel_size(grid: xr.DataArray) -> tuple[float, float]:
    """Return width and height of a map in inches: of equal area whatever the shape of the sea, within reason."""
    west, south, east, north = bounds(grid)
    ratio = (north - south) / ((east - west) * float(np.cos(np.radians((south + north) / 2))))
    width = float(np.clip(np.sqrt(_PANEL_AREA / ratio), 2.6, 6.5))
    return width, float(np.clip(width * ratio, 1.5, 8.0))


def is_kelvin(values: xr.DataArray) -> bool:
    """Return whether values are in kelvin, and shown in °C."""
    return values.attrs.get("units") in ("kelvin", "K") and "difference" not in values.attrs.get("units_metadata", "")


def colours_of(values: xr.DataArray) -> Colormap:
    """Return the colours of a field, by its unit."""
    colours: Colormap = cmocean.cm.thermal if is_kelvin(values) else cmocean.cm.dense
    return colours


def unit_label(values: xr.DataArray, *, difference: bool = False) -> str:
    """Return the unit to write at an axis."""
    if is_kelvin(values):
        return "K" if difference else "°C"
    return str(values.attrs.get("units", ""))


def date_text(day: Any) -> str:  # noqa: ANN401
    """Return a date as a heading has it."""
    when = pd.Timestamp(day)
    return f"{when.day} {when:%B %Y}"
