"""Draw the seas of a library and samples of it, and print what the library holds.

python pretraining/pictures.py FOLDER [--figures docs/figures]
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

import cmocean
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter

from samples import WINDOW, DrawnSamples, Sea, Simulated
from sereno.report.figures import save, tidy
from sereno.report.styles import COLOURS
from sereno.synthetic.family import KINDS

SHOWN_DAY = 200
COUNTED = 500
"""Samples that the printed shares are of."""


def draw_family(seas: list[Sea], path: Path) -> None:
    """Draw a day of three seas of each kind, and the scales that tuning found of all of them."""
    figure = Figure(figsize=(10, 6.7), layout="constrained")
    grid = figure.add_gridspec(3, 4, width_ratios=[1, 1, 1, 1.4])
    for row, kind in enumerate(KINDS):
        members = sorted((sea for sea in seas if sea.description["kind"] == kind), key=_height)
        chosen = [members[i] for i in np.linspace(0, len(members) - 1, 3).round().astype(int)]
        for column, sea in enumerate(chosen):
            _draw_sea(figure.add_subplot(grid[row, column]), sea)
    for rows, title, prefix in ((grid[:2, 3], "Small scale", ""), (grid[2, 3], "Large scale", "large_")):
        axis = figure.add_subplot(rows)
        _draw_scales(axis, seas, title=title, prefix=prefix)
    axis.legend(loc="upper left", bbox_to_anchor=(0, -0.25), ncols=3, frameon=False, fontsize=8)
    save(figure, path)


def _draw_scales(axis: Axes, seas: list[Sea], *, title: str, prefix: str) -> None:
    for order, kind in enumerate(KINDS):
        found = [sea.description["covariance"]["scales"] for sea in seas if sea.description["kind"] == kind]
        length, time = ([scales[prefix + name] for scales in found] for name in ("length", "time"))
        axis.scatter(length, time, color=COLOURS[order], label=kind, s=24)
    axis.set(xscale="log", yscale="log", xlabel="length (km)", ylabel="time (days)")
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_locator(LogLocator(subs=(1, 2, 5)))
        side.set_major_formatter(ScalarFormatter())
        side.set_minor_locator(NullLocator())
    axis.set_title(f"{title} of the tuned covariance", fontsize=8)
    tidy(axis)


def draw_samples(drawn: list[Simulated], path: Path) -> None:
    """Draw what is seen on days of some samples, and the truth of the central one."""
    centre = WINDOW // 2
    offsets = (-3, -1, 0, 2)
    figure = Figure(figsize=(7.5, 1.55 * len(drawn)), layout="constrained")
    axes = figure.subplots(len(drawn), len(offsets) + 1, squeeze=False)
    for row, sample in zip(axes, drawn, strict=True):
        limit = 2.2 * sample.climatology_std
        truth = np.where(sample.water, sample.truth, np.nan)
        maps = [*(sample.values[centre + offset] for offset in offsets), truth]
        titles = [*(f"day {offset:+d}" if offset else "the day itself" for offset in offsets), "truth"]
        for axis, field, title in zip(row, maps, titles, strict=True):
            _draw_map(axis, field, sample.spacing, limit=limit)
            land = np.where(sample.water, np.nan, 1)
            axis.imshow(
                land, origin="lower", interpolation="nearest", cmap=ListedColormap(["tan"]), extent=_box(axis)
            )
            axis.set_title(title, fontsize=8)
        row[0].set_ylabel(f"{sample.spacing[0]:.1f} × {sample.spacing[1]:.1f} km\n±{limit:.1f} K", fontsize=8)
    save(figure, path)


def _draw_sea(axis: Axes, sea: Sea) -> None:
    spread = sea.description["parameters"]["amplitude"]
    day = min(SHOWN_DAY, len(sea.anomaly) - 1)
    _draw_map(axis, sea.anomaly[day].astype(np.float32), sea.description["spacing"], limit=2.5 * spread)
    axis.set_title(f"{sea.description['kind']}, {_height(sea):.1f} km, rms {spread:.2f} K", fontsize=8)


def _draw_map(axis: Axes, field: np.ndarray, spacing: tuple[float, float], *, limit: float) -> None:
    north, east = (cells * side for cells, side in zip(field.shape, spacing, strict=True))
    axis.imshow(
        field,
        origin="lower",
        interpolation="nearest",
        cmap=cmocean.cm.balance,
        vmin=-limit,
        vmax=limit,
        extent=(0, east, 0, north),
    )
    axis.set_facecolor("gainsboro")
    axis.set(xticks=[0, int(east)], yticks=[0, int(north)])
    axis.tick_params(labelsize=7)


def _box(axis: Axes) -> tuple[float, float, float, float]:
    return (*axis.get_xlim(), *axis.get_ylim())


def _height(sea: Sea) -> float:
    return float(sea.description["spacing"][0])


def print_contents(drawn: DrawnSamples) -> None:
    """Print what the library holds and what samples of it look like."""
    seas = [sea.description for sea in drawn.seas]
    scales = [sea["covariance"]["scales"] for sea in seas]
    print(f"{len(seas)} seas:", ", ".join(f"{n} {kind}" for kind, n in Counter(s["kind"] for s in seas).items()))
    figures = {
        "height of a cell, km": [sea["spacing"][0] for sea in seas],
        "rms, K": [sea["parameters"]["amplitude"] for sea in seas],
        "speed of the eddies, m/s": [_turbulence(s)["current_speed"] for s in seas if _turbulence(s)],
        "their wavelength, km": [_turbulence(s)["eddy_wavelength"] / 1e3 for s in seas if _turbulence(s)],
        "tuned small length, km": [found["length"] for found in scales],
        "tuned small time, days": [found["time"] for found in scales],
        "tuned large length, km": [found["large_length"] for found in scales],
        "tuned large time, days": [found["large_time"] for found in scales],
        "tuned share of the small scale": [found["share"] for found in scales],
    }
    clouds = drawn.clouds
    figures["cover of a sequence"] = [float(np.mean(held)) for held in clouds["sequence"]]
    print(f"{'':34s}{'least':>8s}{'middle':>8s}{'most':>8s}")
    for name, values in figures.items():
        print(f"{name:34s}" + "".join(f"{value:8.2f}" for value in np.percentile(values, [0, 50, 100])))
    counts = {name: sum(len(held) for held in clouds[name]) for name in ("goes", "scenes")}
    print(f"clouds: {len(clouds['sequence'])} sequences, {counts['goes']} of GOES-16, {counts['scenes']} of scenes")
    print(f"coasts: {len(drawn.coasts)}, water {drawn.coasts.mean():.2f}")
    some = [drawn.sample(0, index) for index in range(COUNTED)]
    missing = [np.isnan(sample.values[: WINDOW // 2, sample.water]).mean() for sample in some]
    hidden = [np.isnan(sample.values[WINDOW // 2]).all() for sample in some]
    print(
        f"{COUNTED} samples: water {np.mean([sample.water.mean() for sample in some]):.2f}, "
        f"{np.mean(missing):.2f} of it missing on the days before, central day wholly hidden {np.mean(hidden):.2f}"
    )


def _turbulence(description: dict[str, Any]) -> dict[str, float]:
    found: dict[str, float] = description["parameters"].get("turbulence", {})
    return found


def main() -> None:
    """Read the command line, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the library")
    parser.add_argument("--figures", type=Path, help="folder that receives the figures")
    options = parser.parse_args()
    drawn = DrawnSamples(options.folder, seed=0)
    print_contents(drawn)
    if options.figures:
        draw_family(drawn.seas, options.figures / "pretraining_family.png")
        draw_samples([drawn.sample(0, index) for index in range(5)], options.figures / "pretraining_samples.png")


if __name__ == "__main__":
    main()
