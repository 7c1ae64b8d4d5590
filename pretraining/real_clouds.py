"""Clouds of single moments, cut from satellite images.

    python pretraining/real_clouds.py ../shared/data pretraining/work/clouds.npz

writes the file from which `engine.clouds.RealClouds` draws them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import xarray as xr

from sereno.grids.coast import land_mask
from sereno.io.outputs.atomic import atomic_path

SIDE, SEED = 128, 1000
GOES = "goes16_clouds_202212.nc"
OFF_DISK, PROBABLY_CLOUDY = 255, 2
"""Values of `cloud_condition`: outside the full disk; this and above is cloudy."""
OCEAN_SHARE = 0.9
"""Share of a cutting that is ocean, at least."""
COVER = (0.02, 0.98)
"""Cover of a cutting of a scene, at least and at most."""
SCENES = {
    "modis_aqua_medw_200207.nc": "sst",
    "slstr_nw_med_20240510.nc": "sst_skin",
    "slstr_alboran_20240521.nc": "sst_skin",
}
"""Scenes whose gaps are clouds, and their variable."""


def goes_clouds(folder: Path, *, count: int, side: int, seed: int) -> np.ndarray:
    """Cut GOES-16 cloud masks over the ocean at random places and times, bool (count, side, side)."""
    with xr.open_dataset(folder / GOES) as disk:
        condition, ocean = disk["cloud_condition"].values, disk["ocean"].values == 1
    rng = np.random.default_rng(seed)
    corners = _corners(ocean & (condition != OFF_DISK).all(axis=0), side, OCEAN_SHARE)
    cuttings = np.empty((count, side, side), bool)
    frames, places = rng.integers(len(condition), size=count), rng.integers(len(corners), size=count)
    for cutting, frame, (row, column) in zip(cuttings, frames, corners[places], strict=True):
        cutting[:] = condition[frame, row : row + side, column : column + side] >= PROBABLY_CLOUDY
    return cuttings


def scene_clouds(folder: Path, *, side: int) -> np.ndarray:
    """Cut the gaps of the scenes, bool (n, side, side), half a cutting apart; hardly any land in them."""
    cuttings = []
    for name, variable in SCENES.items():
        with xr.open_dataset(folder / name) as scene:
            field = scene[variable].sortby(["lat", "lon"])
            water = ~land_mask(field["lat"].values, field["lon"].values)
            for missing in field.isnull().values:
                for row, column in _corners(water, side, OCEAN_SHARE):
                    if row % (side // 2) == column % (side // 2) == 0:
                        here = slice(row, row + side), slice(column, column + side)
                        cloudy = missing[here] & water[here]
                        if COVER[0] <= cloudy.mean() <= COVER[1]:
                            cuttings.append(cloudy)
    return np.stack(cuttings)


def _corners(water: np.ndarray, side: int, share: float) -> np.ndarray:
    """Return where cuttings with enough water begin, (n, 2)."""
    total = np.pad(water.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    return np.argwhere(inside >= share * side**2)


def main() -> None:
    """Read the command line and write the clouds, a bit for each cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help=f"folder with {GOES} and the scenes")
    parser.add_argument("file", type=Path, help="the file to write")
    parser.add_argument("--count", type=int, default=1200, help="cuttings of GOES-16 clouds (default 1200)")
    options = parser.parse_args()
    goes = goes_clouds(options.data, count=options.count, side=SIDE, seed=SEED)
    packed = {
        "goes": np.packbits(goes, axis=-1),
        "scenes": np.packbits(scene_clouds(options.data, side=SIDE), axis=-1),
    }
    options.file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(options.file) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **packed)


if __name__ == "__main__":
    main()
