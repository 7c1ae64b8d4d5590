"""One stage of the work, measured by itself: what `scaling.py` runs in processes of their own.

Usage: ``python benchmarks/stages.py STAGE FOLDER [--method M] [--shape LAT LON] [--days N] [--workers N]``. Prints as
JSON the processor seconds of the stage, with those of the processes that it started, the cells and the pixels of sea
of a map, and the bytes written. The sea is a patch of a twin sea laid next to its mirror images; models are fitted on
the patch and their climatology is laid out in the same way.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path

import dask.array as da
import numpy as np
import torch
import xarray as xr

import sereno
from basin import laid_out
from sereno.climatology import fit_climatology
from sereno.config import ClimatologyConfig, ConvLSTM, UNet, as_mapping, configure_at_once
from sereno.cube import make_cube
from sereno.io.models.model_folder import ModelDescription
from sereno.io.outputs.analysis import write_analysis
from sereno.synthetic import TwinSeaConfig, twin_sea, write_l3s
from sereno.training.archive import Archive
from sereno.training.objectives import learner_of
from sereno.training.windows import Drawn
from sereno.workflow.fill_to import fill_to
from sereno.workflow.models import Model, load, save
from sereno.workflow.prepare import prepare

PATCH, RECORD, SPACING = (48, 64), 91, 1 / 24
WINDOWS, STEPS, SIDE = 200, 4, 64
"""Windows and training steps that are measured, and the side of their tiles."""


class Measured:
    """Processor seconds of what ran within `clock`, and other numbers of a stage."""

    def __init__(self, shape: tuple[int, int]) -> None:
        water = laid_out(patch()["water"].values, shape)
        self.numbers = {"cells": water.size, "sea": int(water.sum()), "bytes": 0}

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Measure what runs within."""
        before = os.times()
        yield
        self.numbers["seconds"] = sum(os.times()[:4]) - sum(before[:4])

    def written(self, path: Path) -> None:
        """Count the bytes of a file or of a store."""
        files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
        self.numbers["bytes"] = sum(each.stat().st_size for each in files)


@cache
def patch() -> xr.Dataset:
    """Return the small sea."""
    return twin_sea(TwinSeaConfig(days=RECORD, shape=PATCH, spacing=SPACING))[["sst", "water"]]


