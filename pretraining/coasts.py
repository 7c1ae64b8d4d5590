"""Coasts of the whole world at many grid spacings, but for those of the seas that methods are scored on.

    python pretraining/coasts.py [--count 1200]

writes `coasts.npz`, from which the engine takes them: masks of 128 × 128 cells, a bit for each.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from sereno.grids.coast import land_mask

SIDE, FIRST_SEED = 128, 1000
OPEN_SEA = 1 / 3
"""Share of the masks without land."""
WATER_SHARE = (0.35, 0.995)
"""Share of water of the others."""
SPACING = (1 / 24, 1 / 4)
"""Finest and coarsest grid, degrees."""
LATITUDES = 65.0
"""Windows have their centre within this many degrees of the equator."""
SCORED = ((37.0, 44.5, 5.0, 13.5), (-46.0, -36.0, 144.0, 162.0), (34.5, 37.5, -6.0, 0.0))
"""South, north, west, east of the default twin sea, of Tasmania, of the Alboran Sea: no window touches them."""


def draw_coasts(count: int, *, side: int, seed: int) -> np.ndarray:
    """Return water masks, bool (count, side, side); the open sea comes first."""
    rng = np.random.default_rng(seed)
    masks = np.ones((count, side, side), bool)
    for index in range(round(count * OPEN_SEA), count):
        masks[index] = _coast(side, rng)
    return masks


def _coast(side: int, rng: np.random.Generator) -> np.ndarray:
    """Draw windows until one holds a coast and touches no sea that is scored."""
    while True:
        spacing = np.exp(rng.uniform(*np.log(SPACING)))
        across = (np.arange(side) - (side - 1) / 2) * spacing
        # An even density on the sphere.
        bound = np.sin(np.deg2rad(LATITUDES))
        lat = np.rad2deg(np.arcsin(rng.uniform(-bound, bound))) + across
        lon = rng.uniform(-180 - across[0], 180 + across[0]) + across
        if touches_scored(lat, lon):
            continue
        water = ~land_mask(lat, lon)
        if WATER_SHARE[0] <= water.mean() <= WATER_SHARE[1]:
            return water


def touches_scored(lat: np.ndarray, lon: np.ndarray) -> bool:
    """Return whether a window shares any ground with a sea that is scored."""
    return any(
        lat[0] <= north and lat[-1] >= south and lon[0] <= east and lon[-1] >= west
        for south, north, west, east in SCORED
    )


def main() -> None:
    """Read the command line and write the coasts, none of them open sea."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1200, help="masks (default 1200)")
    rng = np.random.default_rng(FIRST_SEED)
    masks = np.stack([_coast(SIDE, rng) for _ in range(parser.parse_args().count)])
    np.savez_compressed(Path(__file__).with_suffix(".npz"), water=np.packbits(masks, axis=-1))


if __name__ == "__main__":
    main()
