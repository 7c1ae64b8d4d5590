"""A family of seas, each drawn from a seed: turbulent, smooth and both, at many scales, strengths and grid spacings.

A network trained on the seas of one kind is of no use on another. The family is therefore wide: the twin sea's
turbulence with every parameter drawn, Gaussian seas like an operational analysis, and sums of the two.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from scipy.ndimage import convolve1d

from sereno.synthetic.config import TwinSeaConfig
from sereno.synthetic.gaussian import GaussianTerm, gaussian_fields
from sereno.synthetic.ocean import simulate
from sereno.synthetic.spectral import METRES_PER_DEGREE, PeriodicGrid

FIRST_SEED = 1000
"""Seeds below are those of the benchmarks' twin seas: no sea of the family has one."""
KINDS = {"turbulent": 0.45, "smooth": 0.25, "mixed": 0.30}
"""Kinds of seas and how often each is drawn."""
SPACING = (METRES_PER_DEGREE / 24, METRES_PER_DEGREE / 4)
"""Finest and coarsest grid, metres along the meridian."""
CELLS_PER_EDDY = (14.0, 32.0)
"""Cells in the wavelength of the eddies: with fewer they are not resolved."""
COARSENED = 0.35
"""Share of the seas with eddies that are simulated on a grid twice as fine as that on which they are given."""
SWIRL = (0.35e-6, 2e-6)
"""Speed of the eddies over their wavelength, 1/s; that of the default twin sea is 0.88e-6."""
TYPICAL_SWIRL = 0.88e-6
FLOW, LARGE_DRIFT = 0.1, 0.2
"""Mean flow of a smooth sea, m/s at most, and the share of it that carries the large scale: the air holds that."""
AMPLITUDE = (0.3, 1.5)
"""Root mean square of the anomalies, kelvin."""
RECENT_DAYS = 15
"""Half-width of the recent mean of the basin that is taken off, days, as before every method of reconstruction."""
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class FamilySea:
    """A sea of the family.

    Attributes
    ----------
    kind
        One of `KINDS`.
    spacing
        Height and width of a cell, km.
    anomaly
        The true anomalies, kelvin, float32 (days, side, side), over land as well.
    parameters
        What was drawn, for JSON.
    """

    kind: str
    spacing: tuple[float, float]
    anomaly: np.ndarray
    parameters: dict[str, Any]


def draw_sea(seed: int, *, days: int = 400, side: int = 128) -> FamilySea:
    """Draw a sea of the family.

    Parameters
    ----------
    seed
        At least `FIRST_SEED`. Any run of consecutive seeds holds the kinds in nearly their shares.
    days, side
        Length of the record, and cells along either side.

    Raises
    ------
    ValueError
        If the seed is one of the benchmarks'.
    """
    if seed < FIRST_SEED:
        raise ValueError(f"seeds of the family start at {FIRST_SEED}, those below belong to the benchmarks: {seed}")
    rng = np.random.default_rng(seed)
    kind = _kind(seed)
    wavelength = _log_uniform(rng, 80e3, 300e3)
    cell = wavelength / _log_uniform(rng, *CELLS_PER_EDDY) if kind != "smooth" else _log_uniform(rng, *SPACING)
    step = 2 if kind != "smooth" and rng.random() < COARSENED else 1
    cell = float(np.clip(cell, SPACING[0], SPACING[1] / step))
    config = TwinSeaConfig(
        days=days,
        shape=(step * side, step * side),
        spacing=cell / METRES_PER_DEGREE,
        centre=(float(rng.uniform(0, 55)), 0.0),
        seed=seed,
        **_turbulence(rng, wavelength),
    )
    share = {"turbulent": 1.0, "smooth": 0.0, "mixed": float(rng.uniform(0.25, 0.75))}[kind]
    amplitude = _log_uniform(rng, *AMPLITUDE)
    parameters: dict[str, Any] = {"seed": seed, "amplitude": amplitude, "turbulent_share": share, "step": step}
    anomaly = np.zeros((days, side, side), np.float32)
    if share > 0:
        currents = islice(simulate(config, margin=1.0), days)
        eddies = np.stack([day.anomaly[: step * side : step, : step * side : step] for day in currents])
        anomaly += share**0.5 * _scaled(departures(eddies))
        parameters["turbulence"] = {name: getattr(config, name) for name in _TURBULENCE}
    if share < 1:
        coarse = replace(config, shape=(side, side), spacing=step * config.spacing)
        smooth, drawn = _smooth(coarse, rng)
        anomaly += (1 - share) ** 0.5 * _scaled(departures(smooth))
        parameters["gaussian"] = drawn
    height = step * cell / 1e3
    width = height * float(np.cos(np.deg2rad(config.centre[0])))
    return FamilySea(kind, (height, width), amplitude * _scaled(anomaly), parameters)


