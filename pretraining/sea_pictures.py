"""Draw seas of the engine: of each kind, and with each of the things that stay or move in some of them.

python pretraining/sea_pictures.py docs/figures/pretraining_seas.png [--seed 11]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import cmocean
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from engine.coasts import coasts
from engine.family import describe_sea
from engine.runs import Run, make_run
from sereno.report.figures import save

SIDE, DAYS, SHOWN = 128, 120, (60, 65)
STEADY = ("jet", "stream", "front", "plume")


def _plain(kind: str) -> Callable[[dict[str, Any]], bool]:
    return lambda sea: sea["kind"] == kind and not any(name in sea for name in (*STEADY, "drift"))


def _with(name: str) -> Callable[[dict[str, Any]], bool]:
    return lambda sea: name in sea and sea["kind"] == "turbulent" and sum(other in sea for other in STEADY) == 1


CHOSEN = {
    "turbulent": _plain("turbulent"),
    "with a jet": _with("jet"),
    "mixed": _plain("mixed"),
    "along a coast": _with("stream"),
    "buoyant": _plain("buoyant"),
    "with a front": _with("front"),
    "smooth": lambda sea: sea["kind"] == "smooth" and "idle" in sea,
    "with a plume": _with("plume"),
}


def draw_seas(seed: int, path: Path) -> None:
    """Draw two days of the anomalies of each sea chosen, and the speed of the current on the first of them."""
    figure = Figure(figsize=(6.6, 5), layout="constrained")
    axes = figure.subplots(4, 6)
    for place, (title, wanted) in enumerate(CHOSEN.items()):
        described = (describe_sea(seed, number, side=SIDE, coasts=len(coasts())) for number in count())
        sea = next(sea for sea in described if wanted(sea))
        run = make_run([sea], days=DAYS, side=SIDE, device=torch.device("cpu"), seed=seed)
        row, column = divmod(place, 2)
        _draw_sea(axes[row, 3 * column : 3 * column + 3], run, sea, title)
    save(figure, path)


def _draw_sea(axes: np.ndarray, run: Run, sea: dict[str, Any], title: str) -> None:
    box = (0.0, SIDE * sea["spacing"][1], 0.0, SIDE * sea["spacing"][0])
    for axis, day in zip(axes, SHOWN, strict=False):
        _draw_map(axis, run.anomaly[0, day].numpy(), box, cmap=cmocean.cm.balance, vmin=-2.5, vmax=2.5)
    speed = run.current[0, SHOWN[0]].float().norm(dim=0).numpy()
    _draw_map(axes[2], speed, box, cmap=cmocean.cm.speed, vmin=0, vmax=float(np.quantile(speed, 0.995)) + 0.01)
    axes[0].set_title(title, fontsize=5)
    axes[1].set_title(f"{SHOWN[1] - SHOWN[0]} days later", fontsize=5)
    axes[2].set_title(f"current, up to {speed.max():.2f} m/s", fontsize=5)
    if not run.water.all():
        for axis in axes:
            axis.contour(run.water[0].numpy(), levels=[0.5], colors="black", linewidths=0.5, extent=box)


def _draw_map(axis: Axes, field: np.ndarray, box: tuple[float, float, float, float], **style: Any) -> None:  # noqa: ANN401
    axis.imshow(field, origin="lower", interpolation="nearest", extent=box, **style)
    axis.set(xticks=[0, int(box[1])], yticks=[0, int(box[3])])
    axis.tick_params(labelsize=5)


def main() -> None:
    """Read the command line and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="the figure")
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args()
    draw_seas(options.seed, options.path)


if __name__ == "__main__":
    main()
