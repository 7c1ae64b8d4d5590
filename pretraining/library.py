"""Write the library that the packaged network's pre-training draws from: seas, clouds, coasts.

    python pretraining/library.py FOLDER [--seas 48] [--clouds 24] [--days 400] [--data ../shared/data]

What is there already is left alone, so that an interrupted run goes on where it was, and a larger one adds to a
smaller. Each file follows from its number alone. The folder then holds

- ``seas/NNNN.npy``, float16 (days, 128, 128), the true anomalies of a sea in kelvin, and ``seas/NNNN.json``: its
  kind, spacing and parameters, and the covariance that the tuning of ``oi`` finds on images of it
  (`covariances.py`);
- ``clouds/NNNN.npy``, bool (days, 128, 128), the clouds of one day after another;
- ``clouds/goes.npy`` and ``clouds/scenes.npy``, bool (n, 128, 128), clouds of single moments over the ocean, from
  GOES-16 and from scenes of MODIS and SLSTR (`real_clouds.py`), where `--data` is given;
- ``coasts.npy``, bool (n, 128, 128), water (`coasts.py`).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from coasts import draw_coasts
from covariances import measured_covariance
from real_clouds import goes_clouds, scene_clouds
from sereno.io.atomic import atomic_path, atomic_text
from sereno.synthetic import TwinSeaConfig
from sereno.synthetic.clouds import cloud_masks
from sereno.synthetic.family import FIRST_SEED, SPACING, draw_sea
from sereno.synthetic.spectral import METRES_PER_DEGREE

SIDE = 128
COVER = (0.3, 0.9)
"""Mean cloud cover of a simulated sequence."""


def write_library(
    folder: Path, *, seas: int, clouds: int, days: int, coasts: int, data: Path | None, crops: int
) -> None:
    """Write what is missing in the folder, seas and clouds by turns, so that it can be used early."""
    for part in (folder, folder / "seas", folder / "clouds"):
        part.mkdir(parents=True, exist_ok=True)
    _once(folder / "coasts.npy", lambda: draw_coasts(coasts, side=SIDE, seed=FIRST_SEED))
    if data is not None:
        _once(folder / "clouds" / "goes.npy", lambda: goes_clouds(data, count=crops, side=SIDE, seed=FIRST_SEED))
        _once(folder / "clouds" / "scenes.npy", lambda: scene_clouds(data, side=SIDE))
    for number in range(max(seas, clouds)):
        seed = FIRST_SEED + number
        if number < clouds:
            _once(folder / "clouds" / f"{seed}.npy", partial(cloud_sequence, seed, days=days))
        if number < seas:
            _write_sea(folder / "seas", seed, days=days)


def cloud_sequence(seed: int, *, days: int, side: int = SIDE) -> np.ndarray:
    """Return simulated clouds of drawn cover, season and spacing, bool (days, side, side)."""
    rng = np.random.default_rng([seed, 1])
    spacing = np.exp(rng.uniform(*np.log(SPACING))) / METRES_PER_DEGREE
    config = TwinSeaConfig(
        days=days,
        start=f"2019-{rng.integers(1, 13):02d}-01",
        shape=(side, side),
        spacing=float(spacing),
        seed=seed,
        cloud_cover=float(rng.uniform(*COVER)),
    )
    return cloud_masks(config)


def _write_sea(folder: Path, seed: int, *, days: int) -> None:
    """Write a sea and what describes it; the description last, so that who finds it finds the sea."""
    described = folder / f"{seed}.json"
    if described.exists():
        return
    before = time.perf_counter()
    sea = draw_sea(seed, days=days, side=SIDE)
    rng = np.random.default_rng([seed, 2])
    cover = float(rng.uniform(0.4, 0.8))
    clouds = TwinSeaConfig(
        days=days, shape=(SIDE, SIDE), spacing=1e3 * sea.spacing[0] / METRES_PER_DEGREE, seed=seed, cloud_cover=cover
    )
    covariance, std = measured_covariance(sea, cloud_masks(clouds), rng=rng)
    _save(folder / f"{seed}.npy", sea.anomaly.astype(np.float16))
    description = {
        "kind": sea.kind,
        "spacing": sea.spacing,
        "climatology_std": std,
        "covariance": covariance,
        "parameters": sea.parameters,
    }
    atomic_text(described, json.dumps(description, indent=1))
    print(f"{seed}  {sea.kind:9s}  {sea.spacing[0]:5.1f} km  {time.perf_counter() - before:5.0f} s", flush=True)


def _once(path: Path, make: Callable[[], np.ndarray]) -> None:
    """Write an array where there is none yet."""
    if not path.exists():
        before = time.perf_counter()
        _save(path, make())
        print(f"{path.name}  {time.perf_counter() - before:5.0f} s", flush=True)


def _save(path: Path, values: np.ndarray) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.save(stream, values)


def main() -> None:
    """Read the command line and write the library."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seas", type=int, default=48, help="seas of the family (default 48)")
    parser.add_argument("--clouds", type=int, default=24, help="sequences of simulated clouds (default 24)")
    parser.add_argument("--days", type=int, default=400, help="length of each (default 400)")
    parser.add_argument("--coasts", type=int, default=400, help="coasts, a third of them open sea (default 400)")
    parser.add_argument("--crops", type=int, default=1200, help="cuttings of GOES-16 clouds (default 1200)")
    parser.add_argument("--data", type=Path, help="folder with goes16_clouds_202212.nc and the scenes")
    options = vars(parser.parse_args())
    write_library(options.pop("folder"), **options)


if __name__ == "__main__":
    main()
