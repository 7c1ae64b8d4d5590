"""Time the making of training windows alone, from a basin's Zarr cube, against what training takes.

Usage: ``python benchmarks/windows.py [--days N] [--folder FOLDER]``. A cube of the Mediterranean's size at 1/24°
(378 × 1305 cells a day) is written, a twin sea laid side by side, and windows are cut from it as `fit` cuts them:
from days in memory where the cube is small, otherwise a block of days at a time (here blocks of 256 MB, so that
reading counts). The rate of training is that of the deep network and of Model 1 on the same tiles. Prints a table in
Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import islice
from pathlib import Path

import dask.array as da
import numpy as np
import pandas as pd
import torch
import xarray as xr

import sereno
from sereno.climatology import fit_climatology
from sereno.config import ConvLSTM, RunConfig, parse_config
from sereno.cube import make_cube
from sereno.gaps.hiding import visible_part
from sereno.io.outputs.atomic import write_dataset
from sereno.nets.precision import training_precision
from sereno.nets.thesis import ThesisNetwork
from sereno.synthetic import TwinSeaConfig, twin_sea
from sereno.training.archive import Archive
from sereno.training.losses import masked_mse
from sereno.training.windows import Encoded, windows_for

GRID = (378, 1305)
BLOCK_BYTES = 2**28
RUNS = {
    "random crops, 48 × 64": {"tile": [48, 64], "steps_per_epoch": 100},
    "tiles, 190 × 250": {"tile": [190, 250], "windows": "tiles", "hidden_day_fraction": 1.0, "mask": "state"},
}


def write_basin(folder: Path, days: int) -> Path:
    """Write a twin sea, repeated over the basin, as a cube."""
    small = twin_sea(TwinSeaConfig(days=days, shape=(63, 145), spacing=1 / 24))
    repeats = [-(-wide // narrow) for wide, narrow in zip(GRID, small["water"].shape, strict=True)]
    values = da.tile(da.from_array(small["sst"].values.round(2), chunks=(1, -1, -1)), (1, *repeats))
    water = np.tile(small["water"].values, repeats)[: GRID[0], : GRID[1]]
    cube = make_cube(
        values[:, : GRID[0], : GRID[1]].rechunk((1, -1, -1)),
        time=pd.date_range("2015-01-01", periods=days),
        lat=30.25 + np.arange(GRID[0]) / 24,
        lon=-18.125 + np.arange(GRID[1]) / 24,
        water=water,
    )
    cube["water"] = cube["water"].astype("int8")
    return write_dataset(cube, folder / "basin.zarr")


def windows_rate(anomalies: xr.Dataset, run: RunConfig, seconds: float) -> float:
    """Return windows a second, over whole blocks of days."""
    assert isinstance(run.model, ConvLSTM)
    archive = Archive.of(anomalies)
    training, _ = windows_for(archive, archive, run.model, seed=0)
    count, epoch, start = 0, 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        samples = Encoded(training, run.model, 1.0).of_epoch(epoch)
        # No more than the windows of a block, of which many would hide what reading it takes.
        count += sum(1 for _ in islice(samples, 400))
        epoch += 1
    return count / (time.perf_counter() - start)


def training_rate(run: RunConfig, steps: int = 4) -> float:
    """Return windows a second that the network takes in training, at its best."""
    assert isinstance(run.model, ConvLSTM)
    network, batch = ThesisNetwork(run.model), run.model.batch_size
    optimizer = torch.optim.Adam(network.parameters())
    maps = torch.randn(batch, run.model.window, 2, *run.model.tile)
    truth = torch.randn(batch, *run.model.tile)
    best, dtype = np.inf, training_precision(run.model)
    for _ in range(steps):
        start = time.perf_counter()
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            loss = masked_mse(network(maps)[:, 0], truth, truth > 0)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        best = min(best, time.perf_counter() - start)
    return batch / best


def main() -> None:
    """Write the basin, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=400)
    parser.add_argument("--folder", type=Path, help="keeps the basin for another run")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    options = parser.parse_args()
    whole = Archive.blocks
    with tempfile.TemporaryDirectory() as place:
        folder = options.folder or Path(place)
        folder.mkdir(exist_ok=True)
        path = folder / "basin.zarr"
        cube = visible_part(sereno.open_cube(path if path.exists() else write_basin(folder, options.days)))
        settings = {"climatology": {"recent_days": 0}}
        run = parse_config({"model": {"method": "deep"}, **settings})
        lazy = fit_climatology(cube, run.climatology).anomalies(cube)
        print("| windows | read from | windows a second | training: deep, Model 1 | times as fast |")
        print("| --- | --- | --- | --- | --- |")
        for name, model in RUNS.items():
            rates = [
                training_rate(parse_config({"model": {"method": network, **model}})) for network in ("deep", "model1")
            ]
            for source, anomalies in (("Zarr, blocks of days", lazy), ("memory", lazy.compute())):
                Archive.blocks = lambda archive, **_: whole(archive, block_bytes=BLOCK_BYTES)  # type: ignore[method-assign]
                rate = windows_rate(anomalies, parse_config({"model": {"method": "deep", **model}}), options.seconds)
                ratios = ", ".join(f"{rate / each:.0f}" for each in rates)
                print(f"| {name} | {source} | {rate:.0f} | {rates[0]:.1f}, {rates[1]:.1f} | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
