"""Errors on seas that no training and no leaderboard knows: optimal interpolation, the network, and it with currents.

Usage: ``PYTHONPATH=src:pretraining python benchmarks/validation_seas.py WEIGHTS [--seas 21 …] [--work FOLDER]``,
with the checkpoint or the averaged weights of a pre-training. Seas 21 and on are turbulent, the twin sea of these
seeds; seas 31 and on are smooth, Gaussian with the twin sea's seasons, coast, clouds and noise. Two and a half years
are fitted on; of the days after, pixels under the clouds of other days are withheld, and scored against the truth: in
delayed mode, and in near real time on every second day. Currents are those that carry the sea, less what is shorter
than 150 km or 7 days, with an error of 20 %. The first guess is that of `oi-grid`; where currents are followed, its
covariance comes from pairs that follow them. Ratios are to `oi` as it was tuned before its scales came from moments
(`FORMER`).
"""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from engine.currents import Quality, as_seen
from engine.family import describe_sea
from engine.runs import make_run
from engine.training import read_network
from engine.validation import SLOTS
from sereno.climatology import Climatology, fit_climatology
from sereno.config import configure
from sereno.cube import make_cube, select_period
from sereno.gaps.hiding import hide, visible_part
from sereno.gaps.withholding import withhold
from sereno.nets.alldays import AllDays
from sereno.nets.carry import carried, paths
from sereno.reconstruct.oi_grid.covariance import GriddedCovariance
from sereno.reconstruct.oi_grid.regions import Region
from sereno.reconstruct.unet.first_guess import FirstGuess, spread_of
from sereno.reconstruct.variogram.covariance_terms import FittedTerms, fit_terms
from sereno.reconstruct.variogram.pairs import LAGS, Image, Pair, pair_moments, pays
from sereno.synthetic import TwinSeaConfig, twin_sea
from sereno.synthetic.clouds import cloud_masks
from sereno.synthetic.ocean import seasonal_background, simulate
from sereno.synthetic.satellite import observe
from sereno.synthetic.spectral import METRES_PER_DEGREE

DAYS, SIDE, AMPLITUDE = 1100, 96, 0.6
TRAIN, SHOWN, SCORED = ":2021-08-26", "2021-08-20", "2021-09-10"
WITHHELD, SEED = 0.35, 3
SMOOTH = 31
"""The first of the smooth seas; they are those of this many kilometres a cell in the family's stream of this seed."""
SMOOTH_SEED, CELL = 800_001, (4.0, 12.0)
QUALITY = Quality(150.0, 7.0, 0.2)
EVERY = 4
"""Days from one to the next that are the earlier ones of pairs that follow the currents."""
FORMER = {
    11: (0.2043, 0.2898),
    13: (0.1724, 0.2546),
    21: (0.2180, 0.3174),
    22: (0.2287, 0.2673),
    31: (0.2076, 0.2746),
    32: (0.1645, 0.1804),
}
"""RMSE of `oi` as it was tuned before, on the same pixels, kelvin, in delayed mode and in near real time."""


@dataclass
class Sea:
    """A sea with what carries it, m/s, (days, 2, lat, lon)."""

    cube: xr.Dataset
    current: torch.Tensor


def make_sea(seed: int) -> Sea:
    """Make a sea, turbulent or smooth by its seed."""
    if seed < SMOOTH:
        config = TwinSeaConfig(days=DAYS, shape=(SIDE, SIDE), seed=seed)
        days = islice(simulate(config), DAYS)
        current = np.stack([np.stack([day.u[:SIDE, :SIDE], day.v[:SIDE, :SIDE]]) for day in days])
        return Sea(twin_sea(config), torch.from_numpy(current.astype(np.float32)))
    numbers = (number for number in range(10_000) if _suits(number))
    described = _described(next(islice(numbers, seed - SMOOTH, None)))
    run = make_run([described], days=DAYS, side=SIDE, device=torch.device("cpu"), seed=SMOOTH_SEED)
    spacing = 1e3 * described["spacing"][0] / METRES_PER_DEGREE
    config = TwinSeaConfig(days=DAYS, shape=(SIDE, SIDE), seed=seed, spacing=spacing, centre=(40.97, 9.03))
    truth = (seasonal_background(config) + AMPLITUDE * run.anomaly[0].numpy()).astype(np.float32)
    truth[:, ~config.water] = np.nan
    images = observe(truth, cloud_masks(config), config=config)
    sst = np.where(images.quality >= 4, images.adjusted, np.float32(np.nan))
    grid = {"time": config.time, "lat": config.lat, "lon": config.lon, "water": config.water}
    return Sea(make_cube(sst, **grid, extra={"truth": truth}), run.current[0].float())


