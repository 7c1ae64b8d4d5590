"""One file brought to the schema: its days, its grid, its images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import xarray as xr

from sereno.errors import InputError, file_edge
from sereno.io.inputs import lexicon
from sereno.io.inputs.ancillary import side_variables
from sereno.io.inputs.axes import latitudes, longitudes, on_axes
from sereno.io.inputs.dates import days_of, find_time
from sereno.io.inputs.declared import standard_of
from sereno.io.inputs.images import Images
from sereno.io.inputs.masks import find_water
from sereno.io.inputs.opening import damaged, open_dataset, require_content, require_memory_for_map, spacing
from sereno.io.inputs.quality import quality_of
from sereno.io.inputs.rejected_values import Tally
from sereno.io.inputs.value_checks import PIXEL, ZERO_CELSIUS, Kind, Standard

_LISTED = 20


@dataclass(frozen=True, eq=False)
class Part:
    """What one file gives: days and images by the name of their variable in the cube."""

    path: Path
    name: str
    days: np.ndarray
    lat: np.ndarray
    lon: np.ndarray
    attrs: dict[str, str]
    names: frozenset[str] = frozenset()
    """Variables of the cube that the file gives."""
    images: dict[str, Images] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    about: dict[str, str] = field(default_factory=dict)
    """Attributes of a field that is not a temperature, in addition to its units."""

    def water(self) -> tuple[np.ndarray | None, list[str]]:
        """Read the mask that the file carries, bool (lat, lon), or None; and why another was passed over."""
        images = self.images[self.name]
        latitude, longitude = images.dims[-2:]
        with file_edge(self.path, "its mask cannot be read; give another by `water`"):
            mask, notes = find_water(images.dataset, latitude, longitude)
        return None if mask is None else mask.values[images.order[0]][:, images.order[1]], notes

    def close(self) -> Self:
        """Close the file and return what was learnt of it."""
        if self.images:
            self.images[self.name].dataset.close()
        return replace(self, images={})

    def require_same_grid(self, first: Part) -> None:
        """Raise an InputError unless the field and the grid are those of another file."""
        if self.name != first.name or self.attrs["units"] != first.attrs["units"]:
            raise InputError(
                f"{self.path}: holds {self.name} in {self.attrs['units']}, {first.path} {first.name} in "
                f"{first.attrs['units']}; give files of one variable"
            )
        same = self.lat.shape == first.lat.shape and self.lon.shape == first.lon.shape
        if not same or not (
            np.allclose(self.lat, first.lat, atol=0.1 * spacing(first.lat))
            and np.allclose(self.lon, first.lon, atol=0.1 * spacing(first.lon))
        ):
            raise InputError(f"{self.path}: its grid is not that of {first.path}; give files of one grid")


def read_part(path: Path, *, variable: str | None, quality_level: int, tally: Tally | None = None) -> Part:
    """Bring one file to the schema; of its images nothing is read yet.

    Parameters
    ----------
    tally
        Will count what is made missing when images are read.

    Raises
    ------
    InputError
        If the file cannot be used as it is.
    """
    try:
        return part_of(
            open_dataset(path), path, variable=variable, quality_level=quality_level, tally=tally or Tally()
        )
    except InputError:
        raise
    except Exception as error:
        raise damaged(path, error) from error


def raise_all(problems: Sequence[str]) -> None:
    """Raise one InputError for all problems, if there are any, the first twenty in full."""
    if problems:
        raise InputError("\n".join(some_of(problems)))


def some_of(lines: Sequence[str]) -> list[str]:
    """Return the first twenty of many lines, and how many more there are."""
    more = len(lines) - _LISTED
    return [*lines[:_LISTED], *[f"… and {more} more"] * (more > 0)]


def part_of(opened: xr.Dataset, path: Path, *, variable: str | None, quality_level: int, tally: Tally) -> Part:
    """Recognise the variables, coordinates and days of a dataset, orient its grid, and make its images.

    Parameters
    ----------
    path
        The file that it was opened from; of one in memory, what messages shall call it.
    """
    recognised, notes = _recognise(opened, str(path), variable)
    grid, remarks = _orient(recognised, path)
    notes += remarks
    if recognised.difference and variable is None:
        kept = "is an anomaly or another difference by what it says about itself, and is kept as it is"
        notes.append(f"{recognised.name} {kept}")
    images, remarks = _images(recognised, grid, path, quality_level, tally)
    notes += remarks
    attrs, about = _described(recognised)
    names = frozenset(images)
    return Part(path, recognised.field, recognised.days, grid.lat, grid.lon, attrs, names, images, notes, about)


@dataclass(frozen=True, eq=False)
class _Recognised:
    """What a dataset holds, under the names that it has there."""

    dataset: xr.Dataset
    origin: str
    name: str
    latitude: str
    longitude: str
    time: str | None
    days: np.ndarray

    @property
    def values(self) -> xr.DataArray:
        """The field."""
        return self.dataset[self.name]

    @property
    def temperature(self) -> bool:
        """Whether the field is a temperature."""
        return lexicon.is_temperature(self.values)

    @property
    def difference(self) -> bool:
        """Whether it is an anomaly or another difference."""
        return lexicon.is_difference(self.values)

    @property
    def field(self) -> str:
        """The field's name in the cube."""
        if self.temperature:
            return "sst"
        return f"{self.name}_anomaly" if self.difference and self.name == "sst" else self.name

    def dims_of(self, name: str) -> tuple[str, ...]:
        """Return the dimensions of a variable that has images of the days, but for those of size one."""
        return _dims(self.dataset[name], self.time, (self.latitude, self.longitude), len(self.days), self.origin)


