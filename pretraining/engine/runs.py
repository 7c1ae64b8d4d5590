"""A run of a few seas: every day of a long record, made at once, from which blocks are cut."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine import scenery as standing
from engine.coasts import water_of
from engine.family import LARGE_DRIFT
from engine.gaussian import Term, gaussian_spectra
from engine.grid import Grid, resample
from engine.randomness import generator
from engine.turbulence import DAY, Eddies, Scenery, Turbulence

COARSE_SPIN_UP, FINE_SPIN_UP = 70, 20
"""Days before the first one: on half as many cells along either side, then on all."""
IDLE_SMOOTHNESS = 5.0
"""ν of the stream function of eddies that carry no temperature."""
RECENT_DAYS = 15
"""Half-width of the recent mean of the basin that is taken off, days, as before every method of reconstruction."""
MARGIN = 2
"""The periodic domain of a Gaussian part is this many times as long as the sea."""


@dataclass
class Run:
    """A record of n seas: as `engine.seas.Seas`, days after days."""

    anomaly: Tensor
    current: Tensor
    drift: Tensor
    water: Tensor
    resting: Tensor


def make_run(seas: list[dict[str, Any]], *, days: int, side: int, device: torch.device, seed: int) -> Run:
    """Make the seas that are described.

    On a CPU they are made one after another, each with as few steps as it needs and in the processor's cache; on
    other devices all at once.

    Parameters
    ----------
    seas
        What `engine.family.describe_sea` returns.
    seed
        Of everything random that the descriptions do not hold.
    """
    run = Run(
        torch.zeros(len(seas), days, side, side, device=device),
        torch.zeros(len(seas), days, 2, side, side, dtype=torch.float16, device=device),
        torch.zeros(len(seas), days, 2, device=device),
        torch.from_numpy(np.stack([_water(sea, side) for sea in seas])).to(device),
        torch.zeros(len(seas), side, side, device=device),
    )
    for members in _together(seas, separately=device.type == "cpu"):
        chosen = [seas[member] for member in members]
        random = generator(seed, chosen[0]["number"], len(chosen), device=device)
        names = [field.name for field in dataclasses.fields(Run)]
        part = Run(*(getattr(run, name)[members] for name in names))
        _make(chosen, part, random)
        for name in names:
            getattr(run, name)[members] = getattr(part, name)
    return run


def _together(seas: list[dict[str, Any]], *, separately: bool) -> list[list[int]]:
    """Return the indices of the seas that are made at once: of one physics, or each for itself."""
    if separately:
        return [[member] for member in range(len(seas))]
    parts = [("eddies" in sea, "gaussian" in sea) for sea in seas]
    return [[member for member, part in enumerate(parts) if part == kind] for kind in sorted(set(parts))]


def _make(seas: list[dict[str, Any]], run: Run, random: torch.Generator) -> None:
    """Fill a run with seas of one physics."""
    side, device = run.anomaly.shape[-1], run.anomaly.device
    days = run.drift.shape[1]
    spacing = _values([sea["spacing"] for sea in seas], device) * 1e3
    drift = _drift(seas, days + COARSE_SPIN_UP + FINE_SPIN_UP, random)
    run.drift[:] = drift[:, -days:]
    flow = _values([sea.get("gaussian", {}).get("flow", [0.0, 0.0]) for sea in seas], device)
    if "eddies" in seas[0]:
        run.anomaly[:], run.resting[:] = _eddying(
            seas, Grid(side, spacing), flow[:, None] + drift, random, run.current
        )
    run.current += flow[:, None, :, None, None].half()
    if "gaussian" in seas[0]:
        share = _values([sea["turbulent_share"] for sea in seas], device)[:, None, None, None]
        grid = Grid(MARGIN * side, spacing)
        smooth, resting = _smooth(seas, grid, flow[:, None] + run.drift, random)
        run.anomaly[:] = share**0.5 * run.anomaly + (1 - share) ** 0.5 * smooth
        run.resting[:] = share[:, 0] ** 0.5 * run.resting + (1 - share[:, 0]) ** 0.5 * resting
        _add_idle(seas, grid, random, run.current)
    run.resting /= scaled(run.anomaly)[1][:, 0]


def _eddying(
    seas: list[dict[str, Any]], grid: Grid, drift: Tensor, random: torch.Generator, current: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the anomalies that the eddies make, of unit variance, and what rests; add the flow to the currents."""
    days = current.shape[1]
    flow = _flow(seas, grid, random)
    temperature = torch.empty(len(seas), days, grid.side, grid.side, device=grid.device)
    buoyant = [number for number, sea in enumerate(seas) if "buoyant_share" in sea]
    buoyancy = torch.empty(len(buoyant), days, grid.side, grid.side, device=grid.device)
    for day, fields in enumerate(islice(_days(seas, flow, drift, random), days)):
        current[:, day] = fields[:, :2] if flow.scenery.flow is None else fields[:, :2] + flow.scenery.flow
        temperature[:, day] = fields[:, 3]
        buoyancy[:, day] = fields[buoyant, 2]
    northward = torch.arange(grid.side, device=grid.device) - (grid.side - 1) / 2
    resting = (flow.eddies.meridional_gradient * grid.spacing[:, 0])[:, None, None] * northward[:, None]
    if flow.scenery.background is not None:
        resting = resting + flow.scenery.background
    temperature, resting = _parted(temperature, resting)
    if buoyant:
        share, sign = (
            _values([seas[n][f"buoyant_{name}"] for n in buoyant], grid.device)[:, None, None, None]
            for name in ("share", "sign")
        )
        held, still = _parted(buoyancy, torch.zeros_like(buoyancy[:, 0]))
        temperature[buoyant] = sign * share**0.5 * held + (1 - share) ** 0.5 * temperature[buoyant]
        resting[buoyant] = (sign * share**0.5)[:, 0] * still + (1 - share[:, 0]) ** 0.5 * resting[buoyant]
    return temperature, resting


