"""A small sea whose truth is known, and the files that hold it, as they will be written byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np

ROWS, COLUMNS = 12, 16
STARTS = ("2019-06-01", "2020-02-25", "2018-12-28")


class Expect(IntEnum):
    """What is right for an input; of several changes the last named decides."""

    SAME = 0
    """Accepted, with the output of the input without the change."""
    ACCEPT = 1
    """Accepted, with an output that agrees with the truth."""
    EITHER = 2
    """Refused by one clear error, or accepted with an output that agrees with the truth."""
    ANY = 3
    """The same, but the truth is lost: the output is complete, finite and plausible."""
    REFUSE = 4
    """Refused by one clear error."""


class NotApplicableError(Exception):
    """A change has no meaning for this layout; another is drawn."""


@dataclass
class Truth:
    """What a right reading finds: shapes (days, lat, lon), latitude ascending, longitude eastward."""

    days: np.ndarray
    lat: np.ndarray
    lon: np.ndarray
    field: np.ndarray
    """The sea without gaps, in the units of the output."""
    observed: np.ndarray
    """The same, NaN where the files hold no observation."""
    water: np.ndarray | None
    """Where the files say that there is water; None where they do not say."""
    units: str = "kelvin"

    def keep(self, days: np.ndarray) -> None:
        """Keep the days that are true in `days`."""
        self.days, self.field, self.observed = self.days[days], self.field[days], self.observed[days]


@dataclass
class Var:
    """A variable as it is stored: packed values, and all attributes, ``_FillValue`` among them."""

    dims: tuple[str, ...]
    values: np.ndarray
    attrs: dict[str, Any] = field(default_factory=dict)


@dataclass
class File:
    """A file to be written."""

    name: str
    variables: dict[str, Var]
    attrs: dict[str, Any] = field(default_factory=dict)
    format: str = "NETCDF4"
    storage: dict[str, Any] = field(default_factory=dict)
    """How NetCDF-4 stores every map: chunks, compression."""

    def sizes(self) -> dict[str, int]:
        """Return the length of each dimension."""
        return {
            dim: size for v in self.variables.values() for dim, size in zip(v.dims, np.shape(v.values), strict=True)
        }


@dataclass
class Inputs:
    """Files of one layout, with the names of what matters in them."""

    layout: str
    truth: Truth
    files: list[File]
    field: str
    lat: str = "lat"
    lon: str = "lon"
    time: str | None = "time"
    mask: str | None = None
    options: list[str] = field(default_factory=list)
    """Options that the layout needs, such as ``--variable``."""
    after: list[Callable[[Path], None]] = field(default_factory=list)
    """What is done in the folder of the case once the files are written."""
    verbs: tuple[str, ...] = ()
    """Verbs that the change is about; all where none is named."""
    names: list[str] = field(default_factory=list)
    """Words besides the files' names by which an error may name its input."""
    output: str | None = None
    """Where the output goes, where a change decides it."""
    model: str | None = None
    """Kind of the model that is filled with, if one is."""
    bad: set[int] = field(default_factory=set)
    """Files that ``--skip-bad`` must leave out."""

    @property
    def daily(self) -> bool:
        """Tell whether each day has a file of its own."""
        return len(self.files) > 1

    @property
    def source(self) -> str:
        """What the command line names as its input."""
        only = self.files[0]
        return f"in/{only.name}" if only.format.startswith("zarr") else "in"

    def images(self, file: File) -> np.ndarray:
        """Return the stored values of a file's field as a view (days, lat, lon), latitude ascending."""
        values = file.variables[self.field].values.reshape(-1, ROWS, COLUMNS)
        return values[:, ::-1] if file.variables[self.lat].values[0] > file.variables[self.lat].values[-1] else values

    def some(self, rng: np.random.Generator) -> list[File]:
        """Return all files, or one."""
        return self.files if rng.random() < 0.5 else [self.files[rng.integers(len(self.files))]]

    def fields(self, files: Iterable[File] | None = None) -> list[Var]:
        """Return the variable to be filled, of each file."""
        return [file.variables[self.field] for file in files or self.files]


def make_truth(seed: int, *, lat: np.ndarray, lon: np.ndarray, count: int | None = None) -> Truth:
    """Make a sea with a slope in each direction and a trend, whole hundredths of a kelvin, seen under clouds."""
    rng = np.random.default_rng(seed)
    count = count or int(rng.integers(6, 13))
    days = np.datetime64(STARTS[seed % len(STARTS)], "D") + np.arange(count)
    t, y, x = np.meshgrid(np.arange(count), np.arange(ROWS), np.arange(COLUMNS), indexing="ij")
    waves = 0.3 * np.sin(y / 2 + t / 3) * np.cos(x / 3) + 0.05 * rng.standard_normal(t.shape)
    sea = np.round(288.0 + 0.35 * y + 0.12 * x + 0.15 * t + waves, 2)
    clear = np.kron(rng.random((count, ROWS // 3, COLUMNS // 4)) < 0.65, np.ones((1, 3, 4), bool))
    clear &= rng.random(sea.shape) < 0.95
    clear[:, 3, 5] = True  # no day is empty
    water = np.ones((ROWS, COLUMNS), bool)
    water[8:, :4] = False
    return Truth(days, lat.copy(), lon.copy(), sea, np.where(clear & water, sea, np.nan), water)


def pack(
    values: np.ndarray, dtype: str, *, scale: float, offset: float, fill: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return packed counts and the attributes by which they are read."""
    counts = np.where(np.isfinite(values), np.round((np.nan_to_num(values) - offset) / scale), fill)
    kind = np.dtype(dtype)
    return counts.astype(kind), {
        "_FillValue": kind.type(fill),
        "scale_factor": np.float32(scale).astype(float) if scale == 0.5 else scale,
        "add_offset": offset,
    }


def unpacked(var: Var) -> np.ndarray:
    """Return the values that CF reads from a variable, NaN where it is filled."""
    values = np.asarray(var.values, float).copy()
    if "_FillValue" in var.attrs:
        values[var.values == var.attrs["_FillValue"]] = np.nan
    return values * var.attrs.get("scale_factor", 1.0) + var.attrs.get("add_offset", 0.0)


def to_float(var: Var, dtype: str = "float32") -> None:
    """Store a variable as floats instead of counts."""
    var.values = unpacked(var).astype(dtype)
    for name in ("scale_factor", "add_offset", "valid_min", "valid_max", "valid_range"):
        var.attrs.pop(name, None)
    var.attrs["_FillValue"] = np.dtype(dtype).type(np.nan)