def sea_of(seed: int, work: Path | None) -> Sea:
    """Return a sea, from the folder that keeps them if there is one."""
    kept = work / f"sea-{seed}.pkl" if work else None
    if kept is None:
        return make_sea(seed)
    if not kept.exists():
        kept.write_bytes(pickle.dumps(vars(make_sea(seed))))
    return Sea(**pickle.loads(kept.read_bytes()))


def _described(number: int) -> dict[str, Any]:
    return describe_sea(SMOOTH_SEED, number, side=SIDE, coasts=0)


def _suits(number: int) -> bool:
    described = _described(number)
    return described["kind"] == "smooth" and CELL[0] < described["spacing"][0] < CELL[1]


@dataclass
class Frame:
    """How windows are seen: in place, or following currents; with the first guess that goes with it."""

    region: Region
    guess: FirstGuess
    current: torch.Tensor | None
    resting: np.ndarray | None = None

    def window(self, values: np.ndarray, first: int, slot: int) -> np.ndarray:
        """Return a window of a record in the frame of one of its days, NaN where nothing is known."""
        window = values[first : first + 15]
        if self.current is None:
            return window
        places = paths(self.current[None, first : first + 15], spacing(self.region), slot)
        resting = torch.from_numpy(self.resting[first : first + 15])[None]
        return np.asarray(carried(torch.from_numpy(window)[None], places, resting=resting, nearest=True)[0].numpy())


def spacing(region: Region) -> torch.Tensor:
    """Return height and width of the cells of each row, km, (1, 2, lat)."""
    widths = torch.from_numpy(region.widths).float()
    return torch.stack([torch.full_like(widths, region.height), widths])[None]


def frames(anomalies: xr.Dataset, resting: np.ndarray, known: torch.Tensor) -> dict[str, Frame]:
    """Return the frame in place, and that of the currents where it pays to follow them."""
    region = Region.of(anomalies)
    values = np.where(region.water, anomalies["anomaly"].transpose("time", "lat", "lon").values, np.nan)
    sides = (region.height, float(region.widths.mean()))
    moments = {
        name: pair_moments(_pairs(values, resting, region, current), (SIDE, SIDE), sides)
        for name, current in (("", None), ("with currents", known))
    }
    follows = pays(moments["with currents"], moments[""])
    still, followed = (_guess(fit_terms(each, 6, cell=region.grid.cell), region) for each in moments.values())
    in_place = Frame(region, still, None)
    return {"": in_place, "with currents": Frame(region, followed, known) if follows else in_place}


def _guess(fitted: FittedTerms, region: Region) -> FirstGuess:
    noise = fitted.noise * region.mean_scale
    covariance = GriddedCovariance(*fitted[:3], noise, fitted.shared_error, fitted.error_width)
    return FirstGuess(tuple(covariance.terms()), noise)


def _pairs(values: np.ndarray, resting: np.ndarray, region: Region, current: torch.Tensor | None) -> Iterator[Pair]:
    """Yield pairs of days, the later one carried to the earlier where currents are given."""
    sides = (region.height, float(region.widths.mean()))
    for day in range(0, len(values) - 1, EVERY):
        images = values[day : day + LAGS[-1] + 1]
        if current is not None:
            places = paths(current[None, day : day + len(images)], spacing(region), 0)
            whole = torch.from_numpy(resting[day : day + len(images)])[None]
            given = torch.from_numpy(images).float()[None]
            images = carried(given, places, resting=whole, nearest=True)[0].numpy()
        images = images / region.scale  # carried in kelvin: the spread is that of the place
        first = Image(images[0], sides)
        for place, lag in enumerate(LAGS):
            if lag < len(images):
                yield place, first, first if lag == 0 else Image(images[lag], sides)


