"""Files to cube: open, recognise variables, convert to the schema of a cube, order the days."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr

from sereno.cube import days_per_block, field_of, make_cube, validate
from sereno.errors import InputError, out_of_resources
from sereno.grids.coast import land_mask
from sereno.io.inputs.agreement import agreeing
from sereno.io.inputs.file import Part, raise_all, read_part
from sereno.io.inputs.masks import compare
from sereno.io.inputs.opening import Paths, expand
from sereno.io.inputs.rejected_values import Tally
from sereno.io.inputs.water import read_water

SEEN = "pixels ever observed"
"""Source of the water where there is no mask."""
_LOOKS = 8
_SEEN_OFTEN = 20


def open_cube(
    paths: Paths,
    *,
    variable: str | None = None,
    water: str | os.PathLike[str] | None = None,
    quality_level: int = 4,
    skip_bad: bool = False,
    tally: Tally | None = None,
) -> xr.Dataset:
    """Open daily images as a cube, lazily.

    Parameters
    ----------
    paths
        One or many NetCDF files, globs, folders (searched with their subfolders) or Zarr stores, in any order.
    variable
        The variable to reconstruct; recognised by names, standard names and attributes where not given.
    water
        A file with a mask of land and sea: an L4 ``mask``, any 0/1 mask, or any map that is NaN on land. Where
        not given, the input's own mask is taken, else the pixels ever observed together with the shipped coast.
    quality_level
        Lowest GHRSST quality level (0 to 5) that counts as an observation.
    skip_bad
        Leave out files that cannot be used, with a warning, so that their days are empty. Otherwise they are an
        error.
    tally
        Counts the values that are no observations and are made missing when images are read. Where its ``skipped`` is
        a list, an image that cannot be used becomes empty, and a line of that list. Where not given, the cube has its
        own tally (`sereno.io.inputs.rejected_values.tally_of`), which skips bad images as `skip_bad` says.

    Returns
    -------
    xr.Dataset
        A valid cube (see `sereno.cube`). SST is in kelvin and named ``sst``; another field keeps its name and unit.
        ``attrs`` say where it came from: ``variable``, ``sst_type``, ``water_from``, ``inserted_days``, ``notes``
        (what had to be assumed) and ``skipped`` (what is wrong with each file that was left out; the list grows when
        an image that is read later is bad). Values that are no observations are missing;
        `sereno.io.inputs.rejected_values.tally_of` says how many were found so far, and why.

    Raises
    ------
    InputError
        If an input cannot be used; it names the file, the variable and the remedy, and all bad files at once.

    Examples
    --------
    >>> import sereno, tempfile
    >>> from sereno.synthetic import TwinSeaConfig, write_l3s
    >>> folder = tempfile.mkdtemp()
    >>> paths = write_l3s(TwinSeaConfig(days=3, shape=(24, 32)), folder)
    >>> cube = sereno.open_cube(f"{folder}/l3s")
    >>> dict(cube.sizes)
    {'time': 3, 'lat': 24, 'lon': 32}
    """
    tally = tally or Tally([] if skip_bad else None)
    opened = _read_parts(expand(paths), variable=variable, quality_level=quality_level, tally=tally)
    parts, skipped = agreeing(opened, skip_bad=skip_bad)
    if tally.skipped is not None:
        tally.skipped += skipped
        skipped = tally.skipped  # to which those are added that show when images are read
    return cube_of_parts(parts, water, skipped, tally)


def cube_of_parts(
    parts: Sequence[Part], water: str | os.PathLike[str] | np.ndarray | None, skipped: list[str], tally: Tally
) -> xr.Dataset:
    """Return the cube of parts that agree with each other; the other parameters are those of `open_cube`."""
    first = parts[0]
    cube, inserted = _in_order(parts)
    notes = list(dict.fromkeys(note for part in parts for note in part.notes))
    looks = check_values(parts, lambda part, index: part.images[part.name][index, :, :], tally)
    mask, water_from, assumed = water_of(first, water, looks, lambda: field_of(cube).notnull().sum("time").values)
    notes += assumed
    cube["water"] = (("lat", "lon"), mask)
    cube.attrs |= first.attrs | {"water_from": water_from, "inserted_days": inserted}
    cube.attrs |= {"notes": notes, "skipped": skipped}
    return validate(cube)


def _read_parts(files: list[Path], *, variable: str | None, quality_level: int, tally: Tally) -> list[Part | str]:
    """Bring every file to the schema; of one that cannot be used, say what is wrong with it."""
    opened: list[Part | str] = []
    for path in files:
        try:
            opened.append(read_part(path, variable=variable, quality_level=quality_level, tally=tally))
        except InputError as error:
            if out_of_resources(error):
                raise
            opened.append(str(error))
    return opened


def _in_order(parts: Sequence[Part]) -> tuple[xr.Dataset, list[str]]:
    """Lay the days of all parts in order, with empty images for the days between that are missing."""
    days = np.concatenate([part.days for part in parts])
    order = np.argsort(days, kind="stable")
    first = parts[0]
    names = set.intersection(*({*part.images} for part in parts))
    arrays = {name: da.concatenate([part.images[name].lazy() for part in parts])[order] for name in names}
    cube = make_cube(
        arrays.pop(first.name),
        time=days[order],
        lat=first.lat,
        lon=first.lon,
        water=np.ones((first.lat.size, first.lon.size), bool),
        field=first.name,
        units=first.attrs["units"],
        extra=arrays,
    )
    cube[first.name].attrs |= first.about
    whole = pd.date_range(days.min(), days.max(), freq="D").as_unit("ns")
    inserted = [f"{day:%Y-%m-%d}" for day in whole.difference(pd.DatetimeIndex(cube["time"].values))]
    if inserted:
        cube = cube.reindex(time=whole)
        cube["water"] = cube["water"].astype(bool)
    return cube.chunk(time=days_per_block(first.lat.size * first.lon.size)), inserted


class Looks(NamedTuple):
    """Observations in a few images of the record.

    Attributes
    ----------
    counts
        Observations of each cell, (lat, lon).
    images
        How many images were examined.
    """

    counts: np.ndarray
    images: int


def water_of(
    first: Part,
    given: str | os.PathLike[str] | np.ndarray | None,
    looks: Looks,
    count_seen: Callable[[], np.ndarray],
) -> tuple[np.ndarray, str, list[str]]:
    """Return the water mask on the grid of the first file, where it came from, and what had to be assumed.

    A mask may be `given`, bool (lat, lon), or a file that has one. `count_seen` counts the observations of each
    pixel; it is called where neither that nor the input has a mask.

    Raises
    ------
    InputError
        If the file does not say what is water, or many observations lie on what a mask calls land.
    """
    if isinstance(given, np.ndarray):
        return given, "mask that was given", compare(given, looks.counts, origin="`water`", images=looks.images)
    if given is not None:
        mask, notes = read_water(Path(given), first.lat, first.lon)
        return mask, f"file {given}", notes + compare(mask, looks.counts, origin=str(given), images=looks.images)
    own, notes = first.water()
    if own is not None:
        notes += compare(own, looks.counts, origin=str(first.path), images=looks.images)
        return own, "mask of the input", notes
    counts = count_seen()
    mask, origin = counts > 0, SEEN
    if np.median(counts[counts > 0]) < _SEEN_OFTEN:
        mask, origin = mask | ~land_mask(first.lat, first.lon), f"{origin}, and the sea of the shipped coast"
    notes.append(f"no mask in the input: water is {origin}; give one by `water` to be sure")
    return mask, origin, notes


def check_values(
    parts: Sequence[Part],
    image_of: Callable[[Part, int], np.ndarray],
    tally: Tally | None = None,
    *,
    may_be_empty: bool = False,
) -> Looks:
    """Check a few images, spread over the record.

    Parameters
    ----------
    image_of
        Reads the image of a file by its place there.
    tally
        What the images are counted in, where bad ones are read as empty.
    may_be_empty
        Whether all may be empty.

    Raises
    ------
    InputError
        If every image is empty, unless they may be, or if the values of one are impossible for a sea, as with a wrong
        unit.
    """
    images = [(part, index) for part in parts for index in range(len(part.days))]
    spread_out = np.unique(np.linspace(0, len(images) - 1, _LOOKS).astype(int))
    rest = np.setdiff1d(np.arange(0 if may_be_empty else len(images)), spread_out)
    used_images = looked = 0
    counts: np.ndarray = np.zeros((), "int32")
    for place in (*spread_out, *rest):
        part, index = images[place]
        image = image_of(part, index)
        counts, looked = counts + np.isfinite(image), looked + 1
        if np.isfinite(image).any():
            used_images += 1
        if (place == spread_out[-1] and used_images) or used_images >= _LOOKS:
            break
    if not used_images and not may_be_empty:
        raise_all([] if tally is None else tally.skipped or [])
        first = parts[0]
        raise InputError(
            f"{first.path}: {first.attrs['variable']} holds no observation at all; check the variable and the "
            "quality level"
        )
    return Looks(counts, looked)
