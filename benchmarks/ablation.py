"""What each idea of the network is worth: trainings alike but for one thing, each of the same time of the processor.

Usage: ``PYTHONPATH=src:pretraining python benchmarks/ablation.py FOLDER [--minutes 60] [--only NAME …]``. Each
training draws the same seas, begins with the weights that the package has had for the central day, and lets its step
size fall to zero over its last third. What is there is continued or not done again. The table has the RMSE at
hidden cells of the validation seas over that of the first guess, and over that of the first training, with an
interval of 90 % by drawing the seas again, both from the geometric mean over seas.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from engine.training import read_network
from engine.validation import SLOTS, Validation

PRETRAINING = Path(__file__).parents[1] / "pretraining"
CHANNELS = ["--kind", "channels", "--widths", "64", "96", "128", "160"]
SHARED = ["--kind", "shared", "--widths", "48", "80", "112", "--fold", "2"]
BEGUN = ["--start", "begin.pt"]
VARIANTS = {
    "all days": [*CHANNELS, *BEGUN],
    "central day alone": [*CHANNELS, *BEGUN, "--answered", "central"],
    "two passes": [*CHANNELS, *BEGUN, "--passes", "2"],
    "two passes and the flow": [*CHANNELS, *BEGUN, "--passes", "2", "--flow"],
    "wider": ["--kind", "channels", "--widths", "96", "128", "160", "192", *BEGUN],
    "64 cells": [*CHANNELS, *BEGUN, "--side", "64", "--batch", "18"],
    "no currents": [*CHANNELS, *BEGUN, "--followed", "0"],
    "fresh": CHANNELS,
    "fresh, weights shared by the days": SHARED,
}
DRAWS, INTERVAL = 2000, (5, 95)


def main() -> None:
    """Train what is asked for, and print the table of all that there are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--only", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--clouds", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    begin = options.folder / "begin.pt"
    if not begin.exists():
        subprocess.run([sys.executable, PRETRAINING / "begin.py", begin], check=True)
    for name in options.only:
        if not (options.folder / place(name) / "weights.pt").exists():
            train(options, name)
    print(table(options.folder))


def place(name: str) -> str:
    """Return the folder of a training."""
    return name.replace(",", "").replace(" ", "-")


def train(options: argparse.Namespace, name: str) -> None:
    """Run a training to its end."""
    given = [str(options.folder / part) if part.endswith(".pt") else part for part in VARIANTS[name]]
    clouds = ["--clouds", str(options.clouds)] if options.clouds else []
    command = [sys.executable, str(PRETRAINING / "pretrain.py"), str(options.folder / place(name)), *given, *clouds]
    command += ["--minutes", str(options.minutes), "--fall", "0.33", "--validate", "1e9"]
    subprocess.run([*command, "--validation", str(options.folder / "validation.pt")], check=True)


def table(folder: Path) -> str:
    """Return the table of what has been trained."""
    validation = Validation.kept(folder / "validation.pt", "cpu")
    of_each = {
        name: validation.sums(read_network(folder / place(name) / "checkpoint.pt"))
        for name in VARIANTS
        if (folder / place(name) / "weights.pt").exists()
    }
    first = next(iter(of_each.values()))
    groups = {
        "turbulent": ("turbulent", "mixed", "buoyant"),
        "smooth": ("smooth",),
        "turbulent with currents": ("turbulent with currents", "mixed with currents", "buoyant with currents"),
        "smooth with currents": ("smooth with currents",),
    }
    columns = [(group, mode) for group in groups for mode in SLOTS]
    lines = [" | ".join(["| training", *(f"{group}, {mode}" for group, mode in columns), "|"])]
    lines.append("| --- " * (1 + len(columns)) + "|")
    for name, sums in of_each.items():
        cells = []
        for group, mode in columns:
            chosen = torch.tensor([kind in groups[group] for kind in validation.kinds])
            slot = list(SLOTS).index(mode)
            ours, theirs = (part[chosen, slot].numpy() for part in (sums, first))
            ratio = np.exp(0.5 * np.log(ours[:, 0] / ours[:, 1]).mean())
            low, middle, high = against(ours[:, 0], theirs[:, 0])
            cells.append(f"{ratio:.3f} ({middle:.3f}, {low:.3f} to {high:.3f})")
        lines.append(" | ".join([f"| {name}", *cells, "|"]))
    return "\n".join(lines)


def against(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float, float]:
    """Return the geometric mean over seas of the ratio of two errors, between the ends of its interval."""
    logarithms = 0.5 * np.log(ours / theirs)
    drawn = np.random.default_rng(0).integers(len(logarithms), size=(DRAWS, len(logarithms)))
    low, high = np.percentile(logarithms[drawn].mean(1), INTERVAL)
    return float(np.exp(low)), float(np.exp(logarithms.mean())), float(np.exp(high))


if __name__ == "__main__":
    main()
