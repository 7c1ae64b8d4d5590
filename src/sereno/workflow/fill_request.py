"""The request to fill an analysis on disk, and all that its maps depend on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from sereno.config import RunConfig, as_mapping
from sereno.cube import DayRange, field_name, field_of, select_period, span
from sereno.errors import InputError
from sereno.io.models.model_folder import fingerprint
from sereno.io.outputs.provenance import Product
from sereno.io.stores.checksums import Images
from sereno.workflow.bare_networks import BareNetwork
from sereno.workflow.choices import AnyMethod, settings_of
from sereno.workflow.fill import product_of
from sereno.workflow.models import Model

MOVING = frozenset({"input", "days", "checksums"})
"""Settings that an update may change."""
_LOOKS = 3


class Shard(NamedTuple):
    """A part of the days, which are cut into `parts` of nearly equal length: the `number`-th, from 1."""

    number: int
    parts: int

    def __str__(self) -> str:
        return f"{self.number}/{self.parts}"

    def of(self, days: np.ndarray) -> np.ndarray:
        """Return the days of this part."""
        return np.array_split(days, self.parts)[self.number - 1]


@dataclass(frozen=True)
class FillOptions:
    """How days are filled and stored; see `sereno.workflow.fill_to.fill_to`."""

    nrt: bool = False
    keep_observed: bool = False
    packed: bool = True


@dataclass(frozen=True, eq=False, kw_only=True)
class Request:
    """A request: days of a cube, filled by a method, at an output.

    Attributes
    ----------
    cube, method, output, days, workers, shard, merge, update, overwrite
        As `sereno.workflow.fill_to.fill_to` takes them.
    options
        How days are filled and stored.

    Raises
    ------
    InputError
        If options do not go together.
    """

    cube: xr.Dataset
    method: AnyMethod
    output: Path
    days: str | None
    options: FillOptions
    workers: int | str
    shard: Shard | None
    merge: bool
    update: bool
    overwrite: bool

    def __post_init__(self) -> None:
        shard = self.shard
        if shard is not None and not 1 <= shard.number <= shard.parts:
            raise InputError(f"`shard` {shard}: give I/N with I from 1 to N")
        if self.update and (shard is not None or self.merge):
            raise InputError("`update` is the work of one command, not of shards; leave out `shard` and `merge`")
        if shard is not None and self.merge:
            raise InputError("`shard` fills a part and `merge` puts all together; give one of them")
        if self.update and self.overwrite:
            raise InputError("`update` adds new days and `overwrite` begins again; give one of them")
        if self.update and self.output.suffix == ".nc":
            raise InputError(f"{self.output}: one NetCDF file cannot be updated; give a name in .zarr or a folder")

    @property
    def alone(self) -> bool:
        """Whether no other process may be at work on the output."""
        return self.shard is None

    @property
    def in_folder(self) -> bool:
        """Whether the output is a folder of daily files."""
        return is_folder(self.output)

    @cached_property
    def images(self) -> Images:
        """Checksums of the cube's images."""
        return Images(self.cube)

    @cached_property
    def wanted(self) -> np.ndarray:
        """The days to fill."""
        return np.asarray(select_period(self.cube, self.days)["time"].values)

    @property
    def config(self) -> RunConfig:
        """The configuration of the method."""
        return settings_of(self.method)

    @cached_property
    def settings(self) -> dict[str, str]:
        """All that the maps depend on, to be compared with when a store is continued."""
        cube, method = self.cube, self.method
        model = "fitted on the input"
        if isinstance(method, Model):
            model = fingerprint(method.reconstructor.state())
        elif isinstance(method, BareNetwork):
            model = f"{fingerprint(method.state)}, completed on the input"
        some = cube["time"].values[np.unique(np.linspace(0, cube.sizes["time"] - 1, _LOOKS).astype(int))]
        lat, lon, water = (cube[name].values for name in ("lat", "lon", "water"))
        grid = f"{lat.size} × {lon.size} cells, {int(water.sum())} of water, from {lat[0]:.4f} N {lon[0]:.4f} E"
        return {
            "model": model,
            **_flat(as_mapping(self.config)),
            "field": f"{field_name(cube)}, {field_of(cube).attrs.get('units', '1')}",
            "grid": grid,
            "input": span(cube),
            "checksums": ", ".join(map(str, self.images.of(some))),
            "days": str(DayRange.of(self.wanted)),
            **{name: str(value) for name, value in asdict(self.options).items()},
        }

    @property
    def fixed_settings(self) -> dict[str, str]:
        """Those of the settings that an update may not change."""
        return {name: value for name, value in self.settings.items() if name not in MOVING}

    def product(self, model: Model) -> Product:
        """Return what the files say of themselves."""
        return product_of(self.cube, model, nrt=self.options.nrt, keep_observed=self.options.keep_observed)

    def part_of(self, days: np.ndarray) -> np.ndarray:
        """Return the days of the shard, or all."""
        return days if self.shard is None else self.shard.of(days)


def is_folder(output: Path) -> bool:
    """Return whether an output is a folder of daily files."""
    return output.suffix not in (".nc", ".zarr")


def store_of(output: Path) -> Path:
    """Return where the store of an output is: itself, unless it is no store or one that replaces it is being made."""
    beside = store_beside(output)
    return output if output.suffix == ".zarr" and not beside.exists() else beside


def store_beside(output: Path) -> Path:
    """Return where a store is that is not the output itself."""
    return output.with_name(f"{output.name}.filling.zarr")


def _flat(values: dict[str, object], prefix: str = "") -> dict[str, str]:
    """Return a nested mapping with dotted keys."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: str(value)}
    return flat