def grid(shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """Return the coordinates of a sea of a shape, the first cells those of the patch."""
    sea = patch()
    return {dim: float(sea[dim][0]) + SPACING * np.arange(n) for dim, n in zip(("lat", "lon"), shape, strict=True)}


def large(shape: tuple[int, int]) -> xr.Dataset:
    """Return a sea of a shape, in memory."""
    sea = patch()
    field, water = (laid_out(sea[name].values, shape) for name in ("sst", "water"))
    return make_cube(field, time=sea["time"].values, water=water, **grid(shape))


def stored(folder: Path, shape: tuple[int, int]) -> xr.Dataset:
    """Return a sea of a shape, opened from the store that the stage ``sea`` has written."""
    return sereno.open_cube(folder / f"{shape[0]}x{shape[1]}.zarr")


def laid_out_model(model: Model, cube: xr.Dataset) -> Model:
    """Return the model of a patch with its climatology laid out over a cube."""
    fields, shape = model.reconstructor.climatology.fields, cube["water"].shape
    axes = {"lat": cube["lat"], "lon": cube["lon"]}
    maps = {n: (f.dims, laid_out(f.values, shape)) for n, f in fields.transpose(..., "lat", "lon").items()}
    rest = {name: values for name, values in fields.coords.items() if name not in axes}
    climatology = replace(model.reconstructor.climatology, fields=xr.Dataset(maps, {**rest, **axes}))
    description = ModelDescription.of(cube, as_mapping(model.config), grid_bound=True)
    return Model(replace(model.reconstructor, climatology=climatology), description)


def amid(cube: xr.Dataset, days: int) -> str:
    """Return this many days in the middle of the record, as A:B."""
    first = (RECORD - days) // 2
    return ":".join(str(cube["time"].values[day])[:10] for day in (first, first + days - 1))


def sea_stage(measured: Measured, asked: argparse.Namespace) -> None:
    """Write the sea that `fill` reads."""
    cube = large(asked.shape)
    cube["water"] = cube["water"].astype("int8")
    with measured.clock():
        cube.chunk(time=1).to_zarr(asked.folder / f"{asked.shape[0]}x{asked.shape[1]}.zarr", zarr_format=2)


def fit_stage(measured: Measured, asked: argparse.Namespace) -> None:
    """Fit a method on the patch, with its calibration; the small seas are filled by the engine of the large ones."""
    run = configure_at_once(asked.method)
    if isinstance(run.model, UNet):
        run = replace(run, model=replace(run.model, engine="torch"))
    with measured.clock():
        model = sereno.fit(patch(), run)
    save(model, asked.folder / asked.method)


def fill_stage(measured: Measured, asked: argparse.Namespace) -> None:
    """Fill days of a stored sea into a store."""
    cube = stored(asked.folder, asked.shape)
    fitted = load(asked.folder / asked.method)
    assert isinstance(fitted, Model)
    model = laid_out_model(fitted, cube)
    path = asked.folder / f"filled-{os.getpid()}.zarr"
    with measured.clock():
        fill_to(cube, model, path, days=amid(cube, asked.days), workers=asked.workers)
    measured.written(path)


def days_stage(measured: Measured, asked: argparse.Namespace) -> None:
    """Write a long record, the patch again and again, day after day."""
    cube, path = patch(), asked.folder / f"record-{asked.days}.zarr"
    field = da.from_array(cube["sst"].values, chunks=(RECORD, *PATCH))
    long = da.concatenate([field] * -(-asked.days // RECORD))[: asked.days]
    days = np.datetime64("1982-01-01", "ns") + np.arange(asked.days) * np.timedelta64(1, "D")
    record = make_cube(long, time=days, water=cube["water"].values, **grid(PATCH)).chunk(time=RECORD)
    record["water"] = record["water"].astype("int8")
    with measured.clock():
        record.to_zarr(path, mode="w", zarr_format=2)


def record_stage(measured: Measured, asked: argparse.Namespace) -> None:
    """Fill a whole record."""
    cube, model = sereno.open_cube(asked.folder / f"record-{asked.days}.zarr"), load(asked.folder / asked.method)
    with measured.clock():
        fill_to(cube, model, asked.folder / f"filled-{os.getpid()}.zarr")


def prepare_stage(measured: Measured, asked: argparse.Namespace) -> None:
    """Prepare daily files."""
    files = asked.folder / f"l3s-{os.getpid()}"
    write_l3s(TwinSeaConfig(days=asked.days, shape=asked.shape, spacing=SPACING), files)
    path = asked.folder / f"prepared-{os.getpid()}.zarr"
    with measured.clock():
        prepare(files / "l3s", path, water=files / "mask.nc", workers=asked.workers)
    measured.written(path)


def windows_stage(measured: Measured, asked: argparse.Namespace) -> None:
    """Draw training windows from a sea in memory."""
    cube = large(asked.shape)
    anomalies = fit_climatology(cube, ClimatologyConfig()).anomalies(cube).compute()
    drawn = Drawn(Archive.of(anomalies), UNet(tile=(SIDE, SIDE)), 0, WINDOWS)
    with measured.clock():
        list(islice(drawn.of_epoch(0), WINDOWS))


def step_stage(measured: Measured, asked: argparse.Namespace) -> None:
    """Take training steps of a network on random samples."""
    torch.set_num_threads(1)
    config = UNet() if asked.method == "unet" else ConvLSTM()
    size = (config.batch_size, config.window, SIDE, SIDE)
    maps, cells = torch.randn(size), torch.rand(size[0], SIDE, SIDE)
    batch = [torch.randn(size[0], size[1], 2, SIDE, SIDE), cells, cells > 0.5]
    if isinstance(config, UNet):
        scalars, noise = torch.randn(size[0], 11), torch.full((size[0],), 0.02)
        batch = [maps, maps, cells > 0.1, cells, scalars, cells, (cells > 0.5).float(), noise]
    learner = learner_of(config)
    optimiser = torch.optim.AdamW(learner.network.parameters())
    with measured.clock():
        for _ in range(STEPS):
            optimiser.zero_grad()
            learner.loss(learner.network, batch, 1.0)[0].backward()  # type: ignore[no-untyped-call]
            optimiser.step()


def write_stage(measured: Measured, asked: argparse.Namespace) -> None:
    """Write an analysis that is in memory as one NetCDF file."""
    cube = large(asked.shape).isel(time=slice(asked.days))
    field = cube["sst"].fillna(290.0).where(cube["water"]).astype("float32")
    none = xr.zeros_like(field)
    analysis = xr.Dataset(
        {
            "mean": field,
            "std": none + 0.3,
            "source": none.fillna(0).astype("int8"),
            "data_age": none,
            "climatology": field,
            "water": cube["water"],
        },
        attrs={"field": "sst"},
    ).chunk(time=1)
    path = asked.folder / f"written-{os.getpid()}.nc"
    with measured.clock():
        write_analysis(analysis, path)
    measured.written(path)


STAGES = {
    "sea": sea_stage,
    "fit": fit_stage,
    "fill": fill_stage,
    "days": days_stage,
    "record": record_stage,
    "prepare": prepare_stage,
    "windows": windows_stage,
    "step": step_stage,
    "write": write_stage,
}


def main() -> None:
    """Run a stage and print its numbers."""
    sereno.tune_memory()  # as the command line does
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--method", default="climatology")
    parser.add_argument("--shape", type=int, nargs=2, default=PATCH)
    parser.add_argument("--days", type=int, default=RECORD)
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    asked.shape = tuple(asked.shape)
    measured = Measured(asked.shape)
    STAGES[asked.stage](measured, asked)
    print(json.dumps(measured.numbers))


if __name__ == "__main__":
    main()