def _parted(field: Tensor, background: Tensor) -> tuple[Tensor, Tensor]:
    """Return anomalies of unit variance, and what stays in place: the mean of each cell and the background.

    Parameters
    ----------
    field
        (n, days, side, side); used up.
    background
        What water does not take along, in the field's unit, (n, side, side).
    """
    resting = field.mean(1) + background
    anomaly, std = scaled(departures(field))
    return anomaly, resting / std[:, 0]


def _days(seas: list[dict[str, Any]], flow: Turbulence, drift: Tensor, random: torch.Generator) -> Iterator[Tensor]:
    """Yield velocity, buoyancy and temperature of one day after another, the spin-up left out."""
    fine, side = flow.grid, flow.grid.side
    coarse = Turbulence(Grid(side // 2, 2 * fine.spacing), flow.eddies, flow.scenery.on(side // 2))
    heating = _heating(seas, fine, random)
    fields = coarse.fields(coarse.initial(random))
    for day in range(COARSE_SPIN_UP):
        state = coarse.advance_day(fields, resample(next(heating), side // 2), drift[:, day])
        fields = coarse.fields(state)
    fields = flow.fields(resample(state, side))
    for day in range(COARSE_SPIN_UP, drift.shape[1]):
        fields = flow.fields(flow.advance_day(fields, next(heating), drift[:, day]))
        if day >= COARSE_SPIN_UP + FINE_SPIN_UP:
            yield fields


def _flow(seas: list[dict[str, Any]], grid: Grid, random: torch.Generator) -> Turbulence:
    """Return the turbulence of the seas, with what stays in them."""
    names = ("current_speed", "eddy_wavelength", "growth_time", "meridional_gradient", "relaxation_time")
    eddies = Eddies(**{name: _values([sea["eddies"][name] for sea in seas], grid.device) for name in names})
    flow = background = None
    if any("jet" in sea or "stream" in sea for sea in seas):
        flow = torch.from_numpy(np.stack([_steady(sea, grid.side) for sea in seas])).to(grid.device)
    if any("front" in sea for sea in seas):
        background = torch.from_numpy(np.stack([_background(sea, grid.side) for sea in seas])).to(grid.device)
    return Turbulence(grid, eddies, Scenery(flow, background))


def _steady(sea: dict[str, Any], side: int) -> np.ndarray:
    """Return the steady flow of a sea, float32 (2, side, side)."""
    spacing = 1e3 * sea["spacing"][0], 1e3 * sea["spacing"][1]
    if "jet" in sea:
        jet = sea["jet"]
        stream = standing.edge(standing.band(side, jet["course"]), jet["sharpness"])
        return standing.flow_of(stream, spacing, speed=jet["speed"])
    water = _water(sea, side)
    if not water.all():
        stream = standing.coastal_stream(water, sea["stream"]["width"])
        return standing.flow_of(stream, spacing, speed=sea["stream"]["speed"])
    return np.zeros((2, side, side), np.float32)


def _background(sea: dict[str, Any], side: int) -> np.ndarray:
    """Return the front of a sea, float32 (side, side)."""
    if "front" not in sea:
        return np.zeros((side, side), np.float32)
    front = sea["front"]
    rise = standing.edge(standing.band(side, front["course"]), front["sharpness"])
    background: np.ndarray = (front["contrast"] / 2 * rise).astype(np.float32)
    return background


def _water(sea: dict[str, Any], side: int) -> np.ndarray:
    """Return the water of a sea: that of the coast along which it flows, all of it in others."""
    if "stream" not in sea:
        return np.ones((side, side), bool)
    stream = sea["stream"]
    water = np.rot90(water_of(stream["coast"], side), stream["turns"])
    return np.ascontiguousarray(water[:, ::-1] if stream["mirrored"] else water)


def _heating(seas: list[dict[str, Any]], grid: Grid, random: torch.Generator) -> Iterator[Tensor]:
    """Yield the spectrum of the heating of one day after another, K/s, (n, side, half)."""
    strength, length, memory = (
        _values([sea["eddies"][name] for sea in seas], grid.device)[:, None, None]
        for name in ("heating", "heating_length", "heating_memory")
    )
    shape = strength / DAY * grid.amplitude(torch.exp(-((grid.k * length / 2) ** 2)))
    kept = torch.exp(-1 / memory)
    plumes = _plumes(seas, grid)
    wandering = _autoregression([sea.get("plume", {}).get("memory", 1.0) for sea in seas], random)
    heating = shape * grid.noise(random, len(seas))
    while True:
        yield heating if plumes is None else heating + (1 + next(wandering))[:, None, None] * plumes
        heating = kept * heating + (1 - kept**2) ** 0.5 * shape * grid.noise(random, len(seas))


def _plumes(seas: list[dict[str, Any]], grid: Grid) -> Tensor | None:
    """Return the spectrum of the mean heating by plumes, K/s, where there is a plume in any of the seas."""
    if not any("plume" in sea for sea in seas):
        return None
    shapes = np.zeros((len(seas), grid.side, grid.side), np.float32)
    for shape, sea in zip(shapes, seas, strict=True):
        if "plume" in sea:
            spacing = 1e3 * sea["spacing"][0], 1e3 * sea["spacing"][1]
            centre = standing.nearest_shore(_water(sea, grid.side), sea["plume"]["centre"])
            patch = standing.patch(grid.side, spacing, centre, radius=sea["plume"]["radius"])
            shape[:] = sea["plume"]["heating"] / DAY * patch
    return grid.transform(torch.from_numpy(shapes).to(grid.device))


def _drift(seas: list[dict[str, Any]], days: int, random: torch.Generator) -> Tensor:
    """Return the wind drift of each day, m/s, (n, days, 2), zero in seas without."""
    parts = [sea.get("drift", {"speed": 0.0, "memory": 1.0}) for sea in seas]
    speed = _values([part["speed"] / 2**0.5 for part in parts], random.device)[:, None, None]
    memory = [part["memory"] for part in parts]
    east, north = (torch.stack(list(islice(_autoregression(memory, random), days)), 1) for _ in range(2))
    return speed * torch.stack([east, north], -1)


def _autoregression(memory: list[float], random: torch.Generator) -> Iterator[Tensor]:
    """Yield a number of unit variance a sea, of one day after another, (n,), correlated as e^(−days / memory)."""
    kept = torch.exp(-1 / _values(memory, random.device))
    value = torch.randn(len(memory), generator=random, device=random.device)
    while True:
        yield value
        fresh = torch.randn(len(memory), generator=random, device=random.device)
        value = kept * value + (1 - kept**2) ** 0.5 * fresh


def _smooth(seas: list[dict[str, Any]], grid: Grid, flow: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return Gaussian anomalies of unit variance, (n, days, side, side), and what stays in place."""
    days, side = flow.shape[1], grid.side // MARGIN
    total = torch.zeros(len(seas), days, side, side, device=grid.device)
    resting = torch.zeros(len(seas), side, side, device=grid.device)
    parts = [sea["gaussian"] for sea in seas]
    small = _values([part["small_share"] for part in parts], grid.device)[:, None, None, None]
    for scale, (share, speed) in enumerate(((small, 1.0), (1 - small, LARGE_DRIFT))):
        names = ("length", "time", "smoothness", "stretch")
        term = Term(*(_values([part[name][scale] for part in parts], grid.device) for name in names))
        field = torch.empty_like(total)
        for day, spectrum in enumerate(gaussian_spectra(grid, term, iter((speed * flow).unbind(1)), random)):
            field[:, day] = grid.inverse(spectrum)[:, :side, :side]
        anomaly, still = _parted(field, torch.zeros_like(resting))
        total += share**0.5 * anomaly
        resting += share[:, 0] ** 0.5 * still
    return total, resting


def _add_idle(seas: list[dict[str, Any]], grid: Grid, random: torch.Generator, current: Tensor) -> None:
    """Add to the currents the eddies that carry no temperature."""
    if not any("idle" in sea for sea in seas):
        return
    parts = [sea.get("idle", {"speed": 0.0, "length": 50e3, "time": 10.0}) for sea in seas]
    length, time, speed = (
        _values([part[name] for part in parts], grid.device) for name in ("length", "time", "speed")
    )
    term = Term(length, time, torch.full_like(length, IDLE_SMOOTHNESS), torch.ones_like(length))
    turn = torch.stack([-1j * grid.north, 1j * grid.east], 1)
    power = (grid.k * term.filter(grid)).square() * grid.columns
    scale = speed / (power.sum((-2, -1)) / grid.side**2).sqrt()
    still = (torch.zeros(len(seas), 2, device=grid.device) for _ in range(current.shape[1]))
    side = current.shape[-1]
    for day, stream in enumerate(gaussian_spectra(grid, term, still, random)):
        velocity = grid.inverse(turn * (scale[:, None, None] * stream)[:, None])[..., :side, :side]
        current[:, day] += velocity.half()


def departures(field: Tensor) -> Tensor:
    """Return what a climatology and the recent mean of the basin leave of fields without gaps.

    Parameters
    ----------
    field
        (n, days, lat, lon); used up.
    """
    anomaly = field.sub_(field.mean(1, keepdim=True))
    day = torch.arange(field.shape[1], device=field.device)
    weights = (1 - (day - day[:, None]).abs() / (RECENT_DAYS + 1)).clamp(min=0)
    recent = anomaly.mean((-2, -1)) @ (weights / weights.sum(0))
    return anomaly.sub_(recent[:, :, None, None])


def scaled(field: Tensor) -> tuple[Tensor, Tensor]:
    """Return fields each of a root mean square of one, and what it was, (n, 1, 1, 1); the argument is used up."""
    std = field.square().mean((1, 2, 3), keepdim=True).sqrt()
    return field.div_(std), std


def _values(values: list[Any], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=device)
