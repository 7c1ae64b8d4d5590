"""Which cells are water, by what a file says of its masks; where it does not say, nothing is guessed.

A mask is found by its CF standard name, else by its name. It is read by its flags, whose meanings are matched by
their parts: what says sea, ocean, water, lake or river is water, unless it says land, or no or non before it. So
lakes are water as the sea is, and ice alone is not. Without meanings 1 is water and 0 land, the other way round in
a mask named for the land; a fraction counts from a half on.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from sereno.errors import InputError
from sereno.io.inputs.flags import CLOUDY, LAND, OTHER, WATER, Flags, UnreadableMaskError, words

STANDARD_NAMES = {
    "sea_binary_mask": WATER,
    "sea_area_fraction": WATER,
    "land_binary_mask": LAND,
    "land_area_fraction": LAND,
}
"""CF standard names of masks, and what 1 represents."""
NAMES = {
    **dict.fromkeys(("water", "mask", "sea", "ocean", "sea_mask", "seamask", "water_mask", "watermask"), WATER),
    **dict.fromkeys(("ocean_mask", "oceanmask", "wet", "tmask", "tmaskutil", "mask_rho", "sea_fraction"), WATER),
    **dict.fromkeys(("sea_area_fraction", "water_fraction", "ocean_fraction", "sftof"), WATER),
    **dict.fromkeys(("landmask", "land_mask", "land", "lsm", "land_fraction", "land_area_fraction", "sftlf"), LAND),
    **dict.fromkeys(("lsmask", "landsea_mask", "land_sea_mask", "landseamask", "sea_land_mask"), OTHER),
}
"""Names of masks and what 1 represents; of the last the files must say it, since some makers mean land, some sea."""
MOST_ON_LAND = 0.25
"""Share of the observations that may lie on what a mask calls land."""
_LOOKS = 8
_CHANGING = 0.01


def find_water(dataset: xr.Dataset, latitude: str, longitude: str) -> tuple[xr.DataArray | None, list[str]]:
    """Return the water mask that a dataset carries, bool (latitude, longitude), or None, and notes on others.

    Parameters
    ----------
    latitude, longitude
        Names of the dimensions of a map.
    """
    notes: list[str] = []
    for mask, one in _candidates(dataset, {latitude, longitude}):
        try:
            return water_of_mask(mask, latitude, longitude, one=one), notes
        except UnreadableMaskError as error:
            notes.append(f"{mask.name} is not used as a mask of water: {error}")
    return None, notes


def water_of_mask(mask: xr.DataArray, latitude: str, longitude: str, *, one: str) -> xr.DataArray:
    """Return where a mask says water, bool (latitude, longitude).

    Parameters
    ----------
    mask
        Of these dimensions and others; along the others, as time, it must stay the same.
    one
        What 1 represents where the mask has no flags: `WATER`, `LAND`, or `OTHER` where that is not known.

    Raises
    ------
    UnreadableMaskError
        If it does not say what is water, or is a mask of something else.
    """
    _require_of_land_and_sea(mask)
    flags = Flags.of(mask)
    maps = []
    for image in _looks(mask, latitude, longitude):
        values = np.asarray(image.values)
        if values.dtype.kind not in "biuf":
            raise UnreadableMaskError(f"its type is {values.dtype}, not a number")
        known = np.isfinite(values)
        if not known.any():
            continue
        maps.append((flags.water(values) if flags else _by_number(mask, values, one)) & known)
    if not maps:
        raise UnreadableMaskError("every value is missing")
    if len(maps) > 1 and (np.stack(maps) != maps[0]).any(axis=0).mean() > _CHANGING:
        raise UnreadableMaskError("it changes from day to day, as clouds or ice do, and land does not")
    if not maps[0].any():
        raise UnreadableMaskError("no cell of it is water")
    return xr.DataArray(maps[0], dims=(latitude, longitude), name=mask.name)


def compare(water: np.ndarray, counts: np.ndarray, *, origin: str, images: int) -> list[str]:
    """Hold a mask against what was observed, and return notes.

    Parameters
    ----------
    water
        bool (lat, lon).
    counts
        Number of observations of each cell, (lat, lon), in some images.
    origin
        The mask, for the message.
    images
        How many images were examined.

    Raises
    ------
    InputError
        If more than `MOST_ON_LAND` of the observations lie on its land.
    """
    total, on_land = int(counts.sum()), int(counts[~water].sum())
    if not on_land:
        return []
    share = f"{on_land} of {total} observations ({on_land / total:.1%}) in {images} images examined"
    if on_land > MOST_ON_LAND * total:
        raise InputError(
            f"{origin}: {share} lie on what the mask calls land: it is inverted, or no mask of land and sea, or that "
            "of another area; give another by `water`"
        )
    return [f"{origin}: {share} lie on what the mask calls land, and are dropped"]


def _candidates(dataset: xr.Dataset, dims: set[str]) -> Iterator[tuple[xr.DataArray, str]]:
    """Yield what may be masks of water and what 1 represents in each, those with a standard name first."""
    maps = {name: variable for name, variable in dataset.variables.items() if dims <= set(variable.dims)}
    said = {name: STANDARD_NAMES.get(str(one.attrs.get("standard_name", "")).strip()) for name, one in maps.items()}
    yield from ((dataset[name], one) for name, one in said.items() if one is not None)
    lowered = {str(name).lower(): name for name, one in said.items() if one is None}
    yield from ((dataset[lowered[known]], one) for known, one in NAMES.items() if known in lowered)


def _require_of_land_and_sea(mask: xr.DataArray) -> None:
    """Refuse what says about itself that it is about clouds and not about land and sea."""
    texts = [str(mask.attrs.get(name, "")) for name in ("long_name", "standard_name")]
    parts = {part for text in texts for part in words(text)}
    if parts & CLOUDY and not parts & {"land", "sea", "ocean", "water"}:
        raise UnreadableMaskError(f"it is about clouds or quality ({' '.join(texts).strip()!r})")


def _looks(mask: xr.DataArray, latitude: str, longitude: str) -> Iterator[xr.DataArray]:
    """Yield maps of a mask, spread over its other dimensions."""
    others = [dim for dim in mask.dims if dim not in (latitude, longitude)]
    sizes = [mask.sizes[dim] for dim in others]
    count = int(np.prod(sizes))
    for place in np.unique(np.linspace(0, count - 1, min(_LOOKS, count)).astype(int)) if count else ():
        at = (
            dict(zip(others, (int(index) for index in np.unravel_index(place, sizes)), strict=True)) if others else {}
        )
        yield mask.isel(at).transpose(latitude, longitude).load()


def _by_number(mask: xr.DataArray, values: np.ndarray, one: str) -> np.ndarray:
    """Read a mask of ones and zeros, or a fraction, without flags."""
    if one == OTHER:
        raise UnreadableMaskError("it does not say whether 1 is sea or land; give it flag_values and flag_meanings")
    units = str(mask.attrs.get("units", "")).strip().lower()
    full = 100.0 if units in ("%", "percent") else 1.0
    known = values[np.isfinite(values)]
    low, high = float(known.min()), float(known.max())
    if low < -1e-6 or high > full * (1 + 1e-6):
        raise UnreadableMaskError(f"it runs from {low:g} to {high:g} and has no flag_meanings that say what is sea")
    with np.errstate(invalid="ignore"):
        above: np.ndarray = values >= full / 2
    return ~above if one == LAND else above
