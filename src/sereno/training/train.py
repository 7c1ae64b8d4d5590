"""Fitting a network: the training loop, its best weights, resuming.

Unless the random split of the thesis is asked for, training and validation windows come from separate days with at
least a window between them, so that no day serves both.
"""

from __future__ import annotations

import logging
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np
import torch
import xarray as xr
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, WeightAveraging
from torch import Tensor

from sereno.compute.memory import kept_memory
from sereno.config import ConvLSTM, UNet
from sereno.errors import InputError, file_edge
from sereno.files import require_regular
from sereno.nets.precision import training_precision
from sereno.progress import Progress, silent
from sereno.slurm import step
from sereno.training.archive import split
from sereno.training.checkpoints import Logbook, is_over, state_in
from sereno.training.loading import Data, steps_of
from sereno.training.objectives import Batch, Learner, learner_of
from sereno.training.result import TrainedNetwork, lasting_settings
from sereno.training.samples import Samples
from sereno.training.windows import Encoded, windows_for


class Course(TypedDict, total=False):
    """How a training goes, whatever is trained: see `train_on`."""

    seed: int
    folder: Path | None
    resume: bool
    max_minutes: float | None
    progress: Progress


def train(
    cube: xr.Dataset, config: ConvLSTM, *, valid: xr.Dataset | None = None, **course: Unpack[Course]
) -> TrainedNetwork:
    """Train a network on an anomaly cube.

    Parameters
    ----------
    cube
        Anomaly cube of the training period; read a block of days at a time.
    valid
        Anomaly cube of a separate period to select the best weights on; the last 15 % of the training days, less a
        window's distance, where not given.
    **course
        See `train_on`; the seed is that of the windows, too.

    Raises
    ------
    InputError
        If the record is too short or too empty, or the checkpoint is of a training with other settings.
    """
    archives = split(cube, config, valid=valid)
    spread, observations = archives[0].spread()
    if observations == 0:
        days = archives[0].days
        raise InputError(f"the training days {days[0]} to {days[-1]} hold no observation")
    training, validation = windows_for(*archives, config, seed=course.get("seed", 0))
    scale = spread or 1.0
    samples = [Encoded(windows, config, scale) for windows in (training, validation)]
    trained = train_on(samples[0], samples[1], config, scale=scale, **course)
    return trained._replace(validation=validation)


def train_on(
    training: Samples,
    validation: Samples,
    config: ConvLSTM | UNet,
    *,
    scale: float,
    seed: int = 0,
    weights: dict[str, Tensor] | None = None,
    learner: Learner | None = None,
    folder: Path | None = None,
    resume: bool = False,
    max_minutes: float | None = None,
    progress: Progress = silent,
) -> TrainedNetwork:
    """Train a network on samples, wherever they come from.

    Parameters
    ----------
    scale
        What the samples were divided by.
    weights
        Weights to start from; fresh ones where not given.
    learner
        The network to train, where it is not that of the configuration.
    folder
        Where ``last.ckpt``, ``best.ckpt`` and ``metrics.csv`` are kept.
    resume
        Continue from ``last.ckpt`` in `folder`; where there is none yet, begin.
    max_minutes
        Stop after this many minutes of this call, with the best weights so far.

    Raises
    ------
    InputError
        If the checkpoint is of a training with other settings.
    """
    with (
        tempfile.TemporaryDirectory() if folder is None else nullcontext(folder) as place,
        torch.random.fork_rng(devices=[]),
        kept_memory(),
        _quiet(),
    ):
        folder = Path(place).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        last = folder / "last.ckpt"
        checkpoint = last if resume and last.exists() else None
        held = None if checkpoint is None else _read_checkpoint(checkpoint)
        if held:
            with file_edge(last, _ANEW):
                _check_same_training(held, config, scale, origin=last)
        torch.manual_seed(seed)
        learner = learner or learner_of(config)
        if weights is not None:
            learner.network.load_state_dict(weights)
        steps = steps_of(training, config.batch_size)
        logbook = Logbook(
            folder,
            patience=config.patience,
            steps=steps,
            max_epochs=config.max_epochs,
            max_minutes=max_minutes,
            progress=progress,
        )
        data = Data(training, validation, config.batch_size, done=lambda: logbook.done)
        trainer = _trainer(config, logbook, learner.averaging)
        if held is not None and is_over(held, max_epochs=config.max_epochs, patience=config.patience):
            logbook.load_state_dict(state_in(held))
        else:
            _fit(trainer, _Fitting(learner, config, scale, config.max_epochs * steps, logbook), data, checkpoint)
        best = _read_checkpoint(folder / "best.ckpt")["state_dict"]
    progress("training", 1.0)
    weights = {name.removeprefix("network."): tensor for name, tensor in best.items()}
    return TrainedNetwork(weights, scale, logbook.history)


