"""DINEOF's accuracy and speed compared with pydineof, and its cost on a sea as large as the Mediterranean at 1/24°.

Usage: ``python benchmarks/dineof.py peer FOLDER [--period A:B] [--modes N]``, and ``… settings FOLDER``, with the
folder of `tasmania_l3.nc`; ``… cost [--days N]``. Speeds are compared as a ratio within one run: a machine that is
busy is slow for both. pydineof (PyPI, not a dependency) is given the field in kelvin and its time axis as plain day
numbers; without these its filter does nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from scipy.ndimage import gaussian_filter, zoom

import sereno
from sereno.config import parse_config
from sereno.cube import make_cube, select_period
from sereno.reconstruct.dineof.filter import smoothing
from sereno.reconstruct.dineof.fitting import Matrix, matrices
from sereno.reconstruct.dineof.iterations import Filling, Stopping, numbers_of_modes, trials

SETTINGS = {"alpha": 0.01, "iterations": 3}
"""The filter that DINEOF's example has, and its stopping, which is `Stopping`'s default."""
GRID, SEA_PIXELS, RANK = (378, 1305), 150_000, 15


def peer(folder: Path, period: str, modes: int) -> None:
    """Score both on the withheld pixels of a part of `tasmania_l3.nc` against the truth, and time them."""
    cube = select_period(sereno.open_cube(folder / "tasmania_l3.nc"), period).load()
    scored = cube["sst_withheld"].notnull().values
    print(f"tasmania_l3.nc, {period}: {scored.sum()} withheld pixels, {modes} modes at most, {SETTINGS}, one run\n")
    print("| | modes | RMSE against truth, K | s |", "| --- | --- | --- | --- |", sep="\n")
    rows = {
        "pydineof on the field": lambda: with_pydineof(cube, modes),
        "the same by sereno's core": lambda: with_core(cube, modes),
        "sereno fit and fill, anomalies, the same settings": lambda: with_sereno(
            cube, most_modes=modes, alpha=0.01, tolerance=1e-3
        ),
        "sereno fit and fill, defaults": lambda: with_sereno(cube),
    }
    seconds = {}
    for name, run in rows.items():
        started = time.perf_counter()
        mean, kept = run()
        seconds[name] = time.perf_counter() - started
        error = (mean - cube["truth"].values)[scored]
        print(f"| {name} | {kept} | {np.sqrt(np.mean(error**2)):.4f} | {seconds[name]:.1f} |", flush=True)
    theirs, *ours = seconds.values()
    print("\npydineof's time over ours:", ", ".join(f"{theirs / one:.1f}" for one in ours))


def with_pydineof(cube: xr.Dataset, modes: int) -> tuple[np.ndarray, int]:
    """Run pydineof; it replaces observations by the truncated series."""
    from pydineof import run_2D

    field = cube["sst"].reset_coords(drop=True).assign_coords(time=np.arange(cube.sizes["time"]))
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        filled = run_2D(
            field.rename("sst"), cube["water"], modes, modes + 6, alpha=SETTINGS["alpha"], numit=3, seed=0
        )
    retained = output.getvalue().split("retained for the reconstruction:")[1].split()[0]
    return filled.transpose("time", "lat", "lon").values, int(retained)


def with_core(cube: xr.Dataset, modes: int) -> tuple[np.ndarray, int]:
    """Run the iterations on the same matrix, less its mean, with the same settings."""
    field, water = cube["sst"].where(cube["water"]), cube["water"]
    mean = float(field.mean())
    dataset = xr.Dataset({"anomaly": field - mean, "water": water}, attrs={"field": "anomaly"})
    config = parse_config({"model": {"method": "dineof", "segment": cube.sizes["time"]}}).model
    matrix: Matrix = matrices(dataset, config, seed=0)[0]
    filtering = smoothing(np.arange(cube.sizes["time"]), **SETTINGS)
    tried = trials(matrix.observed, matrix.hidden, filtering, first=1, most=modes, stopping=Stopping())
    best = min(tried, key=lambda trial: trial.error).modes
    filling = Filling(matrix.observed, filtering)
    for stage in numbers_of_modes(1, best):
        eofs, _ = filling.settle(stage, Stopping())
    filled = np.full(field.shape, np.nan)
    filled[:, water.values] = eofs.series().T + mean
    return filled, best


def with_sereno(cube: xr.Dataset, **settings: float) -> tuple[np.ndarray, int]:
    """Fit and fill as a user does."""
    seen = cube.drop_vars(["truth", "sst_withheld"])
    model = sereno.fit(seen, parse_config({"model": {"method": "dineof", **settings}}))
    return sereno.fill(seen, model)["mean"].values, model.reconstructor.inner.modes


def settings(folder: Path) -> None:
    """Score settings on the validation years of `tasmania_l3.nc`, against observations withheld from these years."""
    cube = select_period(sereno.open_cube(folder / "tasmania_l3.nc"), "2000:2012").load()
    seen = cube.drop_vars(["truth", "sst_withheld"])
    tried: list[dict[str, float]] = [{}, {"segment": 365}, {"segment": 1095}, {"alpha": 0.01}, {"alpha": 0.1}]
    tried += [{"tolerance": 1e-3}, {"margin": 90}]
    models = {}
    for one in tried:
        name = ", ".join(f"{key} = {value:g}" for key, value in one.items()) or "defaults"
        models[name] = sereno.fit(seen, parse_config({"model": {"method": "dineof", **one}, "train": ":2009"}))
    scores = sereno.evaluate(seen, models, days="2010:2012").scores["methods"]
    print("| | modes | RMSE against withheld observations, K | std of z | s |", "| --- " * 5 + "|", sep="\n")
    for name, row in scores.items():
        modes = models[name].reconstructor.inner.modes
        print(f"| {name} | {modes} | {row['rmse']:.4f} | {row['z_std']:.3f} | {row['seconds']:.1f} |")


def simulated_sea(days: int, seed: int = 0) -> tuple[xr.Dataset, np.ndarray]:
    """Return a cube of about 150,000 sea pixels, two thirds of them cloudy, and the truth in single precision."""
    rng = np.random.default_rng(seed)

    def smooth(scale: float) -> np.ndarray:
        coarse = gaussian_filter(rng.standard_normal((GRID[0] // 6 + 1, GRID[1] // 6 + 1)), scale / 6)
        fine = zoom(coarse / coarse.std(), 6, order=1)[: GRID[0], : GRID[1]]
        return fine.astype(np.float32)

    land = smooth(60)
    water = land > np.quantile(land, 1 - SEA_PIXELS / land.size)
    patterns = np.stack([smooth(90 / (1 + order / 3)) / (1 + order / 4) for order in range(RANK)])
    amplitudes = rng.standard_normal((days, RANK)).astype(np.float32)
    for day in range(1, days):
        amplitudes[day] = 0.92 * amplitudes[day - 1] + np.sqrt(1 - 0.92**2) * amplitudes[day]
    field, truth = np.empty((days, *GRID), np.float32), np.empty((days, int(water.sum())), np.float32)
    for day in range(days):
        image = 290 + np.tensordot(amplitudes[day], patterns, axes=1)
        truth[day] = image[water]
        image += rng.standard_normal(GRID, dtype=np.float32) * np.float32(0.15)
        image[(smooth(25) > -0.45) | ~water] = np.nan
        field[day] = image
    lat, lon = 30.25 + np.arange(GRID[0]) / 24, -18 + np.arange(GRID[1]) / 24
    time_axis = pd.date_range("2020-01-01", periods=days)
    return make_cube(field, time=time_axis, lat=lat, lon=lon, water=water), truth


def cost(days: int) -> None:
    """Fit, cross-validation included, and fill a large sea a block of days at a time."""
    cube, truth = simulated_sea(days)
    water = cube["water"].values
    print(f"{days} days of {GRID[0]} x {GRID[1]} cells, {water.sum()} of them sea,", end=" ")
    print(f"{float(cube['sst'].isnull().where(cube['water']).mean()):.0%} missing", flush=True)
    started = time.perf_counter()
    model = sereno.fit(cube, "dineof")
    fitted = time.perf_counter()
    print(f"fit: {fitted - started:.0f} s, {model.reconstructor.inner.modes} modes", flush=True)
    analysis, total, count = sereno.fill(cube, model), 0.0, 0
    ends = np.cumsum(analysis.chunksizes["time"])
    for first, last in zip([0, *ends[:-1]], ends, strict=True):
        block = analysis[["mean", "std"]].isel(time=slice(first, last)).compute()
        gaps = np.isnan(cube["sst"].values[first:last][:, water])
        total += float(
            np.sum(np.square((block["mean"].values[:, water] - truth[first:last])[gaps], dtype=np.float64))
        )
        count += int(gaps.sum())
    done = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"fill: {done - fitted:.0f} s; together {done - started:.0f} s, peak {peak:.1f} GiB with the cube itself")
    print(f"RMSE in the gaps against the truth: {np.sqrt(total / count):.3f} K")


def main() -> None:
    """Run the part that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    beside = parts.add_parser("peer", help="accuracy and speed compared with pydineof")
    beside.add_argument("folder", type=Path)
    beside.add_argument("--period", default="2013-01-01:2014-12-31")
    beside.add_argument("--modes", type=int, default=20)
    choice = parts.add_parser("settings", help="settings on the validation years")
    choice.add_argument("folder", type=Path)
    large = parts.add_parser("cost", help="time and memory on a large sea")
    large.add_argument("--days", type=int, default=365)
    arguments = parser.parse_args()
    if arguments.part == "peer":
        peer(arguments.folder, arguments.period, arguments.modes)
    elif arguments.part == "settings":
        settings(arguments.folder)
    else:
        cost(arguments.days)


if __name__ == "__main__":
    main()
