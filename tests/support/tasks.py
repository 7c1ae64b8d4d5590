"""Tasks that worker processes import by name."""

import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from sereno.errors import InputError
from sereno.io.outputs.atomic import atomic_path


def square(number: int) -> int:
    return number**2


def where(_number: int) -> tuple[int, int]:
    return os.getpid(), threading.get_ident()


def die(_number: int) -> None:
    os._exit(9)


@dataclass(frozen=True)
class Held:
    """A task that holds lazy arrays."""

    cube: xr.Dataset


def is_lazy(task: Held) -> bool:
    return task.cube.chunks["time"] == (1, 1, 1)


class FailedError(Exception):
    """An error that pickle cannot rebuild."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")


def fail(number: int) -> int:
    if number == 0:
        raise InputError("a.nc: damaged")
    raise FailedError("b.nc", "torn")


@dataclass(frozen=True)
class Place:
    """Where a worker writes until it is told to end."""

    folder: Path


def write_for_ever(place: Place) -> None:
    with atomic_path(place.folder / "out.nc") as file:
        file.write_text("half")
        threading.Event().wait(60)


def blocked(_number: int) -> list[int]:
    return sorted(signal.pthread_sigmask(signal.SIG_BLOCK, []))
