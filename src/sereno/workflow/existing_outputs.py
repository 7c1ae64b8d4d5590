"""An output that exists: the same analysis, so that nothing is left to do, or another, which is kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sereno.errors import InputError
from sereno.io.inputs.opening import open_dataset
from sereno.io.outputs.daily import DailyFolder
from sereno.io.outputs.provenance import Product
from sereno.io.stores.base import differences
from sereno.io.stores.checksums import digest
from sereno.workflow.fill_request import MOVING, Request, store_of
from sereno.workflow.influence import Influence

RECORD = "sereno_fill"
"""Attribute of a finished file: the settings it was filled with, and a checksum of the images it was filled from."""
_SHOWN = 2


def is_done_already(ask: Request) -> bool:
    """Return whether the finished files at an output are those that are asked for.

    A store is not examined here: it has its own records.

    Raises
    ------
    InputError
        If an analysis of other days, settings or images exists, or something else, and is not to be replaced.
    """
    if ask.overwrite or ask.output.suffix == ".zarr":
        return False
    if ask.in_folder:
        return not store_of(ask.output).exists() and _days_are_done(ask)
    if not ask.output.exists():
        return False
    _require_same(ask, [ask.output], ask.wanted, ask.settings)
    return True


def with_record(product: Product, settings: Mapping[str, Any], around: np.ndarray, *, reach: int) -> Product:
    """Return a product that says what it was filled with, and from which images within which reach."""
    record = {"settings": dict(settings), "images": digest(around), "reach": reach}
    return replace(product, attributes={**product.attributes, RECORD: json.dumps(record, sort_keys=True)})


def others_than(settings: Mapping[str, Any], folder: Path) -> list[Path]:
    """Return the analyses in a folder that were not filled with these settings, whatever their days."""
    fixed = {key: value for key, value in settings.items() if key not in MOVING}
    files = [path for paths in DailyFolder(folder).of_days().values() for path in paths]
    return [path for path in files if (record := _record_of(path)) is None or differences(record["settings"], fixed)]


def _days_are_done(ask: Request) -> bool:
    """Return whether a folder has the files of all days as they are asked for."""
    settings = ask.fixed_settings
    there = DailyFolder(ask.output).of_days()
    wanted = ask.wanted.astype("datetime64[D]")
    for day in wanted:
        _require_same(ask, there.get(day, []), day[None], settings, any_images=ask.update)
    if there and not set(there) & set(wanted):  # days before or after those: of one product all the same
        _require_same(ask, next(iter(there.values())), wanted[:1], settings, any_images=True)
    return not ask.update and all(len(there.get(day, [])) == 1 for day in wanted)


def _require_same(
    ask: Request, files: list[Path], days: np.ndarray, settings: dict[str, str], *, any_images: bool = False
) -> None:
    """Refuse files that are not what would be written in their place, from any images or the same."""
    for file in files:
        record = _record_of(file)
        if record is None:
            other = ["it says not what it was made with"]
        else:
            other = differences(record["settings"], settings)
            if not other and not any_images:
                influence = Influence(ask.images, record["reach"], ask.options.nrt)
                same = digest(influence.around(days)) == record["images"]
                other = [] if same else ["the input held other images"]
        if other:
            more = f", and {len(other) - _SHOWN} more" if len(other) > _SHOWN else ""
            raise InputError(
                f"{file}: it exists and is another analysis ({'; '.join(other[:_SHOWN])}{more}); choose "
                "another output, or replace it with `overwrite`"
            )


def _record_of(file: Path) -> dict[str, Any] | None:
    """Return what a file says of how it was filled; None where it does not say, or cannot be read."""
    try:
        record = json.loads(open_dataset(file).attrs[RECORD])
        return dict(record) if {"settings", "images", "reach"} <= set(record) else None
    except (InputError, KeyError, TypeError, ValueError):
        return None
