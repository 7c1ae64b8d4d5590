"""Draw the course of a training: its loss, and the errors on the validation seas over those of the first guess.

Usage: ``python pretraining/curves.py FOLDER FIGURE``. It also prints by how much an hour of the processor has lowered
the errors lately.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sereno.report.figures import save, tidy
from sereno.report.styles import COLOURS

SMOOTH = 30
"""Lines of the log that a point of the curve is the mean of."""


def main() -> None:
    """Draw and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("figure", type=Path)
    options = parser.parse_args()
    log, errors = (pd.read_csv(options.folder / f"{name}.csv") for name in ("log", "validation"))
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(log["minutes"] / 60, log["ratio"].rolling(SMOOTH, min_periods=1).mean(), color=COLOURS[0])
    left.set_title("hidden cells of training windows, all days")
    for number, (kind, rows) in enumerate(errors.groupby("kind", sort=False)):
        for mode, style in (("delayed", "-"), ("nrt", "--")):
            chosen = rows[rows["mode"] == mode]
            colour = COLOURS[number % len(COLOURS)]
            right.plot(
                chosen["minutes"] / 60, chosen["ratio"], style, color=colour, marker=".", label=f"{kind}, {mode}"
            )
    right.set_title("hidden cells of validation seas")
    right.legend(fontsize="xx-small", ncols=2)
    for axes in (left, right):
        axes.set_xlabel("hours of the processor")
        axes.set_ylabel("RMSE over that of the first guess")
        tidy(axes)
    save(figure, options.figure)
    for (kind, mode), rows in errors.groupby(["kind", "mode"], sort=False):
        latest = rows.tail(3)
        if len(latest) > 1:
            slope = np.polyfit(latest["minutes"] / 60, latest["ratio"], 1)[0]
            print(f"{kind}, {mode}: {rows['ratio'].iloc[-1]:.3f}, {slope:+.4f} an hour")


if __name__ == "__main__":
    main()
