"""A Zarr store that is made first and filled piece by piece, by many processes and in many runs.

Its books are in the store itself: the settings it was made with, and from the first change to the last that it is
unfinished, so that no reader takes it for whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import zarr
from numcodecs import Blosc

from sereno.errors import InputError
from sereno.io.inputs.opening import STATUS, UNFINISHED
from sereno.io.outputs.atomic import CHUNK_SIDE

_FINISHED = "finished"
LONG = 2**16
"""Days of a chunk of what is kept for each day as one number."""


@dataclass(frozen=True, eq=False)
class GrowingStore:
    """A store that can be continued, open for writing."""

    path: Path
    group: zarr.Group

    settings_name: ClassVar[str]
    """Attribute that holds the settings."""
    verb: ClassVar[str]
    """Verb of the command line that makes it."""
    day: ClassVar[int]
    """A day in the unit of its time axis."""

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a store of this kind.

        Raises
        ------
        InputError
            If something else exists.
        """
        try:
            group = zarr.open_group(path, mode="r+", zarr_format=2, use_consolidated=False)
        except (OSError, ValueError, KeyError):
            group = None
        if group is None or cls.settings_name not in group.attrs:
            raise InputError(
                f"{path}: it exists and is no store that can be continued; choose another name or remove it"
            )
        return cls(path, group)

    @property
    def unfinished(self) -> bool:
        """True from the first change to the last."""
        consolidated = zarr.open_group(self.path, mode="r", zarr_format=2, use_consolidated=True)
        return UNFINISHED in (self.group.attrs[STATUS], consolidated.attrs[STATUS])

    @property
    def settings(self) -> dict[str, Any]:
        """What the store was made with."""
        return dict(json.loads(str(self.group.attrs[self.settings_name])))

    def array(self, name: str) -> Any:  # noqa: ANN401  the types of zarr do not distinguish arrays from groups
        """Return an array of the store."""
        return self.group[name]

    def extend(self, days: int) -> None:
        """Make the store this many days long, if it is shorter."""
        arrays: list[Any] = [array for _, array in self.group.arrays()]
        daily = [array for array in arrays if array.attrs["_ARRAY_DIMENSIONS"][0] == "time"]
        total = max(days, *(array.shape[0] for array in daily))
        for array in daily:
            if array.shape[0] < total:
                array.resize((total, *array.shape[1:]))
        time = self.array("time")
        time[:] = time[0] + self.day * np.arange(total)

    def require_settings(self, wanted: Mapping[str, Any], *, remedy: str = "") -> None:
        """Make sure that the store was made with these settings.

        Raises
        ------
        InputError
            Lists those that differ, and adds a remedy.
        """
        other = [f"  {difference}" for difference in differences(self.settings, wanted)]
        if other:
            advice = remedy or f"repeat those settings, or {self.verb} into a new store"
            raise InputError(
                "\n".join([f"{self.path}: was made by sereno {self.verb} with other settings:", *other, advice])
            )

    def begin(self) -> None:
        """Mark the store as unfinished, and clear away what a killed process left of a chunk."""
        self._set_status(UNFINISHED)
        self.clear()

    def clear(self) -> None:
        """Clear away what a killed process left of a chunk; nothing else may be writing."""
        for left in self.path.rglob("*.partial"):
            left.unlink(missing_ok=True)

    def finish(self) -> None:
        """Mark the store as finished: from here on it can be opened."""
        self._set_status(_FINISHED)

    def _set_status(self, status: str) -> None:
        self.group.attrs[STATUS] = status
        zarr.consolidate_metadata(self.path, zarr_format=2)


def differences(present: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Return what is wanted otherwise than found, a line for each."""
    return [
        f"{key}: {present.get(key)} there, {wanted[key]} now" for key in wanted if present.get(key) != wanted[key]
    ]


def books(settings: Mapping[str, Any], kind: type[GrowingStore]) -> dict[str, str]:
    """Return the attributes of a store that has just been made."""
    return {kind.settings_name: json.dumps(settings, sort_keys=True), STATUS: UNFINISHED}


def new_array(
    group: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    dtype: str,
    dims: tuple[str, ...],
    attrs: Mapping[str, Any],
    *,
    fill_value: Any = None,  # noqa: ANN401
    chunks: tuple[int, ...] | None = None,
) -> Any:  # noqa: ANN401
    """Make an array: maps of up to 1024 cells a side, one map a chunk, unless `chunks` says otherwise."""
    maps = (*[1] * (len(shape) - 2), *(min(CHUNK_SIDE, side) for side in shape[-2:]))
    return group.create_array(
        name,
        shape=shape,
        chunks=chunks or (maps if len(shape) > 1 else (LONG,)),
        dtype=dtype,
        fill_value=fill_value,
        compressors=Blosc(cname="zstd", clevel=3, shuffle=Blosc.SHUFFLE),
        attributes={**attrs, "_ARRAY_DIMENSIONS": list(dims)},
    )