def baseline(climatology: Climatology, cube: xr.Dataset) -> np.ndarray:
    """Return what the anomalies of a cube are departures from, kelvin, (days, lat, lon); 0 where not known."""
    found = climatology.baseline(cube, cube["time"].values).transpose("time", "lat", "lon").values
    return np.nan_to_num(found - np.nanmean(found)).astype(np.float32)


def errors(sea: Sea, network: AllDays) -> dict[str, float]:
    """Return the RMSE at withheld pixels by estimate, frame and mode, kelvin."""
    cube, seen = sea.cube, visible_part(sea.cube)
    climatology = fit_climatology(select_period(seen, TRAIN), configure("oi-grid").climatology)
    train = climatology.anomalies(select_period(seen, TRAIN)).compute()
    sides = spacing(Region.of(train))[0].mean(1)
    known = as_seen(sea.current, sides, QUALITY, torch.Generator().manual_seed(SEED))
    of_frames = frames(train, baseline(climatology, select_period(seen, TRAIN)), known)
    hidden = withhold(seen.sel(time=slice(SCORED, None)), protocol="clouds", share=WITHHELD, seed=SEED)
    start = int(cube.indexes["time"].get_loc(SHOWN))
    shown = hide(cube.isel(time=slice(start, None)), hidden)
    times, anomalies = shown["time"].values, climatology.anomalies(shown).compute()
    values = anomalies["anomaly"].transpose("time", "lat", "lon").values
    expected = cube["truth"].sel(time=times) - climatology.baseline(shown, times)
    truth = expected.transpose("time", "lat", "lon").values
    resting = baseline(climatology, shown)
    sums: dict[str, np.ndarray] = {}
    for number, day in enumerate(hidden["time"].values):
        at = int(anomalies.indexes["time"].get_loc(day))
        pixels = hidden.sel(time=day).values
        for name, frame in of_frames.items():
            here = frame if frame.current is None else replace(frame, current=frame.current[start:], resting=resting)
            for mode, slot in SLOTS.items():
                first = at - slot
                if first < 0 or first + 15 > len(values) or (mode == "nrt" and number % 2):
                    continue
                for label, estimate in answers(here, network, values, first, slot, day).items():
                    miss = (estimate - truth[at])[pixels]
                    key = " ".join(part for part in (label, name, mode) if part)
                    sums[key] = sums.get(key, np.zeros(2)) + np.array([float((miss**2).sum()), miss.size])
    return {key: float(np.sqrt(total / count)) for key, (total, count) in sums.items()}


@torch.inference_mode()
def answers(
    frame: Frame, network: AllDays, values: np.ndarray, first: int, slot: int, day: np.datetime64
) -> Mapping[str, np.ndarray]:
    """Return the first guess and the network's answer of a day of a window, kelvin."""
    region, window = frame.region, frame.window(values, first, slot)
    guess = frame.guess.analyse(frame.guess.solver(region, 15), window, region)
    centre = day + np.timedelta64(7 - slot, "D")
    scalars = np.append(frame.guess.scalars(region, centre), np.float32(frame.current is not None))
    given = (window / region.scale, guess, region.water, spread_of(region), scalars)
    tensors = [torch.from_numpy(np.ascontiguousarray(part))[None] for part in given]
    mean = network(tensors[0].float(), *tensors[1:])[0][0, slot].numpy()
    return {"first guess": guess[slot] * region.scale, "network": mean * region.scale}


def main() -> None:
    """Print the errors and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--seas", type=int, nargs="+", default=[21, 22, 31, 32])
    parser.add_argument("--work", type=Path, help="keeps the seas")
    options = parser.parse_args()
    network = read_network(options.weights)
    for seed in options.seas:
        sea = sea_of(seed, options.work)
        found = errors(sea, network)
        former = dict(zip(SLOTS, FORMER.get(seed, (np.nan, np.nan)), strict=True))
        print(f"sea {seed}, former oi: {former}")
        for key, error in found.items():
            print(f"  {key:36s} {error:.4f} K  {error / former[key.split()[-1]]:.3f}", flush=True)


if __name__ == "__main__":
    main()
