"""The demonstration: the whole job on a small twin sea, from daily L3 files to scores, an L4 file and figures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sereno.compute import signals
from sereno.config import RunConfig, parse_config
from sereno.cube import select_period
from sereno.errors import InputError
from sereno.evaluation.evaluate import evaluate
from sereno.evaluation.results import Results
from sereno.gaps.statistics import coverage
from sereno.io.inputs.cube import open_cube
from sereno.io.outputs.analysis import write_analysis
from sereno.io.outputs.atomic import atomic_text
from sereno.io.outputs.disk import naming_output
from sereno.progress import Progress, labelled, silent
from sereno.report.figures import coverage_figure, maps_figure
from sereno.report.figures import save as save_figure
from sereno.report.page import save_report
from sereno.report.score_figures import save_score_figures
from sereno.synthetic import TwinSeaConfig, write_l3s
from sereno.workflow.fill import fill, product_of
from sereno.workflow.fit import fit
from sereno.workflow.models import save
from sereno.workflow.prepare import prepare

SEA = {"days": 450, "start": "2019-01-01", "shape": (64, 96)}
TRAIN, SCORED, FILLED = ":2019-12-15", "2020-01-01:", "2020-03-11:"
"""The networks and scales are fitted on the first year; a window and more later the scores begin. The best method
fills the last fortnight."""
SMALL_CONVLSTM = {
    "method": "convlstm",
    "window": 9,
    "hidden": 16,
    "layers": 1,
    "head": 32,
    "tile": (32, 32),
    "batch_size": 8,
    "steps_per_epoch": 40,
    "learning_rate": 3e-3,
}
CONVLSTM_MINUTES = 1.5
PACKAGED_UNET = {"method": "unet", "weights": "packaged", "tuning_steps": 8}
MARK = "DEMO.txt"
"""Content by which the folder of a demonstration is recognised."""
OWN = {"l3s", "cube.zarr", "models"}
"""Folders in it that another run does not continue."""
CALIBRATION_DAYS = 16
"""The pre-trained network is tuned, and every method calibrated, at a fifth of the usual cost."""


@dataclass(frozen=True)
class Demo:
    """What a demonstration made: the scores and where everything lies."""

    results: Results
    paths: list[Path]


def run(folder: Path, *, seed: int = 0, progress: Progress = silent) -> Demo:
    """Run the whole job in a folder.

    Parameters
    ----------
    folder
        Gets ``l3s/`` (daily files), ``cube.zarr``, ``models/``, ``analysis.nc``, the scores, figures and the report.
    seed
        Seed of the sea and of the networks.

    Returns
    -------
    Demo

    Raises
    ------
    InputError
        If the folder holds other files, or its parent is missing.
    """
    with _emptied(folder):
        return _run(folder, seed, progress)


def _run(folder: Path, seed: int, progress: Progress) -> Demo:
    """Run the whole job in an empty folder."""
    write_l3s(TwinSeaConfig(**SEA, seed=seed), folder, progress=progress)  # type: ignore[arg-type]
    prepared = prepare(folder / "l3s", folder / "cube.zarr", water=folder / "mask.nc", progress=progress)
    cube = open_cube(prepared.path)
    (folder / "models").mkdir(exist_ok=True)
    models = {}
    for name, config in _configurations(seed).items():
        models[name] = fit(cube, config, progress=labelled(progress, name))
        save(models[name], folder / "models" / name)
    known = cube.assign(truth=open_cube(folder / "truth.nc", variable="truth")["sst"])
    scored = evaluate(known, models, days=SCORED, seed=seed, progress=progress)
    best = scored.results.observations.best
    analysis = fill(cube, models[best], days=FILLED).compute()
    written = write_analysis(
        analysis, folder / "analysis.nc", product=product_of(cube, models[best]), progress=progress
    )
    tables = scored.save(folder)
    command = f"sereno demo -o {folder} --seed {seed}"
    report = save_report(scored, folder, command=command, progress=progress)
    figures = _draw(folder, select_period(known, FILLED), analysis)
    figures += save_score_figures(scored, folder, progress=progress)
    return Demo(scored.results, [*written, *tables, *figures, report])


@contextmanager
def _emptied(folder: Path) -> Iterator[None]:
    """Make the folder, or clear that of an earlier demonstration; what an ended one made of it is removed again."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise InputError(f"-o {folder}: it holds other files already; choose another name")
    made_here = not folder.exists()
    folder.mkdir(exist_ok=True)
    before = {path.name for path in folder.iterdir()} - OWN
    try:
        for name in OWN:
            signals.remove(folder / name)
        with naming_output(folder, folder):
            atomic_text(folder / MARK, "Made by sereno demo, which replaces it when it is run here again.\n")
            yield
    except BaseException:
        for path in [folder] if made_here else [*folder.iterdir()]:
            if path.name not in before:
                signals.remove(path)
        raise


def _configurations(seed: int) -> dict[str, RunConfig]:
    """Return the run of each method; the climatology is the baseline."""
    common = {"train": TRAIN, "seed": seed, "max_minutes": CONVLSTM_MINUTES, "calibration_days": CALIBRATION_DAYS}
    runs: list[dict[str, Any]] = [
        {"model": {"method": "climatology"}},
        {"model": {"method": "interpolation"}},
        {"model": SMALL_CONVLSTM},
        {"model": PACKAGED_UNET},
    ]
    return {run["model"]["method"]: parse_config(run | common) for run in runs}


def _draw(folder: Path, cube: xr.Dataset, analysis: xr.Dataset) -> list[Path]:
    """Draw the day whose coverage is nearest to a third, as most days of the Mediterranean are."""
    day = cube["time"].values[int(np.abs(coverage(cube).values - 0.33).argmin())]
    return [
        save_figure(coverage_figure(cube, analysis, day=day), folder / "coverage.png"),
        save_figure(maps_figure(cube["truth"], analysis, day=day, target_title="Truth"), folder / "maps.png"),
    ]