_ANEW = "damaged? Leave `resume` out to train again"


class _Fitting(LightningModule):
    """The training of one network: its loss and its optimiser."""

    def __init__(self, learner: Learner, config: ConvLSTM | UNet, scale: float, steps: int, logbook: Logbook) -> None:
        super().__init__()
        self.network = learner.network
        self.learner, self.steps, self.logbook = learner, steps, logbook
        self.config = config
        self.scale = scale

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Return the loss of a batch, whose gradients are averaged over the tasks as if it were one batch."""
        loss, count = self.learner.loss(self.network, batch, self.global_step / self.steps)
        self.logbook.count(loss.item(), count)
        if step.count() == 1:
            return loss
        total = self.trainer.strategy.reduce(torch.tensor(float(count), device=self.device), reduce_op="sum")
        return loss * (count * step.count() / total)

    def validation_step(self, batch: Batch, index: int) -> None:
        """Record the loss of a batch."""
        loss, count = self.learner.loss(self.network, batch, self.global_step / self.steps)
        self.log("valid_loss", loss, on_epoch=True, batch_size=count, sync_dist=step.count() > 1)  # type: ignore[arg-type]  # a weight

    def configure_optimizers(self) -> Any:  # noqa: ANN401
        """Return the learner's optimiser."""
        return self.learner.optimiser(self.network.parameters(), self.steps)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note what the training was made with, for `_check_same_training`."""
        checkpoint["sereno"] = {"config": lasting_settings(self.config), "scale": self.scale}


def _trainer(config: ConvLSTM | UNet, logbook: Logbook, averaging: float | None) -> Trainer:
    """Return a trainer that says nothing."""
    averages = [] if averaging is None else [WeightAveraging(avg_fn=partial(_averaged, longest=averaging))]
    return Trainer(
        devices=step.count() // step.nodes(),
        num_nodes=step.nodes(),
        strategy="auto" if step.count() == 1 else "ddp",
        # By default Lightning would wait for all tasks of a SLURM job, be they started or not.
        plugins=[LightningEnvironment() if step.count() == 1 else SLURMEnvironment(auto_requeue=False)],
        precision="bf16-mixed" if training_precision(config) == torch.bfloat16 else "32-true",
        max_epochs=config.max_epochs,
        callbacks=[*averages, logbook, EarlyStopping("valid_loss", patience=config.patience)],
        # The logbook keeps the checkpoints: Lightning's own loses the best one when a folder is moved.
        enable_checkpointing=False,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _averaged(average: Tensor, current: Tensor, count: Tensor, *, longest: float) -> Tensor:
    """Return the average with the weights of one more step; it reaches as far back as it can, from the first on."""
    return average.lerp(current, 1 - min(longest, (1 + float(count)) / (10 + float(count))))


def _fit(trainer: Trainer, fitting: _Fitting, data: Data, checkpoint: Path | None) -> None:
    """Run the training; Ctrl-C raises KeyboardInterrupt, as anywhere else."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        with fitting.logbook.heeding():
            trainer.fit(fitting, data, ckpt_path=checkpoint, weights_only=True)
    except SystemExit:
        # Lightning turns Ctrl-C into an exit and leaves the signal ignored.
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None


def _read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint, which cannot run code; InputError if it is damaged."""
    with file_edge(require_regular(path), _ANEW):
        held: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if "state_dict" not in held:
            raise ValueError("it is no checkpoint")
    return held


def _check_same_training(held: dict[str, Any], config: ConvLSTM | UNet, scale: float, *, origin: Path) -> None:
    """Raise an InputError if a checkpoint stems from other settings or other data."""
    made_with, settings = held["sereno"], lasting_settings(config)
    changed = [f"model.{key}" for key, value in made_with["config"].items() if settings[key] != value]
    if not np.isclose(made_with["scale"], scale):
        changed.append("the training data")
    if changed:
        raise InputError(f"{origin}: cannot resume, not the same as before: {', '.join(changed)}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice on loaders, loggers and accelerators from the user, who can act on none of it."""
    loggers = [logging.getLogger(f"lightning.{part}") for part in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
