"""What each idea of the network that corrects a first guess is worth.

Usage: ``python benchmarks/ablation.py SHARDS BENCH [--epochs N] [--variants …] [--seas …] [--work ablation]
[--document FILE]``, with a folder of shards (``pretraining/guesses.py``) and the folder of `tasmania_l3.nc`. Every
variant is trained from fresh weights on the same shards for as many steps, with half the channels of the packaged
network, and then used as it is on the scored days of seas that it never saw. What is there in the working folder is
not done again. The table is printed and written into the document between its markers.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

import sereno
from leaderboard import Sea, ranged, seas, write
from pretrain import Shards
from sereno.config import ConvLSTMUNet, UNet, configure_at_once
from sereno.learners import Learner, learner_of
from sereno.losses import gaussian_nll, masked_mse
from sereno.nets.corrector import Corrector, corrector
from sereno.training import train_on
from sereno.workflow import Model

BASE, GUESS = "all of it", "first guess alone"
WINDOW = 15
WIDTHS = (24, 40, 64, 80)
"""Half the channels of the default: a quarter of the work."""
Loss = Callable[[nn.Module, list[Tensor], int], tuple[Tensor, float]]


class Without(nn.Module):
    """A corrector that is not shown some channels, or some days, or the first guess."""

    def __init__(self, whole: Corrector, channels: slice, *, days: int = WINDOW, guess: bool = True) -> None:
        super().__init__()
        self.whole, self.channels, self.days, self.guess = whole, channels, days, guess

    def forward(self, values: Tensor, guess: Tensor, *about: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the corrector does of what is left."""
        cut = (values.shape[1] - self.days) // 2
        outside = torch.ones(values.shape[1], dtype=torch.bool)
        outside[cut : values.shape[1] - cut] = False
        values = values.masked_fill(outside[:, None, None], torch.nan)
        guess = guess if self.guess else torch.zeros_like(guess)
        whole = self.whole.network
        self.whole.network = _Blind(whole, self.channels)
        try:
            result: tuple[Tensor, Tensor] = self.whole(values, guess, *about)
        finally:
            self.whole.network = whole
        return result


class _Blind(nn.Module):
    """A network of which some of the input is put to zero."""

    def __init__(self, network: nn.Module, channels: slice) -> None:
        super().__init__()
        self.network, self.channels = network, channels

    def forward(self, maps: Tensor, days: Tensor) -> Tensor:
        """Return the network's answer."""
        maps = maps.clone()
        maps[:, self.channels] = 0
        return torch.as_tensor(self.network(maps, days))


def squared_error(network: nn.Module, batch: list[Tensor], done: float) -> tuple[Tensor, float]:
    """Return the squared error over the cells that have a weight, each alike."""
    *inputs, truth, weight, _ = batch
    return masked_mse(network(*inputs)[0], truth, weight > 0), max(float(weight.sum()), 1.0)


def likelihood(network: nn.Module, batch: list[Tensor], done: float) -> tuple[Tensor, float]:
    """Return the Gaussian likelihood as it is, from the first step on."""
    *inputs, truth, weight, noise = batch
    mean, log_std = network(*inputs)
    loss = gaussian_nll(mean, torch.exp(2 * log_std) + noise[:, None, None], truth, weight)
    return loss, max(float(weight.sum()), 1.0)


@dataclass(frozen=True)
class Variant:
    """A network and its training: a configuration, and what is different of the learner."""

    config: UNet = field(default_factory=partial(UNet, widths=WIDTHS))
    wrap: Callable[[Corrector], nn.Module] = lambda whole: whole
    loss: Loss | None = None
    averaged: bool = True
    seed: int = 0

    def learner(self) -> Learner:
        """Return what is trained."""
        torch.manual_seed(self.seed)
        usual = learner_of(self.config)
        network = self.wrap(corrector(self.config))
        averaging = usual.averaging if self.averaged else None
        return replace(usual, network=network, loss=self.loss or usual.loss, averaging=averaging)


