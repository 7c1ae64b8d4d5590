"""The reference method on other seas: its five networks, trained and scored as in the thesis.

Usage: ``python benchmarks/reference.py twin|tasmania [--bench FOLDER] [--minutes N] [--output FOLDER]``. Each network
is trained for N minutes at most (twice as long the deep one) with ``examples/reference.toml`` on smaller tiles, then
all are scored on wholly hidden days of a later period, with sereno's own interpolation for comparison. A run that was
stopped continues where it was. Prints tables in Markdown and leaves them, ``scores.json``, figures and the loss
curves in the folder.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import xarray as xr

import sereno
from sereno.config import REFERENCE_NETWORKS, RunConfig, override, parse_config, read_config
from sereno.evaluation.evaluate import Evaluation
from sereno.report.figures import losses_figure, save
from sereno.report.score_figures import save_score_figures
from sereno.synthetic import TwinSeaConfig, twin_sea
from sereno.workflow.fit import fit
from sereno.workflow.models import Model

EXAMPLE = Path(__file__).parents[1] / "examples" / "reference.toml"
SEAS: dict[str, dict[str, Any]] = {
    "twin": {
        "train": ":2021-10-31",
        "valid": "2021-11-20:2022-05-31",
        "scored": "2022-06-20:",
        "tile": [32, 48],
    },
    "tasmania": {
        "train": ":2009-12-31",
        "valid": "2010-02-01:2012-12-01",
        "scored": "2013-01-01:",
        "tile": [32, 32],
    },
}
"""Periods, more than a window apart, and tiles of each sea."""
MOST_TILES = 2048
TWIN = TwinSeaConfig(days=1644, start="2019-01-01", shape=(64, 96), spacing=1 / 24, seed=11)
"""Four and a half years off Corsica and Sardinia at 1/24°."""


def open_sea(name: str, bench: Path) -> xr.Dataset:
    """Return the cube of a sea, its truth with it for scoring."""
    return twin_sea(TWIN) if name == "twin" else sereno.open_cube(bench / "tasmania_l3.nc")


def configuration(network: str, sea: dict[str, Any], minutes: float) -> RunConfig:
    """Return the reference's configuration for a network, on the tiles and days of a sea."""
    values = override(read_config(EXAMPLE), [f"model.tile={sea['tile']}", f"model.most_tiles={MOST_TILES}"])
    values["model"]["method"] = network
    periods = {"train": sea["train"], "valid": sea["valid"]}
    return parse_config(values | periods | {"max_minutes": minutes * (2 if network == "deep" else 1)})


def trained(cube: xr.Dataset, network: str, sea: dict[str, Any], folder: Path, minutes: float) -> Model:
    """Train a network, or take up the model or the training that is there."""
    if (folder / network / "model.json").exists():
        model = sereno.load(folder / network)
        assert isinstance(model, Model)
        return model
    checkpoints = folder / f"{network}.training"
    model = fit(cube, configuration(network, sea, minutes), folder=checkpoints, resume=True)
    sereno.save(model, folder / network)
    save(losses_figure(checkpoints / "metrics.csv"), folder / f"losses_{network}.png")
    losses = [epoch["valid_loss"] for epoch in model.reconstructor.inner.state().values["history"]]
    print(f"{network}: {len(losses)} epochs, validation loss {losses[0]:.3f} to {min(losses):.3f}", flush=True)
    return model


def table(result: Evaluation) -> list[str]:
    """Return the reference's table as lines of Markdown, against observations and against the truth."""
    scores = result.scores
    lines = [
        f"{scores['n_pixels']:,} pixels on {scores['n_days']} wholly hidden days of {scores['days']}.",
        "",
        "| | MBE (K) | STD (K) | RMSD (K) | MAE (K) | R² | RMSD, truth (K) |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    rows = {**scores["baselines"], **scores["methods"]}
    truth = {**scores["truth"]["baselines"], **scores["truth"]["methods"]}
    for name, row in rows.items():
        numbers = (*(row[key] for key in ("bias", "std", "rmse", "mae", "r2")), truth[name]["rmse"])
        lines.append(f"| {name} | {' | '.join(f'{number:.4f}' for number in numbers)} |")
    return lines


def main() -> None:
    """Train, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sea", choices=SEAS)
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench"), help="folder of tasmania_l3.nc")
    parser.add_argument("--minutes", type=float, default=12.0, help="training time of each network")
    parser.add_argument("--output", type=Path, default=Path("reference"))
    options = parser.parse_args()
    if options.sea == "tasmania" and not (options.bench / "tasmania_l3.nc").exists():
        sys.exit(f"{options.bench}/tasmania_l3.nc is not there; name its folder with --bench")
    sea, folder = SEAS[options.sea], options.output / options.sea
    folder.mkdir(parents=True, exist_ok=True)
    cube = open_sea(options.sea, options.bench)
    methods: dict[str, Model | RunConfig] = {
        name: trained(cube, name, sea, folder, options.minutes) for name in REFERENCE_NETWORKS
    }
    methods["interpolation"] = parse_config({"model": {"method": "interpolation"}, "train": sea["train"]})
    # The given withheld pixels are for the protocol of clouds; here whole days are hidden.
    cube = cube.drop_vars("sst_withheld", errors="ignore")
    result = sereno.evaluate(cube, methods, days=sea["scored"], protocol="hidden-day", share=0.2)
    result.save(folder)
    save_score_figures(result, folder)
    text = "\n".join(table(result)) + "\n"
    (folder / "table.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
