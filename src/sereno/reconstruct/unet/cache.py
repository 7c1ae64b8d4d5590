"""What a training keeps next to its checkpoints, so that it continues at once when it is resumed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import xarray as xr

from sereno.config import UNet
from sereno.errors import InputError, file_edge
from sereno.files import read_bounded, require_regular
from sereno.reconstruct.unet.first_guess import FirstGuess
from sereno.slurm import step
from sereno.training.archive import Archive
from sereno.training.result import lasting_settings
from sereno.training.samples import CorrectorSample

Drawings = list[CorrectorSample[np.ndarray]]
_GUESS = "guess.json"
LONGEST = 2**22
"""Bytes of what is kept of a first guess, at most."""
_ANEW = "damaged? Leave `resume` out to train again"


@dataclass(frozen=True)
class Kept:
    """The first guess and the samples of a training, made once; of tasks that train together the first keeps them.

    Attributes
    ----------
    folder
        Where they are kept; None keeps nothing.
    resume
        Take what is kept rather than make it again.
    made_with
        Settings, seed and data, by the name that a message gives them.
    """

    folder: Path | None
    resume: bool
    made_with: dict[str, Any]

    @classmethod
    def of(
        cls,
        folder: Path | None,
        resume: bool,
        config: UNet,
        cube: xr.Dataset,
        valid: xr.Dataset | None,
        seed: int,
    ) -> Self:
        """Return what is kept of a training on anomaly cubes, recognised by period, number and spread of the data."""
        if folder is None:
            return cls(None, resume, {})
        made_with = {f"model.{name}": value for name, value in lasting_settings(config).items()} | {"seed": seed}
        made_with["the training data"] = _summary(cube)
        made_with["the validation data"] = None if valid is None else _summary(valid)
        return cls(folder, resume, json.loads(json.dumps(made_with)))  # lists for tuples, as they are read

    def guess(self, measure: Callable[[], FirstGuess]) -> FirstGuess:
        """Return the first guess that is kept, or measure it, and forget what an earlier training left.

        Raises
        ------
        InputError
            If what is to be resumed stems from other settings or other data.
        """
        if self.folder is None:
            return measure()
        path = self.folder / _GUESS
        if self.resume and path.exists():
            content = read_bounded(path, most=LONGEST)
            with file_edge(path, _ANEW):
                kept = json.loads(content)
                before = kept["made_with"]
                changed = [name for name, now in self.made_with.items() if not _alike(before.get(name), now)]
                if changed:
                    raise InputError(f"{self.folder}: cannot resume, not the same as before: {', '.join(changed)}")
                return FirstGuess.from_values(kept["guess"])
        guess = measure()
        if step.rank() > 0:
            return guess
        if not self.resume:
            for member in self.folder.glob("member-*"):
                shutil.rmtree(member)
        with _whole(path) as place:
            document = {"made_with": self.made_with, "guess": guess.values()}
            place.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        return guess

    def samples(self, name: str, make: Callable[[], Drawings]) -> Drawings:
        """Return the samples kept under a name, or make them."""
        if self.folder is None:
            return make()
        path = self.folder / f"{name}.npz"
        if self.resume and path.exists():
            with file_edge(require_regular(path), _ANEW), np.load(path, allow_pickle=False) as kept:
                parts = [kept[key] for key in kept.files]
                return [CorrectorSample(*(part[n, ...] for part in parts)) for n in range(len(parts[0]))]
        samples = make()
        if samples and step.rank() == 0:
            with _whole(path) as place, place.open("wb") as stream:
                np.savez(stream, *(np.stack(part) for part in zip(*samples, strict=True)))
        return samples


def _summary(cube: xr.Dataset) -> dict[str, Any]:
    """Return what changes with the data of a cube."""
    archive = Archive.of(cube)
    spread, observations = archive.spread()
    days = f"{archive.days[0]}:{archive.days[-1]}"
    return {"days": days, "cells": list(archive.water.shape), "observations": observations, "spread": spread}


def _alike(before: Any, now: Any) -> bool:  # noqa: ANN401
    """Return whether two values are the same, the spread of data but for rounding."""
    if isinstance(before, dict) and isinstance(now, dict):
        same = bool(np.isclose(before["spread"], now["spread"]))
        return same and before | {"spread": 0} == now | {"spread": 0}
    return bool(before == now)


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Lend a name that becomes `path` when the block ends well: who is killed leaves nothing half written there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    place = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield place
        place.replace(path)
    finally:
        place.unlink(missing_ok=True)
