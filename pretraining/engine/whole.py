"""Files that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch


def write_whole(held: Any, path: Path) -> None:  # noqa: ANN401
    """Write what torch can, first under another name: a kill or a full disk leaves what there was."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        torch.save(held, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
