"""How many values of which images were made missing, and why: kept while they are read, said at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import xarray as xr

from sereno.errors import InputError

Counts = dict[tuple[str, str], dict[tuple[Path, int], int]]
"""By variable and reason, of each image (its file, its place there) the number of values."""


class Tally:
    """Counts that threads add to; an image that is read again is counted once.

    Attributes
    ----------
    counts
        What was made missing.
    skipped
        What is wrong with each file that was left out; None where a bad file is an error.
    """

    def __init__(self, skipped: list[str] | None = None) -> None:
        self.counts: Counts = {}
        self.skipped = skipped
        self._lock = Lock()

    def __getstate__(self) -> tuple[Counts, list[str] | None]:
        """Another process begins with what was counted here."""
        return self.counts, self.skipped

    def __setstate__(self, state: tuple[Counts, list[str] | None]) -> None:
        (self.counts, self.skipped), self._lock = state, Lock()

    def add(self, variable: str, path: Path, place: int, dropped: Counter[str]) -> None:
        """Count what was made missing of an image."""
        with self._lock:
            for reason, number in dropped.items():
                self.counts.setdefault((variable, reason), {})[path, place] = number

    def skip(self, error: InputError) -> bool:
        """Leave out an image, if bad files are to be left out, and return whether it is."""
        if self.skipped is None:
            return False
        with self._lock:
            if str(error) not in self.skipped:
                self.skipped.append(str(error))
        return True

    def merge(self, other: Tally) -> None:
        """Add what was counted elsewhere."""
        with self._lock:
            for key, images in other.counts.items():
                self.counts.setdefault(key, {}).update(images)
            if self.skipped is not None:
                self.skipped += [line for line in other.skipped or [] if line not in self.skipped]

    def notes(self) -> list[str]:
        """Return a line for each variable and reason."""
        with self._lock:
            return [_line(variable, reason, images) for (variable, reason), images in sorted(self.counts.items())]

    def by_file(self) -> dict[Path, list[str]]:
        """Return a line for each variable and reason, by file."""
        lines: dict[Path, list[str]] = {}
        with self._lock:
            for (variable, reason), images in sorted(self.counts.items()):
                files: Counter[Path] = Counter()
                for (path, _), number in images.items():
                    files[path] += number
                for path, number in files.items():
                    lines.setdefault(path, []).append(f"{variable}: {number:,} values {reason}")
        return dict(sorted(lines.items()))


def tally_of(cube: xr.Dataset) -> Tally:
    """Return the tally that a cube's images are counted in as they are read; an empty one for a cube in memory."""
    for variable in cube.variables.values():
        graph: Any = getattr(variable.data, "dask", None)
        for name, layer in getattr(graph, "layers", {}).items():
            if name.startswith("original-images-"):
                values = layer[name]
                tally = getattr(getattr(values, "value", values), "tally", None)
                if isinstance(tally, Tally):
                    return tally
    return Tally()


def _line(variable: str, reason: str, images: Mapping[tuple[Path, int], int]) -> str:
    files = sorted({path for path, _ in images})
    total = int(np.sum(list(images.values())))
    where = str(files[0]) if len(files) == 1 else f"{len(files)} files ({files[0].name}, …)"
    return f"{variable}: {total:,} value{'s' * (total > 1)} {reason} in {where} taken as missing"
