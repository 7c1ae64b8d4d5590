"""Write weights for a training to begin with: those of the package's network that answers the central day alone.

Usage: ``python pretraining/begin.py FILE``, for ``pretraining/pretrain.py --start FILE``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from engine.beginning import widened
from engine.training import weights_of_network
from engine.whole import write_whole
from sereno.config import UNet
from sereno.nets.alldays import ONCE, AllDays, Design
from sereno.nets.corrector import LAGS
from sereno.reconstruct.unet.ensemble import packaged


def of_central_network(weights: dict[str, Tensor], network: AllDays) -> dict[str, Tensor]:
    """Return weights with which a network of all days answers the central day as another network does.

    It answers the first guess on all other days.

    Parameters
    ----------
    weights
        Of a `sereno.nets.corrector.Corrector` of the same window, and no wider on any level.
    network
        With the days as channels.
    """
    design = network.design
    widths = tuple(len(weights[f"network.down.{level}.first.bias"]) for level in range(len(design.widths)))
    return widened(_of_all_days(weights, AllDays(replace(design, widths=widths))), network)


def _of_all_days(weights: dict[str, Tensor], network: AllDays) -> dict[str, Tensor]:
    """Return the same for a network of the same widths."""
    window, half = network.design.window, network.design.window // 2
    state = network.state_dict()
    for name, weight in weights.items():
        if not name.startswith(("network.enter.weight", "network.leave")):
            state[f"network.{name}"] = weight.clone()
    before = weights["network.enter.weight"]
    departure, seen, guess, once, rest = _parted(before, window)
    of_days = torch.zeros(len(before), window, 3, 3)
    of_days[:, half] = guess[:, 0] - guess[:, 1:].sum(1)
    for place, lag in enumerate(LAGS):
        of_days[:, half - lag] = guess[:, 1 + 2 * place]
        of_days[:, half + lag] = guess[:, 2 + 2 * place]
    enter = torch.zeros_like(state["network.network.enter.weight"])
    after_days = enter.shape[1] - 2 * ONCE - rest.shape[1] - 1
    enter[:, : 3 * window] = torch.cat([departure, seen, of_days], 1)
    enter[:, after_days : after_days + ONCE] = once
    enter[:, after_days + 2 * ONCE : -1] = rest
    state["network.network.enter.weight"] = enter
    for part in ("weight", "bias"):
        leave = torch.zeros_like(state[f"network.network.leave.{part}"])
        mean, log_std = weights[f"network.leave.{part}"]
        leave[half] = mean
        leave[window : 2 * window] = log_std
        state[f"network.network.leave.{part}"] = leave
    return state


def _parted(enter: Tensor, window: int) -> tuple[Tensor, ...]:
    """Return the weights of departures, masks, guesses, nearest departures, and of all that holds for all days."""
    sizes = [window, window, 1 + 2 * len(LAGS), ONCE]
    return enter.split([*sizes, enter.shape[1] - sum(sizes)], 1)


def main() -> None:
    """Write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    config = UNet(network="central-day")
    network = AllDays(Design(widths=config.levels))
    network.load_state_dict(of_central_network(packaged(config), network))
    write_whole(weights_of_network(network), parser.parse_args().file)


if __name__ == "__main__":
    main()
