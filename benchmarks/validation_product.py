"""Errors of the pre-trained networks on the validation seas as `fit` and `fill` make them.

Usage: ``PYTHONPATH=src:pretraining:benchmarks python benchmarks/validation_product.py [--seas 11 …] [--every 4]
[--work FOLDER]``. The seas, the days fitted on and the withheld pixels are those of `validation_seas.py`. Every
fourth of the scored days is filled, in delayed mode and in near real time, by the network of the central day, by
that of all days, and by the same along the flow that it estimates. Ratios are to `oi` as it was tuned before its
scales came from moments.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import sereno
from sereno.config import parse_config
from sereno.cube import select_period
from sereno.gaps.hiding import hide, visible_part
from sereno.gaps.withholding import withhold
from validation_seas import FORMER, SCORED, SEED, SHOWN, TRAIN, WITHHELD, Sea, sea_of

FURTHEST = 24
"""Days before a scored one that are shown at least."""
NETWORKS = {
    "central day": {"network": "central-day"},
    "all days": {"network": "all-days", "follow": False},
    "all days, followed": {"network": "all-days"},
}


def errors(sea: Sea, network: dict[str, object], every: int) -> dict[str, float]:
    """Return the RMSE at withheld pixels by mode, kelvin, and the processor seconds of fit and fills."""
    cube, seen, started = sea.cube, visible_part(sea.cube), time.process_time()
    model = {"method": "unet", "weights": "packaged"} | network
    fitted = sereno.fit(select_period(seen, TRAIN), parse_config({"model": model, "calibration_days": 8}))
    hidden = withhold(seen.sel(time=slice(SCORED, None)), protocol="clouds", share=WITHHELD, seed=SEED)
    start = int(cube.indexes["time"].get_loc(SHOWN))
    shown = hide(cube.isel(time=slice(start, None)), hidden).compute()
    numbers = {"fit": time.process_time() - started}
    places = {day: int(shown.indexes["time"].get_loc(day)) for day in hidden["time"].values}
    days = [day for day, place in places.items() if FURTHEST <= place <= shown.sizes["time"] - 8][::every]
    for mode in ("delayed", "nrt"):
        total = np.zeros(2)
        for day in days:
            known = shown if mode == "delayed" else shown.sel(time=slice(None, day))
            filled = sereno.fill(known, fitted, days=f"{day!s:.10}", nrt=mode == "nrt")["mean"].compute()
            miss = (filled.sel(time=day) - cube["truth"].sel(time=day)).values[hidden.sel(time=day).values]
            total += [float((miss**2).sum()), miss.size]
        numbers[mode] = float(np.sqrt(total[0] / total[1]))
    return numbers | {"all": time.process_time() - started}


def main() -> None:
    """Print the errors and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seas", type=int, nargs="+", default=[11, 13, 21, 31])
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--work", type=Path, help="keeps the seas, as that of validation_seas.py")
    options = parser.parse_args()
    for seed in options.seas:
        sea = sea_of(seed, options.work)
        for name, network in NETWORKS.items():
            numbers = errors(sea, network, options.every)
            scores = "  ".join(
                f"{mode} {numbers[mode]:.4f} K {numbers[mode] / former:.3f}"
                for mode, former in zip(("delayed", "nrt"), FORMER[seed], strict=True)
            )
            print(
                f"sea {seed}  {name:20s} {scores}  fit {numbers['fit']:.0f} s, all {numbers['all']:.0f} s", flush=True
            )


if __name__ == "__main__":
    main()