_TURBULENCE = (
    "current_speed",
    "eddy_wavelength",
    "growth_time",
    "meridional_gradient",
    "relaxation_time",
    "heating",
    "heating_memory",
    "heating_length",
)


def _turbulence(rng: np.random.Generator, wavelength: float) -> dict[str, Any]:
    """Draw the eddies' parameters.

    Temperature is a passive tracer, so that of gradient and heating but the ratio matters: the anomalies are scaled
    afterwards. Eddies that turn faster are also made faster.
    """
    swirl = _log_uniform(rng, *SWIRL)
    speed = float(np.clip(swirl * wavelength, 0.05, 0.4))
    return {
        "current_speed": speed,
        "eddy_wavelength": wavelength,
        "growth_time": float(np.clip(15 * TYPICAL_SWIRL * wavelength / speed, 5, 40)),
        "meridional_gradient": float(rng.choice([-1, 1])) * 0.5e-5,
        "relaxation_time": _log_uniform(rng, 15, 120),
        "heating": 0.09 * _log_uniform(rng, 0.2, 4),
        "heating_memory": _log_uniform(rng, 1, 10),
        "heating_length": _log_uniform(rng, 150e3, 800e3),
    }


def _smooth(config: TwinSeaConfig, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, Any]]:
    """Draw a Gaussian sea of two scales, (days, lat, lon), and tell what was drawn."""
    grid = PeriodicGrid.around(config, margin=2.0)
    shortest = 2 * config.spacing * METRES_PER_DEGREE
    small = GaussianTerm(max(_log_uniform(rng, 30e3, 150e3), shortest), _log_uniform(rng, 1, 14), _smoothness(rng))
    large = GaussianTerm(
        _log_uniform(rng, 120e3, 1000e3), _log_uniform(rng, 20, 120), _smoothness(rng), float(rng.uniform(1, 2))
    )
    small_share = float(rng.uniform(0.05, 0.7))
    speed, angle = rng.choice([0.0, 1.0]) * rng.uniform(0.0, FLOW), rng.uniform(0, 2 * np.pi)
    flow = float(speed * np.cos(angle)), float(speed * np.sin(angle))
    slower = LARGE_DRIFT * flow[0], LARGE_DRIFT * flow[1]
    field = np.zeros((config.days, *config.shape), np.float32)
    north, east = config.shape
    for term, share, current in ((small, small_share, flow), (large, 1 - small_share, slower)):
        days = islice(gaussian_fields(grid, term, flow=current, rng=rng), config.days)
        field += share**0.5 * _scaled(departures(np.stack([day[:north, :east] for day in days])))
    return field, {"small": asdict(small), "large": asdict(large), "small_share": small_share, "flow": flow}


def _smoothness(rng: np.random.Generator) -> float:
    return float(rng.choice([1.0, 1.5, 2.5]))


def departures(field: np.ndarray) -> np.ndarray:
    """Return what a climatology and the recent mean of the basin leave of a field without gaps.

    The mean of each cell is taken off, then the mean of the basin over the days around, weighed by a triangle.

    Parameters
    ----------
    field
        (days, lat, lon).
    """
    anomaly = field - field.mean(axis=0, dtype=np.float64).astype(np.float32)
    weights = 1 - np.abs(np.arange(-RECENT_DAYS, RECENT_DAYS + 1)) / (RECENT_DAYS + 1)
    basin = anomaly.mean(axis=(1, 2), dtype=np.float64)
    recent = convolve1d(basin, weights, mode="constant") / convolve1d(np.ones_like(basin), weights, mode="constant")
    departure: np.ndarray = anomaly - recent[:, None, None].astype(np.float32)
    return departure


def _scaled(field: np.ndarray) -> np.ndarray:
    """Return a field with a root mean square of one."""
    scaled: np.ndarray = (field / np.sqrt(np.mean(field**2, dtype=np.float64))).astype(np.float32)
    return scaled


def _kind(seed: int) -> str:
    """Return the kind of a seed: multiples of the golden ratio fill the unit interval evenly."""
    place = seed * _GOLDEN % 1
    bounds = np.cumsum(list(KINDS.values()))
    return list(KINDS)[min(int(np.searchsorted(bounds, place, side="right")), len(KINDS) - 1)]


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
