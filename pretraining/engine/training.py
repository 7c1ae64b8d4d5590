"""The training of a network of all days, on windows that are made as they are used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.beginning import widened
from engine.samples import Windows
from engine.whole import write_whole
from sereno.nets.alldays import AllDays, Design

HIDDEN, OBSERVED = 1.0, 0.25
"""Weights of cells that are not seen, and that are."""
DAYS = (0.3,) * 5 + (1.5,) * 5 + (0.7,) * 4 + (2.0,)
"""Weight of each day of a window: the middle ones are answered in delayed mode, the last in near real time, those
between at the end of a record."""
FAR, NEAR = 0.3, 3
"""Weight of days further than this many from the reference day of a window that follows the currents; 1 of others."""
FLOOR = 0.02
"""Least mean square of a first guess's error that a sample's loss is divided by."""
LIKELIHOOD = 0.1
"""Weight of the likelihood, which trains the standard deviation, in addition to the squared error."""
FIRST_PASS = 0.3
"""Weight of the first of several passes; that of the last is 1."""
FLOW, SLOWEST = 0.05, 0.05
"""Weight of the flow, whose squared error is taken over its mean square or this, in squared cells a day."""
CLIP = 1.0
AVERAGING = 0.9995
WARM_UP = 300


@dataclass(frozen=True)
class Plan:
    """How a network is trained.

    Attributes
    ----------
    batch
        Windows of a step.
    rate
        Step size of AdamW.
    seconds, fall
        Length of the training; the step size falls to zero over the last `fall` of it. None keeps it.
    uses
        How often a window is used, turned another way each time.
    kept
        Windows that are drawn from.
    central
        Teach the central day alone.
    """

    batch: int = 8
    rate: float = 1e-3
    seconds: float | None = None
    fall: float = 0.25
    uses: int = 2
    kept: int = 192
    central: bool = False


def loss_of(network: AllDays, windows: Windows, *, central: bool = False) -> tuple[Tensor, dict[str, float]]:
    """Return the loss of windows, and what is logged: the loss, and the error over that of the first guess."""
    names = ("values", "guess", "truth", "spread", "flow")
    values, guess, truth, spread, flow = (getattr(windows, name).float() for name in names)
    answer = network.answer(values, guess, windows.water, spread, windows.scalars)
    weight = weights_of(windows)
    if central:
        weight[:, torch.arange(weight.shape[1]) != weight.shape[1] // 2] = 0
    known = torch.where(weight > 0, truth, 0.0)
    hidden = weight * ~torch.isfinite(values)
    before = _mean((guess - known).square(), hidden)
    # A window counts by how much better than its first guess it is answered, be its sea rough or smooth.
    worth = 1 / before.clamp(min=FLOOR)
    squares = [(mean - known).square() for mean in answer.means]
    shares = torch.linspace(FIRST_PASS, 1.0, len(squares)).tolist() if len(squares) > 1 else [1.0]
    errors = sum(
        share * (worth * _mean(square, weight)).mean() for share, square in zip(shares, squares, strict=True)
    )
    doubt = answer.log_std + 0.5 * squares[-1].detach() * torch.exp(-2 * answer.log_std)
    loss = errors / sum(shares) + LIKELIHOOD * _mean(doubt, weight).mean()
    if answer.flow is not None:
        sure = torch.isfinite(flow).float()
        misses = _mean((answer.flow[-1] - torch.nan_to_num(flow)).square(), sure)
        loss = loss + FLOW * (misses / _mean(torch.nan_to_num(flow).square(), sure).clamp(min=SLOWEST)).mean()
    ratio = (_mean(squares[-1], hidden) / before.clamp(min=1e-6)).clamp(min=1e-6).sqrt().log().mean().exp()
    return loss, {"loss": loss.item(), "ratio": ratio.item()}


def _mean(field: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted mean of each window, (n,); 0 where nothing has a weight."""
    return (weight * field).flatten(1).sum(1) / weight.flatten(1).sum(1).clamp(min=1)


def weights_of(windows: Windows) -> Tensor:
    """Return the weight of each cell, float32 (n, days, lat, lon)."""
    seen = torch.isfinite(windows.values)
    weight = torch.where(seen, OBSERVED, HIDDEN) * (windows.water[:, None] & torch.isfinite(windows.truth))
    of_days = torch.tensor(DAYS, device=weight.device)
    lag = (torch.arange(len(of_days), device=weight.device) - windows.reference[:, None]).abs()
    followed = torch.where(lag > NEAR, FAR, 1.0)
    return weight * torch.where((windows.reference < 0)[:, None], of_days, followed)[:, :, None, None]


