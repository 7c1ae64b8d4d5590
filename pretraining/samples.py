"""Training samples drawn from a library of seas, clouds and coasts (`library.py`): gappy windows and their truth."""

from __future__ import annotations

import json
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from noise import correlated_noise
from sereno.errors import InputError

WINDOW, SIDE = 15, 64
"""Days of a sample, and its cells along either side."""
COARSEST = 30.0
"""Every second cell of a sea is taken only where cells are then no higher than this, km."""
COARSENED, EVERY_SECOND_DAY = 0.35, 0.15
"""Shares of samples of which every second cell, every second day is taken."""
WHITE_NOISE, CORRELATED_NOISE = (0.05, 0.4), (0.0, 0.25)
"""Standard deviations of the noise, in those of the sea."""
NOISE_LENGTH = (30.0, 100.0)
"""Length of the correlated noise, km."""
SOURCES = {"sequence": 0.55, "goes": 0.3, "scenes": 0.15}
"""Where clouds come from, and how often: simulated sequences, GOES-16, other scenes."""
CONTAMINATED, EDGE_SHARE, EDGE_BIAS = 0.5, (0.0, 0.15), 0.5
"""Share of samples with cold cloud edges; share of the cells within two of a cloud that are cold; mean of their bias
next to it, in standard deviations of the sea."""
HIDDEN, CLOUDED = 0.25, 0.25
"""Shares of samples whose central day is wholly hidden, is below a further cloud."""
NEAR_REAL_TIME = 0.2
"""Share of samples without a day after the central one."""
LEAST_WATER = 0.25
_TRIES = 8


class Simulated(NamedTuple):
    """A training sample.

    Attributes
    ----------
    values
        Anomalies seen, kelvin, float32 (window, side, side), NaN below clouds and on land.
    truth
        That of the central day, kelvin, float32 (side, side), over land as well.
    water
        bool (side, side).
    noise
        Standard deviation of the white noise in the values, kelvin.
    climatology_std
        That of the sea's anomalies with their noise, kelvin.
    spacing
        Height and width of a cell, km.
    covariance
        What tuning finds of this sea, as `sereno.reconstruct.oi.covariance.Covariance.values`, with the sample's own
        noise: lengths in km, times in days of the window.
    """

    values: np.ndarray
    truth: np.ndarray
    water: np.ndarray
    noise: float
    climatology_std: float
    spacing: tuple[float, float]
    covariance: dict[str, Any]


@dataclass(frozen=True)
class Sea:
    """A sea of the library: its anomalies, not read before they are needed, and what describes them."""

    anomaly: np.ndarray
    description: dict[str, Any]


