"""How the verb `fill` reads its options, and what it prints at the end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sereno.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import xarray as xr

    from sereno.workflow.fill_to import Filled, Shard
    from sereno.workflow.update import Update


def shard_of(text: str) -> Shard:
    """Read ``I/N``."""
    from sereno.workflow.fill_to import Shard

    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if match is None:
        raise InputError(f"--shard {text}: give I/N, such as 1/8, with I from 1 to N")
    return Shard(int(match[1]), int(match[2]))


def workers_of(text: str) -> int | str:
    """Read ``--workers``: a number, or the address of a scheduler."""
    if "://" in text:
        return text
    if not text.isdecimal() or int(text) == 0:
        raise InputError(f"--workers {text}: give a number, or the address of a Dask scheduler, tcp://host:8786")
    return int(text)


def to_do(cube: xr.Dataset, name: str, output: Path, days: str | None, *, fitted: bool, overwrite: bool) -> list[str]:
    """Return the line that says what a fill will do; none where it continues what exists."""
    from sereno.cube import select_period
    from sereno.workflow.fill_request import store_of
    from sereno.workflow.kept_model import place_of

    if store_of(output).exists() or (output.exists() and not overwrite):
        return []
    wanted, known = select_period(cube, days).sizes["time"], cube.sizes["time"]
    fill, kept = f"fill {_days(wanted)} by {name}, write {output}", place_of(output)
    if fitted:
        return [f"to do: {fill}"]
    reuse = f" or reuse {kept}" if kept.exists() else ""
    return [f"to do: fit {name} on {_days(known)}{reuse}, {fill}"]


def _days(number: int) -> str:
    return "1 day" if number == 1 else f"{number} days"


def report_lines(done: Filled) -> list[str]:
    """Return the lines that say what was done."""
    if not done.finished:
        how = f"{done.written} of its {done.days} days by {done.method}"
        lines = [f"filled a shard of {done.path}: {how}; when all shards are done, run the same command with --merge"]
    elif not done.made:
        lines = [f"nothing to do: {done.path} has all days"]
    else:
        again = f", {done.update.again.size} of them again" if done.update and done.update.again.size else ""
        days = done.written if done.update or (done.written and done.lost) else done.days
        lines = [f"wrote {done.path}: {days} days by {done.method}{again}"]
    if done.kept_model is not None:
        lines.insert(0, _of_model(done.kept_model, reused=done.reused))
    lost = [f"filled again, because their maps were lost or damaged: {done.lost} days"] if done.lost else []
    return [*(_of_update(done.update) if done.update else []), *lost, *lines]


def _of_model(place: Path, *, reused: bool) -> str:
    if reused:
        return f"reused the model in {place}: same images, same settings; remove it to have one fitted again"
    return f"kept the model in {place}: filling these images again will reuse it"


def _of_update(update: Update) -> list[str]:
    kinds = {
        "image came late": update.late,
        "image differs from before": update.changed_images,
        "image is gone": update.gone,
        "no image yet": update.empty,
    }
    return [f"{what}: {_listed(days)}" for what, days in kinds.items() if days.size]


def _listed(days: np.ndarray) -> str:
    return ", ".join(map(str, days[:5])) + (", …" if days.size > 5 else "")
