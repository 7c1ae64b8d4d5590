"""The samples of an epoch as a network takes them: made ahead of it, shared out among tasks, from any step on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, repeat
from typing import Any, TypeVar

from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, IterableDataset

from sereno.errors import InputError
from sereno.slurm import step
from sereno.training.samples import Samples

T = TypeVar("T")
AHEAD = 8
"""Samples that are made while the network is at work on the ones before."""


class Epoch(IterableDataset[Any]):
    """Samples of one epoch, those of this task, made a few ahead of the network by a thread of their own.

    A step takes the samples that one task with as large a batch as all tasks together would take.

    Attributes
    ----------
    first
        Samples of all tasks that were taken before.
    whole
        Leave out the last samples where there are too few for each task to have one: all take as many steps.
    """

    def __init__(self, samples: Samples, epoch: int, *, first: int = 0, whole: bool = True) -> None:
        self.samples, self.epoch = samples, epoch
        self.first, self.whole = first, whole

    def __iter__(self) -> Iterator[Any]:
        stop = len(self.samples) // step.count() * step.count() if self.whole else None
        return ahead(
            islice(self.samples.of_epoch(self.epoch), self.first + step.rank(), stop, step.count()), count=AHEAD
        )


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


def steps_of(samples: Samples, batch_size: int) -> int:
    """Return the training steps of an epoch."""
    return -(-(len(samples) // step.count()) // batch_size)


class Data(LightningDataModule):
    """The samples to train on, another order or other ones each epoch, and the fixed ones to validate on.

    Attributes
    ----------
    done
        Returns how many steps of the epoch were done before, by a training that this one resumes.
    """

    def __init__(self, training: Samples, validation: Samples, batch_size: int, *, done: Callable[[], int]) -> None:
        super().__init__()
        if min(len(training), len(validation)) < step.count():
            raise InputError(
                f"{step.count()} tasks cannot share {len(training)} training and {len(validation)} validation "
                "windows: use fewer tasks"
            )
        self.training, self.validation, self.batch_size, self.done = training, validation, batch_size, done

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the samples of the epoch that begins, or what is left of it."""
        assert self.trainer is not None
        first = self.done() * self.batch_size * step.count()
        return DataLoader(Epoch(self.training, self.trainer.current_epoch, first=first), self.batch_size)

    def val_dataloader(self) -> DataLoader[Any]:
        """Return the validation samples."""
        return DataLoader(Epoch(self.validation, 0, whole=False), self.batch_size)