class DrawnSamples:
    """Samples by epoch and index: the same seed and the same library always give the same.

    Parameters
    ----------
    folder
        Of the library. What it holds at this moment is used: of a library that grows, later objects draw more.
    seed
        Of all draws.
    seeds
        Seeds of the seas that may be drawn, such as ``range(1000, 1040)``; all where not given.

    Raises
    ------
    InputError
        If the folder holds no sea, no clouds or no coasts.
    """

    def __init__(self, folder: str | Path, *, seed: int, seeds: Container[int] | None = None) -> None:
        folder = Path(folder)
        described = sorted(folder.glob("seas/*.json"))
        self.seas = [
            Sea(np.load(path.with_suffix(".npy"), mmap_mode="r"), json.loads(path.read_text()))
            for path in described
            if seeds is None or int(path.stem) in seeds
        ]
        self.clouds = {
            "sequence": [np.load(path, mmap_mode="r") for path in sorted(folder.glob("clouds/[0-9]*.npy"))],
            "goes": [np.load(path, mmap_mode="r") for path in folder.glob("clouds/goes.npy")],
            "scenes": [np.load(path, mmap_mode="r") for path in folder.glob("clouds/scenes.npy")],
        }
        self.sources = [name for name, held in self.clouds.items() if held]
        if not self.seas or not self.sources or not (folder / "coasts.npy").exists():
            raise InputError(f"{folder}: it lacks seas, clouds or coasts; make them with pretraining/library.py")
        self.coasts = np.load(folder / "coasts.npy", mmap_mode="r")
        self.seed = seed

    def sample(self, epoch: int, index: int) -> Simulated:
        """Return one sample."""
        rng = np.random.default_rng([self.seed, epoch, index])
        sea = self.seas[rng.integers(len(self.seas))]
        block, spacing, day_step = _cut_sea(sea, rng)
        water = self._water(rng)
        cloudy = self._clouds(rng)
        rms = sea.description["parameters"]["amplitude"]
        white, shared = rms * rng.uniform(*WHITE_NOISE), rms * rng.uniform(*CORRELATED_NOISE)
        length = float(np.exp(rng.uniform(*np.log(NOISE_LENGTH))))
        values = block + np.float32(white) * rng.standard_normal(block.shape, dtype=np.float32)
        values += np.float32(shared) * correlated_noise(block.shape, spacing, length=length, rng=rng)
        if rng.random() < CONTAMINATED:
            values += rms * _cold_edges(cloudy, rng)
        values[cloudy | ~water] = np.nan
        self._hide(values, rng)
        std = float(np.sqrt(rms**2 + white**2 + shared**2))
        noise = {"noise": white, "correlated_noise": max(shared, 0.001), "noise_length": length}
        covariance = _covariance(sea.description, std=std, day_step=day_step) | noise
        return Simulated(values, block[WINDOW // 2].copy(), water, white, std, spacing, covariance)

    def _water(self, rng: np.random.Generator) -> np.ndarray:
        """Return a piece of a coast with enough water, bool (side, side)."""
        for _ in range(_TRIES):
            coast = self.coasts[rng.integers(len(self.coasts))]
            water = _turned(_cut(coast, 1, rng), rng)
            if water.mean() >= LEAST_WATER:
                return np.ascontiguousarray(water)
        return np.ones((SIDE, SIDE), bool)

    def _clouds(self, rng: np.random.Generator) -> np.ndarray:
        """Return the clouds of a window, bool (window, side, side): days of a sequence, or moments of no order."""
        source = self._source(rng)
        held = self.clouds[source][rng.integers(len(self.clouds[source]))]
        if source == "sequence":
            first = rng.integers(len(held) - WINDOW + 1)
            return np.ascontiguousarray(_turned(_cut(held[first : first + WINDOW], 1, rng), rng))
        step = int(rng.integers(1, 3))
        return np.stack([_turned(_cut(held[i], step, rng), rng) for i in rng.integers(len(held), size=WINDOW)])

    def _source(self, rng: np.random.Generator) -> str:
        weight = np.array([SOURCES[name] for name in self.sources])
        return self.sources[rng.choice(len(weight), p=weight / weight.sum())]

    def _hide(self, values: np.ndarray, rng: np.random.Generator) -> None:
        """Take away of the values, in place, what a reconstruction may lack: the day itself, the days to come."""
        centre, lot = WINDOW // 2, rng.random()
        if lot < HIDDEN:
            values[centre] = np.nan
        elif lot < HIDDEN + CLOUDED:
            values[centre][self._clouds(rng)[centre]] = np.nan
        if rng.random() < NEAR_REAL_TIME:
            values[centre + 1 :] = np.nan


def _cut_sea(sea: Sea, rng: np.random.Generator) -> tuple[np.ndarray, tuple[float, float], int]:
    """Return a piece of a sea, turned, of either sign, float32; its spacing, km; days from one map to the next."""
    (height, width), record = sea.description["spacing"], sea.anomaly
    day_step = 2 if rng.random() < EVERY_SECOND_DAY and len(record) >= 2 * WINDOW else 1
    step = 2 if rng.random() < COARSENED and 2 * height <= COARSEST else 1
    first = rng.integers(len(record) - day_step * (WINDOW - 1))
    days = record[first : first + day_step * (WINDOW - 1) + 1 : day_step]
    piece, transposed = _cut(days, step, rng), rng.random() < 0.5
    if transposed:
        piece, height, width = piece.swapaxes(1, 2), width, height
    flips = tuple(slice(None, None, int(rng.choice([-1, 1]))) for _ in range(2))
    sign = np.float32(rng.choice([-1.0, 1.0]))
    block = sign * piece[(slice(None), *flips)].astype(np.float32)
    return np.ascontiguousarray(block), (step * height, step * width), day_step


def _cut(field: np.ndarray, step: int, rng: np.random.Generator) -> np.ndarray:
    """Return every `step`-th cell of a random piece of the last two axes, `SIDE` cells along either."""
    reach = step * (SIDE - 1) + 1
    row, column = (rng.integers(size - reach + 1) for size in field.shape[-2:])
    return field[..., row : row + reach : step, column : column + reach : step]


def _turned(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the last two axes turned, mirrored or not."""
    turned: np.ndarray = np.rot90(mask, int(rng.integers(4)), axes=(-2, -1))
    return turned[..., ::-1] if rng.random() < 0.5 else turned


def _cold_edges(cloudy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the bias of cells within two of a cloud that hold some of it unnoticed, float32, zero elsewhere."""
    beside = _grown(cloudy)
    share, mean = rng.uniform(*EDGE_SHARE), np.where(beside, EDGE_BIAS, EDGE_BIAS / 2).astype(np.float32)
    near = np.flatnonzero(_grown(beside) & ~cloudy)
    held = near[rng.random(len(near)) < share]
    bias = np.zeros(cloudy.shape, np.float32)
    bias.ravel()[held] = -mean.ravel()[held] * rng.standard_exponential(len(held), dtype=np.float32)
    return bias


def _grown(mask: np.ndarray) -> np.ndarray:
    """Return a mask grown by a cell to all four sides."""
    grown = mask.copy()
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    grown[:, :, 1:] |= mask[:, :, :-1]
    grown[:, :, :-1] |= mask[:, :, 1:]
    return grown


def _covariance(description: dict[str, Any], *, std: float, day_step: int) -> dict[str, Any]:
    """Return the sea's covariance in units of another standard deviation and of days so many days apart."""
    found: dict[str, Any] = description["covariance"]
    scales = {name: value / day_step if name.endswith("time") else value for name, value in found["scales"].items()}
    amplitude = found["amplitude"] * description["climatology_std"] / std
    return found | {"scales": scales, "amplitude": amplitude}