def turned(windows: Windows, generator: torch.Generator) -> Windows:
    """Return windows rotated, mirrored, of either sign, which is as likely a sea; all alike but the sign."""
    lot = torch.rand(3, generator=generator) < 0.5
    axes = [axis for axis, flip in zip((-2, -1), lot[:2].tolist(), strict=True) if flip]
    sign = (2.0 * (torch.rand(len(windows), generator=generator) < 0.5) - 1).to(windows.values)[:, None, None, None]

    def turn(maps: Tensor) -> Tensor:
        maps = maps.flip(axes) if axes else maps
        return maps.transpose(-2, -1).contiguous() if lot[2] else maps

    parts = {name: turn(getattr(windows, name)) for name in ("values", "guess", "truth", "water", "spread", "flow")}
    for name in ("values", "guess", "truth"):
        parts[name] = parts[name] * sign
    east, north = parts["flow"].unbind(2)
    east, north = (-east if -1 in axes else east), (-north if -2 in axes else north)
    parts["flow"] = torch.stack([north, east] if lot[2] else [east, north], 2)
    return replace(windows, **parts)


class Pool:
    """Windows that are drawn from: each is used a few times, then others take its place."""

    def __init__(self, chunks: Iterator[tuple[Windows, int]], plan: Plan, generator: torch.Generator) -> None:
        self._chunks, self._plan, self._generator = chunks, plan, generator
        self._held: list[Windows] = []
        self._uses: list[int] = []
        self.made = self.block = 0

    def batch(self) -> Windows:
        """Return the next windows to learn from."""
        while len(self._held) < self._plan.kept:
            chunk, self.block = next(self._chunks)
            self.made += len(chunk)
            self._held += [chunk[slice(k, k + 1)] for k in range(len(chunk))]
            self._uses += [0] * len(chunk)
        places = torch.randperm(len(self._held), generator=self._generator)[: self._plan.batch].tolist()
        taken = Windows.joined([self._held[place] for place in places])
        for place in sorted(places, reverse=True):
            self._uses[place] += 1
            if self._uses[place] >= self._plan.uses:
                del self._held[place], self._uses[place]
        return turned(taken, self._generator)


class Training:
    """A network, its optimiser and its averaged weights; a checkpoint holds all three."""

    def __init__(self, design: Design, plan: Plan, device: str, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.design, self.plan, self.device = design, plan, device
        self.network = AllDays(design).to(device)
        self.averaged = AllDays(design).to(device)
        self.averaged.load_state_dict(self.network.state_dict())
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=plan.rate, weight_decay=1e-3, betas=(0.9, 0.99)
        )
        self.step, self.spent, self.block = 0, 0.0, 0

    def rate(self) -> float:
        """Return the step size of the next step."""
        rate = self.plan.rate * min(1.0, (self.step + 1) / WARM_UP)
        if self.plan.seconds is not None:
            left = 1 - self.spent / self.plan.seconds
            rate *= min(1.0, max(left, 0.0) / self.plan.fall)
        return rate

    def learn(self, windows: Windows) -> dict[str, float]:
        """Take a step; return what is logged."""
        self.network.train()
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        kind = torch.device(self.device).type
        with torch.autocast(kind, dtype=torch.bfloat16):
            loss, logged = loss_of(self.network, windows, central=self.plan.central)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        if torch.isfinite(norm):
            self.optimiser.step()
        self.step += 1
        decay = min(AVERAGING, self.step / (self.step + 20))
        with torch.no_grad():
            for mean, now in zip(self.averaged.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(now, 1 - decay)
        return logged

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        state = {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "counts": [self.step, self.spent, self.block],
        }
        write_whole(weights_of_network(self.averaged) | state, path)

    def load(self, path: Path) -> None:
        """Continue from a checkpoint.

        Raises
        ------
        ValueError
            If it is of another network.
        """
        state = torch.load(path, map_location=self.device, weights_only=True)
        if Design(**state["design"]) != self.design:
            raise ValueError(f"{path} is of another network, {state['design']}: train this one in another folder")
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.spent, self.block = state["counts"]

    def begin(self, path: Path) -> None:
        """Begin with weights, or the averaged ones of a checkpoint, of a network no wider."""
        weights = widened(read_network(path).state_dict(), self.network)
        self.network.load_state_dict(weights)
        self.averaged.load_state_dict(weights)


def weights_of_network(network: AllDays) -> dict[str, Any]:
    """Return what a file of weights holds."""
    return {"design": network.design.values(), "averaged": network.state_dict()}


def read_network(path: Path) -> AllDays:
    """Return the network of a file of weights, or the averaged one of a checkpoint."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    network = AllDays(Design(**state["design"]))
    network.load_state_dict(state["averaged"])
    return network.eval()
