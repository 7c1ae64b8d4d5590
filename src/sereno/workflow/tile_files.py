"""Training tiles in the layout of the thesis method: ``training_data_{i}.npz`` and ``max_std_seq.npz``.

Each file holds ``sequence`` (window, lat, lon, 2) and ``target`` (lat, lon, 2), float32: channel 0 is the anomaly,
less ``mean`` and divided by ``max_std_seq``, 0 where missing; channel 1 is the mask, −1 land, 0 missing, 1 observed.
``mean`` is the mean and ``std`` the standard deviation of what the sequence shows, in the field's unit. sereno adds
``day`` (text) and ``corner`` (first row and column), without which tiles cannot be split in time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sereno.config import ConvLSTM
from sereno.errors import InputError, file_edge
from sereno.io.npz import read_npz
from sereno.io.outputs.atomic import atomic_path
from sereno.progress import Progress, silent
from sereno.saved import iso_day
from sereno.training.archive import HiddenWindow, first_validation_day
from sereno.training.encoding import encode, normalise
from sereno.training.samples import MaskedSample
from sereno.training.windows import Tiles, validation_count

SCALE_FILE = "max_std_seq.npz"
LARGEST = 1e6
"""Magnitude of anomalies and of what they are divided by."""
_TILE = "a training tile has sequence and target"
_NAME = re.compile(r"training_data_(\d+)\.npz")


@dataclass(frozen=True, eq=False)
class TileFolder:
    """Tiles of a folder as the samples of a network.

    Attributes
    ----------
    paths
        The files, by number.
    scale
        ``max_std_seq``: what the anomalies were divided by.
    days
        datetime64[D], one a file; NaT where the files do not say.
    shape
        (window, lat, lon) of every sequence.
    land
        True where masks are −1 on land.
    order
        Seed of the order, another one each epoch; None for the order of `paths`.
    """

    paths: list[Path]
    scale: float
    days: np.ndarray
    shape: tuple[int, int, int]
    land: bool
    order: int | None = None

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def period(self) -> str:
        """The first and last day that the sequences show, as ``A:B``; empty where the files do not say."""
        if np.isnat(self.days).any():
            return ""
        half = self.shape[0] // 2
        return f"{self.days.min() - half}:{self.days.max() + half}"

    def only(self, chosen: np.ndarray, *, order: int | None) -> TileFolder:
        """Return some of the tiles, by their positions."""
        paths = [self.paths[position] for position in chosen]
        return TileFolder(paths, self.scale, self.days[chosen], self.shape, self.land, order)

    def of_epoch(self, epoch: int) -> Iterator[MaskedSample[np.ndarray]]:
        """Yield the samples of an epoch; InputError for a file that is damaged or of another shape."""
        positions = np.arange(len(self.paths))
        if self.order is not None:
            positions = np.random.default_rng((self.order, 3, epoch)).permutation(positions)
        for position in positions:
            sequence, target = _arrays(self.paths[position], self.shape)
            yield MaskedSample(np.moveaxis(sequence, -1, 1), target[..., 0], target[..., 1] == 1)


def is_tile_folder(path: str | Path) -> bool:
    """Return whether a folder holds training tiles."""
    names = [inside.name for inside in Path(path).iterdir()] if Path(path).is_dir() else []
    return SCALE_FILE in names or any(_NAME.fullmatch(name) for name in names)


def write_tiles(tiles: Tiles, folder: str | Path, *, progress: Progress = silent) -> float:
    """Write every tile of a plan into a folder, all of it or nothing.

    Parameters
    ----------
    tiles
        The plan; its configuration must hide the whole central day. Its windows are used twice: for the
        largest standard deviation of a sequence, and to be written.
    folder
        Target; an older folder of tiles is replaced.
    progress
        Called with the stages ``"scale"`` and ``"tiles"``.

    Returns
    -------
    float
        ``max_std_seq``, the largest standard deviation of a sequence.

    Raises
    ------
    InputError
        If the target is a folder of something else, or nothing varies in any tile.
    """
    scale = 0.0
    with atomic_path(folder, replaces=(SCALE_FILE,)) as place:
        place.mkdir()
        for number, window in enumerate(tiles.of_epoch(0)):
            scale = max(scale, _std(window))
            progress("scale", (number + 1) / len(tiles))
        if scale == 0:
            raise InputError(f"{folder}: no tile has two values that differ; is the anomaly constant?")
        days = tiles.archive.days
        for number, (window, (day, row, column)) in enumerate(zip(tiles.of_epoch(0), tiles.places, strict=True)):
            np.savez(
                place / f"training_data_{number}.npz",
                allow_pickle=False,
                **_content(window, scale),
                day=np.array(str(days[day])),
                corner=np.array([row, column]),
            )
            progress("tiles", (number + 1) / len(tiles))
        np.savez(place / SCALE_FILE, max_std_seq=np.float32(scale))
    return scale


def read_scale(given: str | Path) -> float:
    """Return ``max_std_seq`` as given: a number, the file that holds it, or the folder of that file.

    Raises
    ------
    InputError
        If the file cannot be read or holds no such number above zero.
    """
    try:
        scale = float(str(given))
    except ValueError:
        path = Path(given) / SCALE_FILE if Path(given).is_dir() else Path(given)
        content = read_npz(
            path, ("max_std_seq",), wanted="max_std_seq.npz, its folder, or the number itself is wanted"
        )
        with file_edge(path, "it holds one number, max_std_seq"):
            scale = float(content["max_std_seq"].item())
    if not 0 < scale <= LARGEST:
        raise InputError(f"{given}: max_std_seq is {scale}, it must be above zero, and no more than {LARGEST:g}")
    return scale


def read_tiles(folder: str | Path) -> TileFolder:
    """Open a folder of tiles; the first and the last file are examined, the others when they are read.

    Raises
    ------
    InputError
        If the folder holds no tiles, or those examined are not of the layout.
    """
    folder = Path(folder)
    numbers = {int(match[1]): path for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))}
    paths = [numbers[number] for number in sorted(numbers)]
    if not paths:
        raise InputError(f"{folder}: no training_data_*.npz next to {SCALE_FILE}; write tiles with sereno tiles")
    sequence, _ = _arrays(paths[0], None)
    shape = sequence.shape[:3]
    last, _ = _arrays(paths[-1], shape)
    land = bool((sequence[..., 1] < 0).any() or (last[..., 1] < 0).any())
    return TileFolder(paths, read_scale(folder / SCALE_FILE), np.array([_day(path) for path in paths]), shape, land)


def split_tiles(folder: TileFolder, config: ConvLSTM, *, seed: int) -> tuple[TileFolder, TileFolder]:
    """Part tiles into those to train on and those to validate on, as the configuration asks.

    Raises
    ------
    InputError
        If a split in time is asked of tiles without days, or leaves one of the parts empty.
    """
    count = config.validation_windows or validation_count(len(folder))
    if config.split == "random":
        order = np.random.default_rng((seed, 6)).permutation(len(folder))
        return folder.only(np.sort(order[count:]), order=seed), folder.only(np.sort(order[:count]), order=None)
    if np.isnat(folder.days).any():
        raise InputError(
            f"{folder.paths[0].parent}: the tiles do not say their day, so they cannot be split in time; "
            'set model.split = "random", which leaks: its validation loss is too good'
        )
    first = first_validation_day(folder.days.min(), folder.days.max(), window=config.window)
    training = np.flatnonzero(folder.days < first - config.window)
    validation = np.flatnonzero(folder.days >= first)
    if not training.size or not validation.size:
        raise InputError(f"{folder.paths[0].parent}: the tiles span too few days to train and to validate on")
    spread_out = np.linspace(0, validation.size - 1, min(count, validation.size)).round().astype(int)
    return folder.only(training, order=seed), folder.only(validation[spread_out], order=None)


def _content(window: HiddenWindow, scale: float) -> dict[str, np.ndarray]:
    inputs, mean = encode(window.values, scale=scale, water=window.water)
    observed = np.isfinite(window.truth)
    target = np.where(observed, normalise(window.truth, mean=mean, scale=scale), 0)
    mask = np.where(window.water, observed, -1)
    return {
        "sequence": np.moveaxis(inputs, 1, -1),
        "target": np.stack([target, mask], axis=-1).astype(np.float32),
        "mean": np.array(mean, np.float32),
        "std": np.array(_std(window), np.float32),
    }


def _std(window: HiddenWindow) -> float:
    seen = window.values[np.isfinite(window.values)]
    return float(seen.std(dtype=np.float64)) if seen.size else 0.0


def _arrays(path: Path, shape: tuple[int, ...] | None) -> tuple[np.ndarray, np.ndarray]:
    """Read sequence and target, and check their shapes and values."""
    arrays = read_npz(path, ("sequence", "target"), wanted=_TILE)
    shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
    sequence, target = arrays.values()
    if sequence.ndim != 4 or sequence.shape[-1] != 2 or target.shape != sequence.shape[1:] or not sequence.size:
        raise InputError(f"{path}: {shapes}; a tile has sequence (window, lat, lon, 2) and target (lat, lon, 2)")
    if any(array.dtype.kind not in "fiub" for array in arrays.values()):
        types = " and ".join(str(array.dtype) for array in arrays.values())
        raise InputError(f"{path}: sequence and target are {types}; a tile has real numbers")
    if shape is not None and sequence.shape[:3] != shape:
        raise InputError(f"{path}: {shapes}, the tiles before have sequence {(*shape, 2)}; keep one size a folder")
    for name, array in arrays.items():
        if not (np.abs(array[..., 0]) <= LARGEST).all():
            raise InputError(
                f"{path}: {name} has anomalies that are not finite or beyond {LARGEST:g}; write it again"
            )
        if not np.isin(array[..., 1], (-1, 0, 1)).all():
            raise InputError(f"{path}: the mask of {name} must be -1 on land, 0 where missing, 1 where observed")
    return sequence.astype(np.float32), target.astype(np.float32)


def _day(path: Path) -> np.datetime64:
    content = read_npz(path, (), optional=("day",), wanted=_TILE)
    if "day" not in content:
        return np.datetime64("NaT", "D")
    with file_edge(path, "write the tile again"):
        return iso_day({"day": str(content["day"])}, "day")
