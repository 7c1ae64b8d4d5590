"""How far a large map that is analysed in parts is from the same map analysed whole.

Usage: ``python benchmarks/parts.py METHOD... [--days N]``. The sea is that of `basin.py`, which is small enough to be
analysed whole. Each method is fitted on it, a day in the middle of the record is filled whole, then in the parts
that maps of more than 2²⁰ cells are cut into, or in the tiles of `interpolation`. Prints a table in Markdown: root
mean square and largest difference of the means, the same where parts are blended, and the root mean square of the
stated std.
"""

from __future__ import annotations

import argparse

import numpy as np
import xarray as xr

import sereno
from basin import mediterranean
from sereno.config import configure_at_once
from sereno.grids.tiles import blended_tiles
from sereno.reconstruct.interpolation import corrections
from sereno.reconstruct.oi_grid import regions
from sereno.workflow.models import Model

WHOLE = 2**30


def analysis(cube: xr.Dataset, model: Model, *, whole: bool) -> xr.Dataset:
    """Return the analysis of the day in the middle, in memory."""
    known = regions.WHOLE_CELLS, corrections.TILE
    regions.WHOLE_CELLS, corrections.TILE = (WHOLE, WHOLE) if whole else (0, corrections.TILE)
    day = str(cube["time"].values[cube.sizes["time"] // 2])[:10]
    found = sereno.fill(cube, model, days=day).isel(time=0).compute()
    regions.WHOLE_CELLS, corrections.TILE = known
    return found


def seams(shape: tuple[int, int]) -> np.ndarray:
    """Return where parts are blended, bool (lat, lon)."""
    blended = np.zeros(shape, bool)
    for tile in blended_tiles(shape, tile=(regions.TILE, regions.TILE), halo=regions.HALO):
        blended[tile.outer] |= tile.weight < 1
    return blended


def main() -> None:
    """Print a row for each method."""
    sereno.tune_memory()  # as the command line does
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="+", choices=["interpolation", "oi-grid", "unet"])
    parser.add_argument("--days", type=int, default=51, help="length of the record")
    arguments = parser.parse_args()
    cube = mediterranean(arguments.days)
    at_seams = seams(cube["water"].shape)
    print("| | RMS (K) | largest (K) | RMS where blended (K) | largest there (K) | stated std (K) |")
    print("| --- | --- | --- | --- | --- | --- |")
    for method in arguments.methods:
        model = sereno.fit(cube, configure_at_once(method))
        whole, parts = (analysis(cube, model, whole=whole) for whole in (True, False))
        apart = (parts["mean"] - whole["mean"]).values
        errors = [np.sqrt(np.nanmean(apart**2)), np.nanmax(abs(apart))]
        errors += [np.sqrt(np.nanmean(apart[at_seams] ** 2)), np.nanmax(abs(apart[at_seams]))]
        errors.append(np.sqrt(float((whole["std"] ** 2).mean())))
        print(f"| {method} |", " | ".join(f"{value:.2g}" for value in errors), "|", flush=True)


if __name__ == "__main__":
    main()
