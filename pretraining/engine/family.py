"""The family of seas: what a sea is made of, drawn from numbers alone, as a dict for JSON.

A network trained on the seas of one kind is of no use on another. The family is therefore wide: the twin sea's
turbulence with every parameter drawn, Gaussian seas like an operational analysis, sums of the two, and more that
moves and more that stays: temperature that holds buoyancy, wind drift, jets, streams along coasts, fronts, plumes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

KINDS = {"turbulent": 0.35, "mixed": 0.25, "buoyant": 0.15, "smooth": 0.25}
"""Kinds of seas and how often each is drawn."""
METRES_PER_DEGREE, DAY = 111_195.0, 86_400.0
SPACING = (METRES_PER_DEGREE / 24, METRES_PER_DEGREE / 4)
"""Finest and coarsest grid, metres along the meridian."""
CELLS_PER_EDDY, COARSE_CELLS = (14.0, 32.0), (9.0, 16.0)
"""Cells in the wavelength of the eddies, and those of a coarse sea: with fewer they are not resolved."""
COARSE = 0.35
"""Share of the seas with eddies that are coarse, as those of a quarter of a degree are."""
SWIRL, TYPICAL_SWIRL = (0.35e-6, 2e-6), 0.88e-6
"""Speed of the eddies over their wavelength, 1/s; and that of the default twin sea."""
FLOW, LARGE_DRIFT = 0.1, 0.2
"""Mean flow of a Gaussian part, m/s at most, and the share of it that carries the large scale."""
DRIFTING, JETS, STREAMS, FRONTS, PLUMES = 0.4, 0.15, 0.15, 0.25, 0.15
"""Shares of the seas with wind drift; and of those with eddies, with a jet, a coastal stream, a front, a plume."""
IDLE = 0.5
"""Share of the smooth seas with eddies that carry no temperature, as an analysis smoothed over weeks shows it."""
_GOLDEN = (5**0.5 - 1) / 2


def describe_sea(seed: int, number: int, *, side: int, coasts: int) -> dict[str, Any]:
    """Draw what a sea is made of.

    Parameters
    ----------
    seed, number
        Of the stream of seas, and of the sea in it. Any run of consecutive numbers holds the kinds in nearly their
        shares.
    side
        Cells along either side.
    coasts
        How many coasts there are to choose from; 0 for no streams along them.
    """
    rng = np.random.default_rng([seed, number])
    kind = _kind(seed, number)
    wavelength = _log_uniform(rng, 80e3, 300e3)
    cells = COARSE_CELLS if rng.random() < COARSE else CELLS_PER_EDDY
    cell = _log_uniform(rng, *SPACING) if kind == "smooth" else wavelength / _log_uniform(rng, *cells)
    height = float(np.clip(cell, *SPACING))
    width = height * float(np.cos(np.deg2rad(rng.uniform(0, 55))))
    sea: dict[str, Any] = {"kind": kind, "seed": seed, "number": number, "spacing": (height / 1e3, width / 1e3)}
    if rng.random() < DRIFTING:
        sea["drift"] = {"speed": _log_uniform(rng, 0.01, 0.12), "memory": float(rng.uniform(1, 5))}
    if kind != "smooth":
        sea["eddies"] = _eddies(rng, wavelength)
        sea |= _scenery(rng, sea["eddies"], side=side, coasts=coasts)
    if kind == "buoyant":
        sea["buoyant_share"] = float(rng.uniform(0.3, 0.95))
        sea["buoyant_sign"] = int(rng.choice([-1, 1]))
    if kind in ("mixed", "smooth"):
        sea["turbulent_share"] = float(rng.uniform(0.25, 0.75)) if kind == "mixed" else 0.0
        sea["gaussian"] = _gaussian(rng, height)
    if kind == "smooth" and rng.random() < IDLE:
        speed, time = _log_uniform(rng, 0.03, 0.25), _log_uniform(rng, 10, 40)
        sea["idle"] = {"speed": speed, "length": max(_log_uniform(rng, 50e3, 120e3), 4 * height), "time": time}
    return sea


def _eddies(rng: np.random.Generator, wavelength: float) -> dict[str, float]:
    """Draw the turbulence. Eddies that turn faster are also made faster."""
    speed = float(np.clip(_log_uniform(rng, *SWIRL) * wavelength, 0.05, 0.4))
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


def _scenery(rng: np.random.Generator, eddies: dict[str, float], *, side: int, coasts: int) -> dict[str, Any]:
    """Draw what stays where it is."""
    scenery: dict[str, Any] = {}
    lots = rng.random(3)
    speed = float(rng.choice([-1, 1])) * min(eddies["current_speed"] * _log_uniform(rng, 0.5, 2), 0.5)
    course = {
        "waves": [int(n) for n in ((1, 0), (0, 1), (1, 1), (1, -1))[rng.integers(4)]],
        "phase": float(rng.uniform(0, 2 * np.pi)),
        "meander": float(rng.uniform(0, 0.8)),
        "meander_waves": int(rng.integers(1, 3)),
        "meander_phase": float(rng.uniform(0, 2 * np.pi)),
    }
    stirred = abs(eddies["meridional_gradient"]) * eddies["eddy_wavelength"]
    if lots[0] < JETS:
        scenery["jet"] = {"speed": speed, "sharpness": _log_uniform(rng, 1, 4), "course": course}
    elif lots[0] < JETS + STREAMS and coasts > 0:
        shore = {"coast": int(rng.integers(coasts)), "turns": int(rng.integers(4)), "mirrored": bool(rng.integers(2))}
        scenery["stream"] = {"speed": speed, "width": float(rng.uniform(2, 7)), **shore}
    if lots[1] < FRONTS:
        contrast = stirred * _log_uniform(rng, 0.7, 2.5)
        scenery["front"] = {"contrast": contrast, "sharpness": _log_uniform(rng, 1.5, 6), "course": course}
    if lots[2] < PLUMES:
        radius = _log_uniform(rng, 20e3, 80e3)
        # As long as the water stays over the plume, and no longer than the air leaves it its temperature.
        stay = min(radius / (eddies["current_speed"] * DAY), eddies["relaxation_time"])
        scenery["plume"] = {
            "centre": [float(c) for c in rng.uniform(0, side, 2)],
            "radius": radius,
            "heating": float(rng.choice([-1, 1])) * stirred / stay * _log_uniform(rng, 0.3, 2),
            "memory": _log_uniform(rng, 3, 20),
        }
    return scenery


def _gaussian(rng: np.random.Generator, height: float) -> dict[str, Any]:
    """Draw a Gaussian part of two scales."""
    speed, angle = rng.choice([0.0, 1.0]) * rng.uniform(0.0, FLOW), rng.uniform(0, 2 * np.pi)
    return {
        "length": [max(_log_uniform(rng, 30e3, 150e3), 2 * height), _log_uniform(rng, 120e3, 1000e3)],
        "time": [_log_uniform(rng, 1, 14), _log_uniform(rng, 20, 120)],
        "smoothness": [float(nu) for nu in rng.choice([1.0, 1.5, 2.5], 2)],
        "stretch": [1.0, float(rng.uniform(1, 2))],
        "small_share": float(rng.uniform(0.05, 0.7)),
        "flow": [float(speed * np.cos(angle)), float(speed * np.sin(angle))],
    }


def _kind(seed: int, number: int) -> str:
    """Return the kind of a sea: multiples of the golden ratio fill the unit interval evenly."""
    begin = np.random.default_rng([seed]).random()
    place = (begin + number * _GOLDEN) % 1
    bounds = np.cumsum(list(KINDS.values()))
    return list(KINDS)[min(int(np.searchsorted(bounds, place, side="right")), len(KINDS) - 1)]


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
