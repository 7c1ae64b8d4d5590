"""A folder of daily files while it is made: new files wait next to it until all are there and right."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sereno.compute import signals


@dataclass(frozen=True)
class DailyFolder:
    """A folder that gets a file a day; no reader ever finds it half done."""

    folder: Path

    @property
    def waiting(self) -> Path:
        """The hidden folder next to it where files wait."""
        return self.folder.with_name(f".{self.folder.name}.filling")

    def discard(self) -> None:
        """Remove the files that wait."""
        signals.remove(self.waiting)

    def lacks(self, name: str, checksum: int | None) -> bool:
        """Return whether the file of a day neither waits nor is delivered, unchanged where that is asked."""
        waiting, delivered = self.waiting / name, self.folder / name
        if checksum is None:
            return not (waiting.exists() or delivered.exists())
        return not any(path.exists() and checksum_of(path) == checksum for path in (waiting, delivered))

    def of_days(self) -> dict[np.datetime64, list[Path]]:
        """Return the analyses in the folder by their day."""
        by_day: dict[np.datetime64, list[Path]] = {}
        for path in sorted(self.folder.glob("*-SERENO-L4*.nc")):
            text = path.name
            if text[:8].isdigit():
                by_day.setdefault(np.datetime64(f"{text[:4]}-{text[4:6]}-{text[6:8]}", "D"), []).append(path)
        return by_day

    def deliver(self, *, instead_of: Sequence[Path] = ()) -> None:
        """Move the files that wait into the folder, and then remove those that they take the place of."""
        if not self.folder.exists() and self.waiting.exists():
            os.rename(self.waiting, self.folder)
            return
        names = {path.name for path in sorted(self.waiting.glob("*.nc"))}
        for name in sorted(names):
            os.replace(self.waiting / name, self.folder / name)
        for path in instead_of:
            if path.name not in names:
                path.unlink(missing_ok=True)
        self.discard()


def checksum_of(path: Path) -> int:
    """Return a checksum of a file's bytes."""
    return zlib.crc32(path.read_bytes())
