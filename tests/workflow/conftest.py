"""Sixty days of a small sea, a model of them, and the store that an undisturbed run makes."""

from pathlib import Path

import pytest
import xarray as xr
from stores import DAYS, REACH

from sereno.config import configure
from sereno.workflow.fill_to import fill_to
from sereno.workflow.fit import fit
from sereno.workflow.models import Model


@pytest.fixture(scope="module")
def cube(sea: xr.Dataset) -> xr.Dataset:
    return sea[["sst", "water"]].isel(time=slice(0, DAYS))


@pytest.fixture(scope="module")
def model(cube: xr.Dataset) -> Model:
    config = configure("linear", model={"method": "linear", "window": 5}, climatology={"recent_days": 0})
    made = fit(cube, config)
    assert made.reconstructor.reach == REACH
    return made


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of ten days, one after the other, so that there is more than one."""
    monkeypatch.setattr("sereno.reconstruct.day_blocks.days_per_block", lambda cells: 8)
    monkeypatch.setattr("sereno.reconstruct.day_blocks.CONTEXT_CELLS", 14 * 24 * 32)
    monkeypatch.setattr("sereno.workflow.fill_jobs.BLOCKS_AT_ONCE", 0)


@pytest.fixture(scope="module")
def whole(cube: xr.Dataset, model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of an undisturbed run."""
    path = tmp_path_factory.mktemp("whole") / "out.zarr"
    fill_to(cube, model, path)
    return path
