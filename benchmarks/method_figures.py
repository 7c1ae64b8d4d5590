"""Draw the same day of a twin sea for each method: observation, analysis, truth, error standard deviation.

Usage: ``python benchmarks/method_figures.py [METHOD …] [--minutes 5]``. The sea has seed 12. Each method is fitted on
its observations with the default settings, `convlstm` for the minutes given. The RMSE of the drawn day under clouds,
against the truth, is printed; no method sees the truth. The figures go into ``docs/figures/methods``.
"""

import argparse
from pathlib import Path

import cmocean
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from PIL import Image

from sereno.config import RunConfig, configure, configure_at_once
from sereno.methods import METHODS
from sereno.report.figures import MARGIN, TITLE, common_limits, date_text, draw_map, panel_size, projection_of, save
from sereno.synthetic import TwinSeaConfig, twin_sea
from sereno.workflow.fill import fill
from sereno.workflow.fit import fit

FOLDER = Path("docs/figures/methods")
SEA = TwinSeaConfig(days=330, shape=(72, 96), seed=12)
COVER, DAYS = 0.6, slice(-75, -15)
"""The drawn day is the one with the cloud cover nearest to this, of these days of the record."""
LARGEST_STD = 0.6
"""Kelvin at the end of the colour scale of the error standard deviation, the same for every method."""


def settings(method: str, minutes: float) -> RunConfig:
    """Return the default configuration, and for `unet` the pre-trained network, unchanged."""
    if method == "convlstm":
        return configure(method, train=":2019-08-31", valid="2019-09-16:", max_minutes=minutes)
    return configure_at_once(method) if method == "unet" else configure(method)


def figure_of(cube: xr.Dataset, analysis: xr.Dataset, heading: str) -> Figure:
    """Draw the four maps of a cube of one day and of its analysis."""
    maps = {"Observation": cube["sst"], "Analysis": analysis["mean"], "Truth": cube["truth"]}
    celsius = {title: values[0] - 273.15 for title, values in maps.items()}
    style = {"limits": common_limits([celsius["Truth"]]), "colours": cmocean.cm.thermal, "label": "°C"}
    width, height = panel_size(cube["sst"])
    figure = Figure(figsize=(2 * (width + MARGIN), 2 * (height + 1) + 0.4), layout="compressed")
    axes = figure.subplots(2, 2, subplot_kw={"projection": projection_of(cube["sst"])}).ravel()
    for axis, (title, values) in zip(axes, celsius.items(), strict=False):
        draw_map(axis, values, cube["water"], title=title, **style)
    style = {"limits": (0.0, LARGEST_STD), "colours": cmocean.cm.amp, "label": "K"}
    draw_map(axes[3], analysis["std"][0], cube["water"], title="Error standard deviation", **style)
    figure.suptitle(heading, fontsize=TITLE + 2)
    return figure


def main() -> None:
    """Fit, fill and draw one method after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", default=[name for name in METHODS if name != "convlstm-unet"])
    parser.add_argument("--minutes", type=float, default=5)
    asked = parser.parse_args()
    cube = twin_sea(SEA)
    observed = (cube["sst"].notnull().sum(("lat", "lon")) / cube["water"].sum())[DAYS]
    day = observed["time"].values[np.abs(observed.values - (1 - COVER)).argmin()]
    drawn = cube.sel(time=[day])
    for method in asked.methods:
        analysis = fill(cube, fit(cube, settings(method, asked.minutes)), days=str(day)[:10]).compute()
        error = (analysis["mean"] - drawn["truth"]).where(drawn["sst"].isnull() & drawn["water"])
        print(f"{method}: RMSE {float((error**2).mean()) ** 0.5:.3f} K", flush=True)
        FOLDER.mkdir(parents=True, exist_ok=True)
        path = save(figure_of(drawn, analysis, f"{method}, {date_text(day)}"), FOLDER / f"{method}.png")
        image = Image.open(path).convert("RGB")
        image.quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=3).save(path, optimize=True)  # a third as large


if __name__ == "__main__":
    main()
