"""Compare weights on the shards that validate: how much better than the first guess they make what is hidden.

Usage: ``python pretraining/validate.py SHARDS WEIGHTS…``. For each file, and where there are several for the average
of their weights and the mean of their estimates: the RMSE of hidden cells by that of the first guess, the geometric
mean over samples of the same ratio, and the negative
logarithm of the likelihood. The last line of each is of its estimates and those from the
same sample with all signs turned.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from pretrain import HIDDEN, Shards
from sereno.config import UNet
from sereno.losses import gaussian_nll
from sereno.nets.corrector import corrector

SAMPLES, BATCH, FEWEST = 256, 16, 50
"""Samples, how many at once, and hidden cells that a sample must have."""
Estimate = Callable[..., tuple[Tensor, Tensor]]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=Path)
    parser.add_argument("weights", type=Path, nargs="+")
    asked = parser.parse_args()
    each = {str(path): load_file(path) for path in asked.weights}
    networks = {name: network(weights) for name, weights in each.items()}
    shown: dict[str, Estimate] = dict(networks)
    if len(each) > 1:
        several = list(each.values())
        shown["average of the weights"] = network(
            {k: torch.stack([one[k] for one in several]).mean(0) for k in several[0]}
        )
        shown["mean of the estimates"] = partial(together, list(networks.values()))
    print("| weights | RMSE by that of the first guess | geometric mean | negative log-likelihood |")
    print("| --- | --- | --- | --- |")
    for name, estimate in shown.items():
        print(line(name, estimate, asked.shards), flush=True)
        print(line("… and with signs turned", partial(turned, estimate), asked.shards), flush=True)


def network(weights: dict[str, Tensor]) -> nn.Module:
    """Return the network of the package with other weights."""
    made = corrector(UNet())
    made.load_state_dict(weights)
    return made.eval()


def together(estimates: Sequence[Estimate], *inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of several estimates, and of their logarithms of the standard deviation."""
    means, logarithms = zip(*(estimate(*inputs) for estimate in estimates), strict=True)
    return torch.stack(means).mean(0), torch.stack(logarithms).mean(0)


def turned(estimate: Estimate, values: Tensor, guess: Tensor, *about: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of an estimate and of that from the same sample with all signs turned."""
    mean, logarithm = estimate(values, guess, *about)
    opposite, other = estimate(-values, -guess, *about)
    return (mean - opposite) / 2, (logarithm + other) / 2


def line(name: str, estimate: Estimate, shards: Path) -> str:
    """Return a line of the table."""
    samples = list(Shards(shards, SAMPLES, 2, fixed=True).of_epoch(0))
    errors, likelihoods = [], []
    for first in range(0, SAMPLES, BATCH):
        parts = zip(*samples[first : first + BATCH], strict=True)
        *inputs, truth, weight, _ = (torch.from_numpy(np.stack(part)) for part in parts)
        with torch.inference_mode():
            mean, logarithm = estimate(*inputs)
        guess = inputs[1][:, inputs[1].shape[1] // 2]
        for place, hidden in enumerate(weight == HIDDEN):
            if hidden.sum() < FEWEST:
                continue
            pair = [float((field[place] - truth[place])[hidden].square().mean()) for field in (mean, guess)]
            errors.append(pair)
            variance = torch.exp(2 * logarithm[place])
            likelihoods.append(float(gaussian_nll(mean[place], variance, truth[place], hidden.float())))
    found = np.array(errors)
    whole = np.sqrt(found[:, 0].mean() / found[:, 1].mean())
    typical = np.exp(0.5 * np.log(found[:, 0] / found[:, 1]).mean())
    return f"| {name} | {whole:.3f} | {typical:.3f} | {np.mean(likelihoods):.3f} |"


if __name__ == "__main__":
    main()
