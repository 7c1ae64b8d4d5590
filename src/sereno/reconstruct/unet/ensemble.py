"""The training of the networks that correct a first guess, and the weights that come with the package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.resources import files

import torch
import xarray as xr
from safetensors.numpy import load as load_tensors
from torch import Tensor

from sereno.config import UNet
from sereno.errors import InputError
from sereno.nets.corrector import corrector
from sereno.progress import Progress
from sereno.reconstruct.oi_grid.regions import Region
from sereno.reconstruct.unet.cache import Drawings, Kept
from sereno.reconstruct.unet.first_guess import FirstGuess
from sereno.reconstruct.unet.samples import Pool, days_drawn, pool
from sereno.training.archive import split
from sereno.training.windows import Drawn, windows_of_epoch

WEIGHTS = {"all-days": "unet-all-days.safetensors", "central-day": "unet.safetensors"}
"""Weights that come with the package, in `sereno.data`."""


def packaged(config: UNet) -> dict[str, Tensor]:
    """Return the weights that come with the package; fresh ones of what their network has not.

    Raises
    ------
    InputError
        If they are of another size.
    """
    held = load_tensors((files("sereno.data") / WEIGHTS[config.network]).read_bytes())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weights = corrector(config).state_dict()
    if any(name not in weights or weights[name].shape != array.shape for name, array in held.items()):
        default = UNet(network=config.network)
        raise InputError(
            f"model.weights: those of the package are of a network with window {default.window} and widths "
            f'{list(default.levels)}; keep to these, or set model.weights to "fresh" and train with fit'
        )
    return weights | {name: torch.from_numpy(array).float() for name, array in held.items()}


def train_members(
    cube: xr.Dataset,
    valid: xr.Dataset | None,
    config: UNet,
    guess: FirstGuess,
    *,
    kept: Kept,
    seed: int,
    max_minutes: float | None,
    progress: Progress,
) -> tuple[list[dict[str, Tensor]], list[dict[str, float]]]:
    """Train the members, each on windows of its own."""
    from sereno.training.train import train_on  # with Lightning, for which whoever fills need not wait

    region, archives = Region.of(cube), split(cube, config, valid=valid)
    make = partial(pool, guess=guess, region=region, config=config)
    drawing = replace(config, window=days_drawn(config))
    validating = Drawn(archives[1], drawing, seed, config.validation_windows, fixed=True)
    fixed = kept.samples("validation", lambda: make(validating.of_epoch(0), seed=seed))
    if not fixed:
        raise InputError("the validation days have too few observations to hide some of them")
    weights, history = [], []
    for member in range(config.members):
        name, report = f"member-{member}", _of_member(progress, member, config.members)
        drawn = Drawn(archives[0], drawing, seed + member, config.windows_kept)
        samples = kept.samples(f"{name}/samples", partial(_samples, make, drawn, seed + member, report))
        trained = train_on(
            Pool(samples, windows_of_epoch(config), seed + member),
            Pool(fixed),
            config,
            scale=1.0,
            seed=seed + member,
            weights=None if config.weights == "fresh" else packaged(config),
            folder=None if kept.folder is None else kept.folder / name,
            resume=kept.resume,
            max_minutes=None if max_minutes is None else max_minutes / config.members,
            progress=report,
        )
        weights.append(trained.weights)
        history += [{"member": member, **epoch} for epoch in trained.history]
    return weights, history


def _samples(make: Callable[..., Drawings], drawn: Drawn, seed: int, progress: Progress) -> Drawings:
    """Make the training samples of a member."""
    windows = [window for window in drawn.of_epoch(0) if window.hidden.any()]
    return make(windows, seed=seed, progress=lambda done: progress("first guesses", done / len(windows)))


def _of_member(progress: Progress, member: int, members: int) -> Progress:
    """Return a progress that says which member is at work, if there are several."""
    if members == 1:
        return progress
    return lambda stage, fraction: progress(f"{stage}, member {member + 1} of {members}", fraction)
