"""Seas without end, many at a time, on any device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine.coasts import coasts
from engine.family import describe_sea
from engine.runs import Run, make_run

RUN_DAYS = 300
"""Days of each sea: long enough for a mean of each cell, short enough that many seas are seen."""


@dataclass
class Seas:
    """A block of consecutive days of each of different seas, tensors on one device.

    Attributes
    ----------
    anomaly
        True anomalies, float32 (batch, days, side, side), over land as well. Mean of each cell and recent mean of
        the basin are taken off, and the root mean square is 1, over the whole run of a sea, not over the block.
    current
        Flow that altimetry could see (eddies, jets, streams, mean flow), m/s, eastward and northward, float16
        (batch, days, 2, side, side).
    drift
        Uniform wind drift that moves the water as well but that altimetry does not see, m/s, float32
        (batch, days, 2).
    spacing
        Height and width of a cell, km, float32 (batch, 2).
    water
        The coast along which a sea flows, bool (batch, side, side); all True in seas that know no coast.
    resting
        What stays in place in addition to the anomalies, in their unit: water takes the sum of the two along, float32
        (batch, side, side).
    kind
        Of each sea, one of `engine.family.KINDS`.
    parameters
        What was drawn of each sea, for JSON.
    """

    anomaly: Tensor
    current: Tensor
    drift: Tensor
    spacing: Tensor
    water: Tensor
    resting: Tensor
    kind: list[str]
    parameters: list[dict[str, Any]]


@dataclass
class _Group:
    """Seas that are replaced at the same time."""

    run: Run
    number: int
    parameters: list[dict[str, Any]]


class SeaStream:
    """Blocks of seas, one after another without end; block n follows from the seed and n alone.

    Each sea lives for as many blocks as its run holds. The seas are replaced by turns, so that each block costs the
    same but for the first, for which all are made.

    Parameters
    ----------
    seed
        Of everything.
    count
        Seas in a block.
    days, side
        Days of a block, and cells along either side.
    run_days
        Days of each sea in all; those that fill no block are left out.
    device
        On which the seas are made and lie. Random numbers differ from one kind of device to another.
    start
        Number of the first block.

    Examples
    --------
    >>> stream = SeaStream(1, 1, days=2, side=32, run_days=2)
    >>> stream.next().anomaly.shape
    torch.Size([1, 2, 32, 32])
    """

    def __init__(
        self,
        seed: int,
        count: int,
        *,
        days: int = 60,
        side: int = 128,
        run_days: int = RUN_DAYS,
        device: str | torch.device = "cpu",
        start: int = 0,
    ) -> None:
        if days > run_days:
            raise ValueError(f"a block of {days} days does not fit in a run of {run_days}")
        self.seed, self.count, self.days, self.side = seed, count, days, side
        self.run_days, self.device, self.number = run_days, torch.device(device), start
        self.blocks = run_days // days
        places = torch.arange(count) * self.blocks // count
        self._members = [[int(m) for m in (places == age).nonzero()[:, 0]] for age in range(self.blocks)]
        self._groups: dict[int, _Group] = {}

    def __iter__(self) -> Iterator[Seas]:
        while True:
            yield self.next()

    def next(self) -> Seas:
        """Return the next block."""
        pieces: list[tuple[Run, slice]] = []
        parameters: list[dict[str, Any]] = []
        for age, members in enumerate(self._members):
            if members:
                run, block = divmod(self.number + age, self.blocks)
                group = self._group(age, run)
                pieces.append((group.run, slice(block * self.days, (block + 1) * self.days)))
                parameters += group.parameters
        self.number += 1
        return Seas(
            torch.cat([run.anomaly[:, days] for run, days in pieces]),
            torch.cat([run.current[:, days] for run, days in pieces]),
            torch.cat([run.drift[:, days] for run, days in pieces]),
            torch.tensor([sea["spacing"] for sea in parameters], device=self.device),
            torch.cat([run.water for run, _ in pieces]),
            torch.cat([run.resting for run, _ in pieces]),
            [sea["kind"] for sea in parameters],
            parameters,
        )

    def _group(self, age: int, number: int) -> _Group:
        """Return the group of an age, made if it is not the one at hand."""
        group = self._groups.get(age)
        if group is None or group.number != number:
            self._groups.pop(age, None)  # before the next one is made: on a GPU memory is short
            described = [
                describe_sea(self.seed, number * self.count + member, side=self.side, coasts=len(coasts()))
                for member in self._members[age]
            ]
            run = make_run(described, days=self.run_days, side=self.side, device=self.device, seed=self.seed)
            group = self._groups[age] = _Group(run, number, described)
        return group


def draw(seed: int, count: int, *, days: int = 60, side: int = 128, device: str | torch.device = "cpu") -> Seas:
    """Draw a block of seas: the first of a `SeaStream`."""
    return SeaStream(seed, count, days=days, side=side, run_days=max(days, RUN_DAYS), device=device).next()
