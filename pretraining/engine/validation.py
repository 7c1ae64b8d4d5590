"""Errors on seas that no training sees, by kind of sea, in delayed mode and in near real time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from engine.currents import Quality
from engine.randomness import generator
from engine.samples import WINDOW, Sampler, Windows
from engine.seas import SeaStream
from engine.whole import write_whole
from sereno.nets.alldays import AllDays

SEED, SEAS, WINDOWS = 900_001, 24, 6
"""Of the stream of seas; seas of it; windows of each, with and without currents."""
QUALITY = Quality(150.0, 7.0, 0.2)
"""Currents about as altimetry resolves them."""
SLOTS = {"delayed": WINDOW // 2, "nrt": WINDOW - 1}
BATCH = 6


@dataclass
class Validation:
    """Windows of seas of each kind."""

    kinds: list[str]
    windows: list[Windows]

    @classmethod
    def kept(cls, path: Path, device: str) -> Validation:
        """Return those that a file keeps; make them and write it where there is none."""
        if not path.exists():
            made = cls.made(device)
            parts = [[part.cpu() for part in windows.parts()] for windows in made.windows]
            write_whole({"kinds": made.kinds, "windows": parts}, path)
        held = torch.load(path, weights_only=True)
        return cls(held["kinds"], [Windows(*parts).to(device) for parts in held["windows"]])

    @classmethod
    def made(cls, device: str) -> Validation:
        """Make the windows."""
        seas = SeaStream(SEED, SEAS, device=device).next()
        kinds, windows = [], []
        for followed in (0.0, 1.0):
            days = tuple(SLOTS.values())
            sampler = Sampler(count=WINDOWS, followed=followed, wrong=0.0, references=days, quality=QUALITY)
            for number, kind in enumerate(seas.kind):
                kinds.append(kind + (" with currents" if followed else ""))
                windows.append(sampler.windows(seas, number, generator(SEED, number, device=device)))
        return cls(kinds, windows)

    @torch.inference_mode()
    def sums(self, network: AllDays) -> Tensor:
        """Return squared errors of network and first guess at hidden cells, and their number, (seas, modes, 3)."""
        network.eval()
        found = [
            [
                _squares(network, windows[(windows.reference == day) | (windows.reference < 0)], day)
                for day in SLOTS.values()
            ]
            for windows in self.windows
        ]
        return torch.stack([torch.stack(of_modes) for of_modes in found])

    def errors(self, network: AllDays) -> list[dict[str, object]]:
        """Return the root mean squares of the errors at hidden cells, by kind of sea and mode."""
        sums, rows = self.sums(network), list[dict[str, object]]()
        for kind in dict.fromkeys(self.kinds):
            chosen = torch.tensor([other == kind for other in self.kinds])
            for mode, (of_network, of_guess, cells) in zip(SLOTS, sums[chosen].sum(0).tolist(), strict=True):
                error, guess = math.sqrt(of_network / cells), math.sqrt(of_guess / cells)
                rows.append({"kind": kind, "mode": mode, "error": error, "guess": guess, "ratio": error / guess})
        return rows


def _squares(network: AllDays, windows: Windows, day: int) -> Tensor:
    """Return the sums of squared errors of network and first guess on a day, and the number of hidden cells."""
    total = torch.zeros(3, dtype=torch.float64)
    for first in range(0, len(windows), BATCH):
        part = windows[slice(first, first + BATCH)]
        values, guess, truth, spread = (p.float() for p in (part.values, part.guess, part.truth, part.spread))
        with torch.autocast(values.device.type, dtype=torch.bfloat16):
            mean = network(values, guess, part.water, spread, part.scalars)[0]
        hidden = (~torch.isfinite(values) & part.water[:, None] & torch.isfinite(truth))[:, day]
        errors = [(field - truth)[:, day][hidden].double().square().sum() for field in (mean, guess)]
        total += torch.stack([*errors, hidden.sum().double()]).cpu()
    return total