class _Oriented(NamedTuple):
    """The grid in ascending order, and the rows and columns of the file in that order."""

    lat: np.ndarray
    lon: np.ndarray
    order: tuple[slice | np.ndarray, slice | np.ndarray]


def _recognise(opened: xr.Dataset, origin: str, variable: str | None) -> tuple[_Recognised, list[str]]:
    """Find the field, its coordinates and its days."""
    name = lexicon.find_field(opened, variable, origin=origin)
    dataset, latitude, longitude = on_axes(opened, origin=origin, field=name)
    time = find_time(dataset, name)
    days, notes = days_of(dataset, time, origin)
    if time is not None and dataset[time].ndim and dataset[time].dims != (time,):
        dataset = dataset.set_coords(time).swap_dims({dataset[time].dims[0]: time})
    dataset.set_close(opened.close)
    if (kind := dataset[name].dtype).kind not in "biuf":
        raise InputError(f"{origin}: {name} is of type {kind}, not of numbers; name another by `variable`")
    recognised = _Recognised(dataset, origin, name, latitude, longitude, time, days)
    recognised.dims_of(name)
    return recognised, notes


def _orient(recognised: _Recognised, path: Path) -> tuple[_Oriented, list[str]]:
    """Bring the grid into ascending order; refuse one that memory does not hold, or the file has no content for."""
    lat, rows = latitudes(recognised.dataset[recognised.latitude].values, origin=recognised.origin)
    lon, columns, notes = longitudes(recognised.dataset[recognised.longitude].values, origin=recognised.origin)
    require_memory_for_map(path, lat.size * lon.size)
    if path.exists():
        require_content(path, recognised.values, lat.size * lon.size)
    return _Oriented(lat, lon, (rows, columns)), notes


def _images(
    recognised: _Recognised, grid: _Oriented, path: Path, quality_level: int, tally: Tally
) -> tuple[dict[str, Images], list[str]]:
    """Return the images of the field, and of what stands next to it and can be used, by their names in the cube."""
    sides, notes = side_variables(recognised.dataset, recognised.field, recognised.name)
    level = quality_of(recognised.dataset, recognised.name, quality_level, origin=recognised.origin)
    images = {}
    for target, source in ({recognised.field: recognised.name} | sides).items():
        try:
            quantity: Kind = (
                "deviation" if target.endswith("_error") else "temperature" if recognised.temperature else "other"
            )
            standard, remarks = _standard(recognised.dataset[source], quantity, recognised.time, recognised.origin)
            dims = recognised.dims_of(source)
        except InputError as error:
            if target == recognised.field:
                raise
            notes.append(f"{error}; {source} was left out")
            continue
        notes += remarks
        images[target] = Images(
            path,
            recognised.dataset,
            source,
            recognised.days,
            dims=dims,
            order=grid.order,
            shape=(len(recognised.days), grid.lat.size, grid.lon.size),
            standard=standard,
            tally=tally,
            quality_level=level if target == recognised.field else None,
        )
    return images, notes


def _described(recognised: _Recognised) -> tuple[dict[str, str], dict[str, str]]:
    """Return the attributes of the cube, and those of a field that is no temperature."""
    values, temperature = recognised.values, recognised.temperature
    units = "kelvin" if temperature else str(values.attrs.get("units", "1"))
    about = {} if temperature else lexicon.description(values)
    if recognised.difference and lexicon.scale_of(values) is not None:  # CF: "kelvin" would be a temperature
        units = "K" if lexicon.scale_of(values) == "kelvin" else units
        about["units_metadata"] = "temperature: difference"
    kind = lexicon.kind_of_sst(recognised.dataset, recognised.name) if temperature else ""
    attrs = {"variable": recognised.name, "units": units, "sst_type": kind}
    attrs["institution"] = str(recognised.dataset.attrs.get("institution", "")).strip()
    return attrs, about


def _dims(values: xr.DataArray, time: str | None, space: tuple[str, str], days: int, origin: str) -> tuple[str, ...]:
    """Return the dimensions of a variable that has images of these days; all others are of size one."""
    extra = [str(dim) for dim in values.dims if dim not in (*space, time)]
    wrong = not set(space) <= set(values.dims) or any(values.sizes[dim] > 1 for dim in extra)
    if wrong or values.sizes.get(time, 1) != days:
        raise InputError(
            f"{origin}: {values.name} has dimensions {values.dims}; it needs (time, {space[0]}, {space[1]})"
        )
    return (time, *space) if time is not None and time in values.dims else space


def _standard(values: xr.DataArray, quantity: Kind, time: str | None, origin: str) -> tuple[Standard, list[str]]:
    """Return what the values of a variable must meet, and what had to be assumed."""
    notes: list[str] = []
    offset = lexicon.kelvin_offset(values, origin=origin) if quantity == "temperature" else 0.0
    if offset is None:
        offset = _guess_offset(values, time, notes)
    standard, remarks = standard_of(values, quantity, offset=offset, origin=origin)
    return standard, notes + remarks


def _guess_offset(values: xr.DataArray, time: str | None, notes: list[str]) -> float:
    """Distinguish °C from K by the first image of a temperature without units, and note it."""
    images = range(values.sizes[time]) if time in values.dims else [None]
    for index in images:
        image = (values if index is None else values.isel({time: index})).values
        celsius, kelvin = (
            np.count_nonzero((image > low - shift) & (image < high - shift))
            for low, high, shift in ((*PIXEL, ZERO_CELSIUS), (*PIXEL, 0.0))
        )
        if celsius or kelvin:
            scale = "kelvin" if kelvin > celsius else "degree_Celsius"
            notes.append(f"{values.name} has no units: read as {scale} by its values")
            return 0.0 if kelvin > celsius else ZERO_CELSIUS
    return 0.0
