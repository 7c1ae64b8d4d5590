"""What a prepared store is made with: the settings, and how they turn the images of a file into maps of the store."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from sereno.grids.regrid import Regridding, regridding
from sereno.io.inputs.file import Part, read_part
from sereno.io.inputs.rejected_values import Tally
from sereno.io.stores.prepared import Grid


@dataclass(frozen=True)
class Recipe:
    """How files become a store; the fields are explained in `sereno.workflow.prepare.prepare`."""

    variable: str | None = None
    quality_level: int = 4
    water: Path | None = None
    step: Fraction | None = None
    resample: str = "mean"
    min_observations: int = 1
    climatology: Path | None = None

    def read(self, file: Path, tally: Tally | None = None) -> Part:
        """Bring a file to the schema; the tally will count what is made missing in its images."""
        return read_part(file, variable=self.variable, quality_level=self.quality_level, tally=tally)

    def settings(self, first: Part) -> dict[str, Any]:
        """Return all that the values of a store depend on, except its files, by the names of the options."""
        return {
            "variable": first.attrs["variable"],
            "quality": self.quality_level,
            "water": _digest(self.water),
            "grid": "that of the input" if self.step is None else str(self.step),
            "resample": "none" if self.step is None else self.resample,
            "min-observations": self.min_observations,
            "climatology": _digest(self.climatology),
        }

    def regridding(self, grid: Grid | Part) -> Regridding | None:
        """Return the way from the input's grid to the store's, None where they are one."""
        return None if self.step is None else regridding(grid.lat, grid.lon, self.step)

    def grid(self, own: Grid) -> Grid:
        """Return the store's grid, given the input's."""
        plan = self.regridding(own)
        if plan is None:
            return own
        water = plan.majority(own.water) if self.resample == "mean" else plan.nearest(own.water)
        return Grid(plan.lat, plan.lon, water)

    def maps(self, images: dict[str, np.ndarray], field: str, own: Grid) -> dict[str, np.ndarray]:
        """Bring images (day, lat, lon) of the input's grid to the store's.

        A mean is over water that is observed. The error of a mean is the mean of the errors, an upper bound: those of
        neighbours are of one sky and one retrieval, and do not cancel.
        """
        plan = self.regridding(own)
        if plan is None:
            return images
        if self.resample == "nearest":
            return {name: plan.nearest(values) for name, values in images.items()}
        maps = {}
        seen = np.isfinite(images[field]) & own.water
        for name, values in images.items():
            of_error = name == f"{field}_error"
            least = 1 if of_error else self.min_observations
            known = np.isfinite(values) & (seen if of_error else own.water)
            maps[name] = np.stack(
                [plan.mean(*day, min_observations=least) for day in zip(values, known, strict=True)]
            )
        if f"{field}_error" in maps:
            maps[f"{field}_error"][np.isnan(maps[field])] = np.nan
        return maps


def _digest(path: Path | None) -> str:
    """Return a digest of the content of files."""
    if path is None:
        return "none"
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return f"a file of sha256 {digest.hexdigest()[:12]}"
