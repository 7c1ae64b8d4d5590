"""The scored pixels: withheld from all methods, chosen, given by the input or read again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from sereno.cube import DIMS, DayRange, field_name, field_of, parse_period, span
from sereno.errors import InputError
from sereno.gaps.withholding import PROTOCOLS, withhold
from sereno.workflow.models import Model

_COORDINATE_TOLERANCE = 1e-4
"""Degrees by which the index's grid may differ from the cube's: what single precision does to a longitude."""


@dataclass(frozen=True)
class Withholding:
    """What is withheld, and how it was chosen.

    Attributes
    ----------
    mask
        bool (time, lat, lon) over the scored days, true where an observation is withheld.
    observations
        The field with the input's own ``<field>_withheld`` applied to it, (time, lat, lon): the reference field.
    protocol, seed, source
        How the pixels were chosen.
    """

    mask: xr.DataArray
    observations: xr.DataArray
    protocol: str
    seed: int
    source: str


def choose(
    cube: xr.Dataset,
    *,
    withheld: xr.DataArray | None,
    days: str | None,
    protocol: str,
    share: float,
    seed: int,
) -> Withholding:
    """Choose what to withhold: what an index says, else what the input itself withholds, else by the protocol.

    Raises
    ------
    InputError
        If nothing can be scored, or the index does not fit the cube.
    """
    name, period = field_name(cube), None if days is None else parse_period(days)
    given = cube.get(f"{name}_withheld")
    observations = field_of(cube) if given is None else given.where(given.notnull(), field_of(cube))
    if withheld is not None:
        protocol = str(withheld.attrs.get("protocol", protocol))
        if protocol not in PROTOCOLS:
            raise InputError(f"{_origin(withheld)}: its protocol is {protocol!r}, neither of {', '.join(PROTOCOLS)}")
        mask = _fitted(withheld, cube, observations, period)
        source = f"read from {withheld.attrs.get('file', 'an index of pixels')}"
        return Withholding(mask, observations, protocol, int(withheld.attrs.get("seed", seed)), source)
    if given is not None and protocol == "clouds":
        mask = _scored_days((given.notnull() & cube["water"]).transpose(*DIMS), period)
        if mask.sizes["time"] == 0:
            has = given["time"][given.notnull().any(("lat", "lon")).values]
            where = f"it has some within {span(has)}; choose days of these" if has.size else "it holds none at all"
            raise InputError(f"{name}_withheld holds no pixel on the days to score: {where}")
        return Withholding(mask, observations, protocol, seed, f"{name}_withheld of the input")
    mask = withhold(cube, protocol=protocol, days=period, share=share, seed=seed)
    return Withholding(mask, observations, protocol, seed, f"drawn with seed {seed}")


def _scored_days(mask: xr.DataArray, period: slice | None) -> xr.DataArray:
    """Return a mask in memory, on the days of the period that it marks a pixel on."""
    part = (mask if period is None else mask.sel(time=period)).compute().rename("withheld").drop_attrs(deep=False)
    part = part.drop_vars([name for name in part.coords if name not in DIMS])
    return part.isel(time=np.flatnonzero(part.any(("lat", "lon")).values))


def _fitted(
    withheld: xr.DataArray, cube: xr.Dataset, observations: xr.DataArray, period: slice | None
) -> xr.DataArray:
    """Return an index of pixels on the cube's own coordinates; refuse one of other days, cells or observations."""
    origin = _origin(withheld)
    if set(withheld.dims) != set(DIMS):
        raise InputError(f"{origin}: its dimensions are {withheld.dims}, they must be {DIMS}")
    for dim in DIMS[1:]:
        ours, theirs = cube[dim].values, withheld[dim].values
        if ours.shape != theirs.shape or not np.abs(ours - theirs).max() <= _COORDINATE_TOLERANCE:
            raise InputError(f"{origin}: its {dim} is not that of the input; it was made on another grid")
    strange = ~withheld.indexes["time"].isin(cube.indexes["time"])
    if strange.any():
        first = str(withheld["time"].values[strange][0])[:10]
        raise InputError(f"{origin}: {int(strange.sum())} of its days, {first} first, are not days of the input")
    mask = _scored_days((withheld.transpose(*DIMS) != 0).assign_coords(lat=cube["lat"], lon=cube["lon"]), period)
    if mask.sizes["time"] == 0:
        raise InputError(f"{origin}: no pixel is marked on the days to score")
    observed = (observations.sel(time=mask["time"]).notnull() & cube["water"]).transpose(*DIMS).compute()
    unknown = mask & ~observed
    if unknown.any():
        first = str(mask["time"].values[int(unknown.any(("lat", "lon")).values.argmax())])[:10]
        raise InputError(
            f"{origin}: {int(unknown.sum())} of {int(mask.sum())} marked pixels, {first} first, are not observed in "
            "the input; give the input that the index was made of"
        )
    return mask


def _origin(withheld: xr.DataArray) -> str:
    """Return what an index is called in messages: its file, where it was read from one."""
    return str(withheld.attrs.get("file", "withheld"))


def require_unseen(label: str, model: Model, cube: xr.Dataset, chosen: Withholding) -> None:
    """Refuse a saved model that was fitted or selected on what is withheld here.

    A pixel that the input itself withholds is not in its field, so no fit has seen it; one that is chosen here is.
    """
    for what, period in (("fitted", model.description.training_period), ("selected", model.config.valid)):
        if period is None:
            continue
        mask = chosen.mask.sel(time=parse_period(period))
        shown = field_of(cube).sel(time=mask["time"]).notnull().transpose(*DIMS)
        if overlap := int((mask & shown).any(("lat", "lon")).sum()):
            raise InputError(
                f"{label}: it was {what} on {period}, and so on what is withheld here on {overlap} of the "
                f"{chosen.mask.sizes['time']} days to score; fit it on days (`train`) that end before "
                f"{span(chosen.mask)[:10]}, score later days by `days`, or give the method by its name, so that it "
                "is fitted here without them"
            )


def require_unseen_climatology(label: str, model: Model, withheld: xr.DataArray) -> None:
    """Refuse a climatology from a file whose base period holds days to score: it has seen what is withheld."""
    period, file = model.reconstructor.climatology.base_period, model.config.climatology.file
    if file is not None and period is not None and (overlap := withheld.sel(time=parse_period(period))["time"].size):
        raise InputError(
            f"{label}: the base period {period} of its climatology, {file}, holds {overlap} of the days to score "
            f"({span(withheld)}); give one that was made without them, or score other days"
        )


def holds(period: str, withheld: xr.DataArray) -> bool:
    """Return whether a period ``A:B`` holds a scored day."""
    return bool(DayRange.parse(period).holds(withheld["time"].values).any())
