"""Fitting a network: the training loop, its best weights, resuming.

Unless the reference's random split is asked for, training and validation windows come from separate days with at
least a window between them, so that no day serves both.
"""

from __future__ import annotations

import csv
import logging
import signal
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
import xarray as xr
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, WeightAveraging
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from sereno.config import ConvLSTM, UNet
from sereno.errors import InputError
from sereno.features import split
from sereno.learners import Learner, learner_of
from sereno.methods import Progress, silent
from sereno.nets.memory import kept_memory
from sereno.nets.precision import arithmetic
from sereno.windows import Encoded, Samples, Windows, windows_for

T = TypeVar("T")
AHEAD = 8
"""Samples that are made while the network is at work on the ones before."""


class TrainedNetwork(NamedTuple):
    """What training leaves behind.

    Attributes
    ----------
    weights
        The weights with the least validation loss.
    scale
        Standard deviation of the training anomalies; the network's inputs are divided by it.
    history
        ``epoch``, ``train_loss`` and ``valid_loss`` of each epoch, losses in units of `scale` squared.
    validation
        The windows of the cube that the validation loss was taken on, if it was a cube.
    """

    weights: dict[str, Tensor]
    scale: float
    history: list[dict[str, float]]
    validation: Windows | None = None


def train(
    cube: xr.Dataset,
    config: ConvLSTM,
    *,
    valid: xr.Dataset | None = None,
    seed: int = 0,
    folder: Path | None = None,
    resume: bool = False,
    max_minutes: float | None = None,
    progress: Progress = silent,
) -> TrainedNetwork:
    """Train a network on an anomaly cube.

    Parameters
    ----------
    cube
        Anomaly cube of the training period; read a block of days at a time.
    valid
        Anomaly cube of a separate period to select the best weights on; the last 15 % of the training days, less a
        window's distance, where not given.
    folder, resume, max_minutes
        See `train_on`.

    Raises
    ------
    InputError
        If the record is too short or too empty, or the checkpoint is of a training with other settings.
    """
    archives = split(cube, config, valid=valid)
    spread, observations = archives[0].spread()
    if observations == 0:
        days = archives[0].days
        raise InputError(f"the training days {days[0]} to {days[-1]} hold not one observation")
    training, validation = windows_for(*archives, config, seed=seed)
    scale = spread or 1.0
    trained = train_on(
        Encoded(training, config, scale),
        Encoded(validation, config, scale),
        config,
        scale=scale,
        seed=seed,
        folder=folder,
        resume=resume,
        max_minutes=max_minutes,
        progress=progress,
    )
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
        What is trained, where it is not what the configuration asks for.
    folder
        Where ``last.ckpt``, ``best.ckpt`` and ``metrics.csv`` are kept.
    resume
        Continue from ``last.ckpt`` in `folder`; where there is none yet, begin.
    max_minutes
        Stop after so many minutes of this call, with the best weights so far.

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
        checkpoint = folder / "last.ckpt" if resume and (folder / "last.ckpt").exists() else None
        if checkpoint:
            _check_same_training(checkpoint, config, scale)
        torch.manual_seed(seed)
        learner = learner or learner_of(config)
        if weights is not None:
            learner.network.load_state_dict(weights)
        steps = -(-len(training) // config.batch_size)
        logbook = _Logbook(folder, config, steps, max_minutes, progress)
        trainer = _trainer(config, logbook, learner.averaging)
        _fit(
            trainer,
            _Fitting(learner, config, scale, config.max_epochs * steps),
            _Data(training, validation, config),
            checkpoint,
        )
        best = torch.load(folder / "best.ckpt", map_location="cpu", weights_only=True)["state_dict"]
    progress("training", 1.0)
    weights = {name.removeprefix("network."): tensor for name, tensor in best.items()}
    return TrainedNetwork(weights, scale, logbook.history)


class _Fitting(LightningModule):
    """The training of one network: its loss and its optimiser."""

    def __init__(self, learner: Learner, config: ConvLSTM | UNet, scale: float, steps: int) -> None:
        super().__init__()
        self.network = learner.network
        self.learner, self.steps = learner, steps
        self.config = config
        self.scale = scale

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        """Return the loss of a batch."""
        return self._loss(batch, "train_loss")

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        """Record the loss of a batch."""
        self._loss(batch, "valid_loss")

    def configure_optimizers(self) -> Any:  # noqa: ANN401
        """Return the learner's optimiser."""
        return self.learner.optimiser(self.network.parameters(), self.steps)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note what the training was made with, for `_check_same_training`."""
        checkpoint["sereno"] = {"config": lasting_settings(self.config), "scale": self.scale}

    def _loss(self, batch: list[Tensor], name: str) -> Tensor:
        loss, count = self.learner.loss(self.network, batch, self.global_step)
        self.log(name, loss, on_step=False, on_epoch=True, batch_size=count)  # type: ignore[arg-type]  # a weight
        return loss


class _Epoch(IterableDataset[Any]):
    """The samples of one epoch, made a few ahead of the network by a thread of their own."""

    def __init__(self, samples: Samples, epoch: int) -> None:
        self.samples, self.epoch = samples, epoch

    def __iter__(self) -> Iterator[Any]:
        return ahead(self.samples.of_epoch(self.epoch), count=AHEAD)


def ahead(items: Iterator[T], *, count: int) -> Iterator[T]:
    """Yield items while a thread makes the next `count` of them."""
    end = object()
    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(next, items, end) for _ in range(count))
        for _ in repeat(None):
            item = waiting.popleft().result()
            if item is end:
                return
            waiting.append(pool.submit(next, items, end))
            yield item  # type: ignore[misc]  # not the end


class _Data(LightningDataModule):
    """The samples to train on, another order or other ones each epoch, and the fixed ones to validate on."""

    def __init__(self, training: Samples, validation: Samples, config: ConvLSTM | UNet) -> None:
        super().__init__()
        self.training, self.validation, self.config = training, validation, config

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the samples of the epoch that begins."""
        assert self.trainer is not None
        return DataLoader(_Epoch(self.training, self.trainer.current_epoch), self.config.batch_size)

    def val_dataloader(self) -> DataLoader[Any]:
        """Return the validation samples."""
        return DataLoader(_Epoch(self.validation, 0), self.config.batch_size)


class _Logbook(Callback):
    """Keeps losses and checkpoints of each epoch, reports progress, and ends the training when its time is up."""

    def __init__(
        self, folder: Path, config: ConvLSTM | UNet, steps: int, max_minutes: float | None, progress: Progress
    ) -> None:
        self.history: list[dict[str, float]] = []
        self._folder, self._progress = folder, progress
        self._patience, self._steps = config.patience, config.max_epochs * steps
        self._began, self._seconds = time.monotonic(), np.inf if max_minutes is None else 60 * max_minutes

    def on_train_start(self, trainer: Trainer, *_: object) -> None:
        """Set the patience: a checkpoint brings back the one it was made with."""
        assert isinstance(trainer.early_stopping_callback, EarlyStopping)
        trainer.early_stopping_callback.patience = self._patience

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        """Report progress; stop, after one more look at the validation windows, when the time is up."""
        spent = (time.monotonic() - self._began) / self._seconds
        self._progress("training", min(max(spent, trainer.global_step / self._steps), 1.0))
        trainer.should_stop = trainer.should_stop or spent >= 1

    def on_train_epoch_end(self, trainer: Trainer, *_: object) -> None:
        """Write ``metrics.csv``, ``best.ckpt`` if no epoch was better, and ``last.ckpt``."""
        losses = {name: float(trainer.callback_metrics[name]) for name in ("train_loss", "valid_loss")}
        self.history.append({"epoch": trainer.current_epoch, **losses})
        with open(self._folder / "metrics.csv", "w", newline="") as stream:
            writer = csv.DictWriter(stream, self.history[0])
            writer.writeheader()
            writer.writerows(self.history)
        valid = np.nan_to_num([epoch["valid_loss"] for epoch in self.history], nan=np.inf)
        if valid.argmin() == len(valid) - 1:
            trainer.save_checkpoint(self._folder / "best.ckpt")
        # Last, so that a training killed in between does this epoch again.
        trainer.save_checkpoint(self._folder / "last.ckpt")

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the history of a checkpoint."""
        self.history = list(state_dict["history"])


def _trainer(config: ConvLSTM | UNet, logbook: _Logbook, averaging: float | None) -> Trainer:
    """Return a trainer that says nothing."""
    averages = [] if averaging is None else [WeightAveraging(avg_fn=partial(_averaged, longest=averaging))]
    return Trainer(
        devices=1,
        # Without it Lightning would make one worker of each task of a SLURM job.
        plugins=[LightningEnvironment()],
        precision="bf16-mixed" if arithmetic(config) == torch.bfloat16 else "32-true",
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


def _fit(trainer: Trainer, fitting: _Fitting, data: _Data, checkpoint: Path | None) -> None:
    """Run the training; Ctrl-C raises KeyboardInterrupt, as anywhere else."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(fitting, data, ckpt_path=checkpoint, weights_only=True)
    except SystemExit:
        # Lightning turns Ctrl-C into an exit and leaves the signal ignored.
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from None


def lasting_settings(config: ConvLSTM | UNet) -> dict[str, Any]:
    """Return the configuration less what a training may change when it is resumed."""
    return {key: value for key, value in asdict(config).items() if key not in ("max_epochs", "patience", "recompute")}


def _check_same_training(checkpoint: Path, config: ConvLSTM | UNet, scale: float) -> None:
    """Raise an InputError if a checkpoint stems from other settings or other data."""
    made_with = torch.load(checkpoint, map_location="cpu", weights_only=True)["sereno"]
    settings = lasting_settings(config)
    changed = [f"model.{key}" for key, value in made_with["config"].items() if settings[key] != value]
    if not np.isclose(made_with["scale"], scale):
        changed.append("the training data")
    if changed:
        raise InputError(f"{checkpoint}: cannot resume, not the same as before: {', '.join(changed)}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice on loaders, loggers and accelerators from the user, who can act on none of it."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        logger.setLevel(level)
