"""What a training writes down: losses and checkpoints; and when it ends or stops early."""

from __future__ import annotations

import csv
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping

from sereno.errors import PausedError
from sereno.progress import Progress
from sereno.slurm import step

NAME = "_Logbook"
"""What checkpoints call it."""


class Logbook(Callback):
    """Keeps losses and checkpoints, reports progress, ends the training when its time is up, and has it stop early.

    SIGUSR1 asks to stop early: ``last.ckpt`` is written after the step at work, with what is needed to continue as if
    nothing had happened, and `PausedError` is raised.

    Attributes
    ----------
    history
        Losses of each epoch.
    done
        Steps done of the epoch that is under way.
    sums
        Of these steps the loss times its weight, and the weight.
    """

    def __init__(
        self,
        folder: Path,
        *,
        patience: int,
        steps: int,
        max_epochs: int,
        max_minutes: float | None,
        progress: Progress,
    ) -> None:
        self.history: list[dict[str, float]] = []
        self.done, self.sums = 0, np.zeros(2)
        self._folder, self._progress = folder, progress
        self._patience, self._steps, self._all_steps = patience, steps, max_epochs * steps
        self._began, self._seconds = time.monotonic(), np.inf if max_minutes is None else 60 * max_minutes
        self._asked = False

    @property
    def state_key(self) -> str:
        """What checkpoints call it."""
        return NAME

    def heeding(self) -> AbstractContextManager[None]:
        """Heed SIGUSR1 meanwhile."""
        return step.heeding_notice(lambda *_: setattr(self, "_asked", True))

    def count(self, loss: float, weight: float) -> None:
        """Note the loss of a step on this task."""
        self.sums += (loss * weight, weight)

    def on_train_start(self, trainer: Trainer, *_: object) -> None:
        """Set the patience: a checkpoint brings back the one it was made with."""
        assert isinstance(trainer.early_stopping_callback, EarlyStopping)
        trainer.early_stopping_callback.patience = self._patience

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        """Report progress; stop early if asked to; stop, after one more validation, when the time is up."""
        self.done += 1
        spent = (time.monotonic() - self._began) / self._seconds
        self._progress("training", min(max(spent, trainer.global_step / self._all_steps), 1.0))
        # After the last step the epoch is brought to its end first.
        if self.done < self._steps and self._stop_early(trainer):
            self._pause(trainer)
        # Tasks have clocks of their own, and must stop at the same step.
        if self._seconds < np.inf and trainer.strategy.reduce_boolean_decision(spent >= 1, all=False):
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: Trainer, *_: object) -> None:
        """Write ``metrics.csv``, ``best.ckpt`` if no epoch was better, and ``last.ckpt``."""
        self._add_up(trainer)
        losses = {"train_loss": float(self.sums[0] / self.sums[1])}
        losses["valid_loss"] = float(trainer.callback_metrics["valid_loss"])
        self.history.append({"epoch": trainer.current_epoch, **losses})
        self.done, self.sums = 0, np.zeros(2)
        if step.rank() == 0:
            with open(self._folder / "metrics.csv", "w", newline="") as stream:
                writer = csv.DictWriter(stream, self.history[0])
                writer.writeheader()
                writer.writerows(self.history)
        valid = np.nan_to_num([epoch["valid_loss"] for epoch in self.history], nan=np.inf)
        if valid.argmin() == len(valid) - 1:
            trainer.save_checkpoint(self._folder / "best.ckpt")
        # Last, so that a training killed in between does this epoch again.
        trainer.save_checkpoint(self._folder / "last.ckpt")

    def on_train_epoch_start(self, trainer: Trainer, *_: object) -> None:
        """Stop early if asked to while the epoch before was brought to its end: its checkpoint is written."""
        if self.history and not self.done and self._stop_early(trainer):
            raise PausedError(f"{trainer.global_step} steps are done")

    def on_save_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep the state of the random numbers."""
        checkpoint["random"] = torch.get_rng_state()

    def on_load_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Take up the random numbers where they were left; older checkpoints have none."""
        if "random" in checkpoint:
            torch.set_rng_state(checkpoint["random"])

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps; the seconds only where the training stops early."""
        seconds = time.monotonic() - self._began if self.done else 0.0
        return {"history": self.history, "done": self.done, "sums": self.sums.tolist(), "seconds": seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the history of a checkpoint, and the epoch that was under way."""
        self.history = list(state_dict["history"])
        self.done = state_dict.get("done", 0)
        if step.rank() == 0:
            self.sums = np.array(state_dict.get("sums", (0.0, 0.0)))
        self._began -= state_dict.get("seconds", 0.0)

    def _stop_early(self, trainer: Trainer) -> bool:
        """Return whether any task was asked to."""
        asked: bool = trainer.strategy.reduce_boolean_decision(self._asked, all=False)
        return asked

    def _pause(self, trainer: Trainer) -> None:
        self._add_up(trainer)
        trainer.save_checkpoint(self._folder / "last.ckpt")
        raise PausedError(f"{trainer.global_step} steps are done")

    def _add_up(self, trainer: Trainer) -> None:
        """Add up the sums of all tasks."""
        if step.count() > 1:
            sums = torch.tensor(self.sums, device=trainer.strategy.root_device)
            self.sums = trainer.strategy.reduce(sums, reduce_op="sum").cpu().numpy()


def state_in(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return the state of the logbook in a checkpoint."""
    state: dict[str, Any] = checkpoint["callbacks"][NAME]
    return state


def is_over(checkpoint: dict[str, Any], *, max_epochs: int, patience: int) -> bool:
    """Return whether a training ended with this checkpoint, by its epochs or its patience."""
    valid = [epoch["valid_loss"] for epoch in state_in(checkpoint)["history"]]
    if not valid or state_in(checkpoint).get("done", 0):
        return False
    since_best = len(valid) - 1 - int(np.argmin(valid))
    return len(valid) >= max_epochs or not np.isfinite(valid[-1]) or since_best >= patience
