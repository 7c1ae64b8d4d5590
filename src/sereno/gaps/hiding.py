"""Hide observations of a cube, and leave behind what no method may see."""

from __future__ import annotations

import dask.array as da
import numpy as np
import xarray as xr
from dask.delayed import delayed

from sereno.cube import DIMS, days_per_block

_SMALL_CELLS = 2**30


_COPIED_BYTES = 2**31


def hide(cube: xr.Dataset, withheld: xr.DataArray) -> xr.Dataset:
    """Return the cube's field and water without the withheld observations: all that a method may see.

    Everything else that the cube carries (``truth``, ``sst_withheld``, attributes, where it was read from) is left
    behind. Data in memory are copied, so that code that gets the result can neither reach what was hidden nor
    change the cube; of what is lazy, or too large to be copied, the same is true of every block computed.
    """
    visible = visible_part(cube).copy(deep=True)
    # The stated error would show where an observation was.
    daily = [name for name, variable in visible.items() if "time" in variable.dims]
    # Of each day of the cube, its place among the scored days, −1 where it is none of them.
    place = withheld.indexes["time"].get_indexer(cube.indexes["time"])
    mask = withheld.transpose(*DIMS).values
    if not visible.chunks and visible.nbytes <= _COPIED_BYTES:
        scored = np.flatnonzero(place >= 0)
        for name in daily:
            values = visible[name].values
            values[scored] = np.where(mask[place[scored]], np.nan, values[scored])
        return visible
    days = days_per_block(cube["water"].size)
    blocks = da.from_array(place[:, None, None], chunks=(days, 1, 1))
    sizes = tuple((withheld.sizes[dim],) for dim in DIMS[1:])
    laid_out = da.map_blocks(
        _lay_out, blocks, delayed(mask, pure=False), dtype=bool, chunks=(blocks.chunks[0], *sizes)
    )
    hidden = xr.DataArray(laid_out, dims=DIMS, coords={"time": cube["time"]})
    return visible.assign({name: visible[name].where(~hidden).assign_attrs(visible[name].attrs) for name in daily})


def _lay_out(place: np.ndarray, withheld: np.ndarray) -> np.ndarray:
    """Return the mask of a block of days, bool (n, lat, lon), from their places among the scored days, (n, 1, 1)."""
    places = place[:, 0, 0]
    hidden = np.zeros((len(places), *withheld.shape[1:]), bool)
    hidden[places >= 0] = withheld[places[places >= 0]]
    return hidden


def visible_part(cube: xr.Dataset) -> xr.Dataset:
    """Return the cube with nothing but its field, the error of it, and the water mask.

    Further coordinates, attributes but the units, and encodings (which name the file) stay behind.
    """
    name = str(cube.attrs["field"])
    part = cube[[n for n in (name, f"{name}_error", "water") if n in cube]].drop_encoding()
    part = part.drop_vars([n for n in part.coords if n not in DIMS])
    part.attrs = {"field": name}
    for variable in part.variables.values():
        variable.attrs = {key: variable.attrs[key] for key in ("units", "standard_name") if key in variable.attrs}
    return part