def variants() -> dict[str, Variant]:
    """Return the variants by name."""
    first = 2 * WINDOW + 9  # after departures, masks, and the first guess of nine days
    nothing = slice(0, 0)
    return {
        BASE: Variant(),
        "no first guess": Variant(wrap=partial(Without, channels=nothing, guess=False)),
        "no lag channels": Variant(wrap=partial(Without, channels=slice(first, first + 4))),
        "no masks": Variant(wrap=partial(Without, channels=slice(WINDOW, 2 * WINDOW))),
        "nothing told of the whole": Variant(wrap=partial(Without, channels=slice(first + 7, None))),
        "7 days": Variant(wrap=partial(Without, channels=nothing, days=7)),
        "3 days": Variant(wrap=partial(Without, channels=nothing, days=3)),
        "squared error": Variant(loss=squared_error),
        "plain likelihood": Variant(loss=likelihood),
        "weights not averaged": Variant(averaged=False),
        "two passes": Variant(UNet(widths=WIDTHS, passes=2)),
        "attention": Variant(UNet(widths=WIDTHS, attention=True)),
        "convlstm-unet": Variant(ConvLSTMUNet(widths=WIDTHS)),
        "another seed": Variant(seed=1),
    }


def trained(variant: Variant, shards: Path, folder: Path, epochs: int) -> nn.Module:
    """Train a variant, or take up its weights."""
    learner, path = variant.learner(), folder / "weights.pt"
    if not path.exists():
        config = replace(variant.config, max_epochs=epochs, patience=epochs, steps_per_epoch=200, learning_rate=8e-4)
        training = Shards(shards, config.steps_per_epoch * config.batch_size, 1)
        validation = Shards(shards, 320, 2, fixed=True)
        found = train_on(training, validation, config, scale=1.0, learner=learner, folder=folder, resume=True)
        torch.save(found.weights, path)
    learner.network.load_state_dict(torch.load(path, weights_only=True))
    return learner.network.eval()


def scored(sea: Sea, networks: dict[str, tuple[nn.Module, ...]]) -> dict[str, Any]:
    """Return the scores of networks on a sea, all with the same first guess; that of fresh weights is the guess."""
    cube = sea.open().load()
    period = {name: value for name in ("train", "valid") if (value := getattr(sea, name)) is not None}
    base = sereno.fit(cube, configure_at_once("unet", **period))
    models: dict[str, Model] = {}
    for name, members in {GUESS: (corrector(UNet()).eval(),), **networks}.items():
        inner = replace(base.reconstructor.inner, networks=members)
        models[name] = replace(base, reconstructor=replace(base.reconstructor, inner=inner))
    # The referee scores models as they are when loaded again, but networks that lack something have no saved form.
    with patch("sereno.scoring._as_saved", lambda model: model.reconstructor):
        found = sereno.evaluate(cube, models, days=sea.scored, relative_to=GUESS).scores
    return dict(found["truth"]["methods"])


def table(results: dict[str, dict[str, Any]]) -> list[str]:
    """Return the ratios of RMSE to that of the first guess, by variant and sea, best first in the mean."""
    names = [name for name in next(iter(results.values())) if name not in ("climatology", GUESS)]
    mean = {name: float(np.mean([rows[name]["ratio"]["rmse"] for rows in results.values()])) for name in names}
    lines = [["variant", *results, "mean"], ["---"] * (len(results) + 2)]
    for name in sorted(names, key=mean.__getitem__):
        ratios = (rows[name]["ratio"] for rows in results.values())
        lines.append([name, *(ranged(r["rmse"], r["rmse_interval"]) for r in ratios), f"{mean[name]:.3f}"])
    return [f"| {' | '.join(line)} |" for line in lines]


def main() -> None:
    """Train, score, print, and write."""
    known = variants()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=Path)
    parser.add_argument("bench", type=Path)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--variants", nargs="+", choices=list(known), default=list(known))
    parser.add_argument("--seas", nargs="+", default=["tasmania", "twin-1", "twin-2", "twin-3"])
    parser.add_argument("--work", type=Path, default=Path("ablation"))
    parser.add_argument("--document", type=Path, help="write the table into this file too")
    options = parser.parse_args()
    networks: dict[str, tuple[nn.Module, ...]] = {}
    for name in options.variants:
        folder = options.work / name.replace(" ", "-")
        networks[name] = (trained(known[name], options.shards, folder, options.epochs),)
        print(f"{name}: trained", flush=True)
    if {BASE, "another seed"} <= set(networks):
        networks["two members"] = networks[BASE] + networks["another seed"]
    results = {}
    for name in options.seas:
        path = options.work / f"{name}.json"
        if not path.exists():
            path.write_text(json.dumps(scored(seas(options.bench)[name], networks)))
        results[name] = json.loads(path.read_text())
    lines = table(results)
    print("\n".join(lines))
    if options.document:
        write(options.document, lines)


if __name__ == "__main__":
    main()
