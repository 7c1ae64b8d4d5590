"""What an analysis on disk depends on, the store in which it is made or continued, and what stands there already."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import xarray as xr

from sereno.config import RunConfig, as_mapping
from sereno.cube import field_name, field_of, list_of_days, select_period, span
from sereno.errors import InputError
from sereno.io.models.model_folder import check_fits, fingerprint
from sereno.io.outputs.analysis import day_file
from sereno.io.outputs.atomic import discard
from sereno.io.outputs.daily import DailyFolder
from sereno.io.outputs.level4 import Product
from sereno.io.stores.base import differences
from sereno.io.stores.checksums import Images, digest
from sereno.io.stores.filled import NOT_YET, FilledStore, blank_analysis
from sereno.progress import Progress
from sereno.workflow.bare_networks import BareNetwork
from sereno.workflow.choices import AnyMethod, settings_of
from sereno.workflow.fill import product_of
from sereno.workflow.fit import model_for
from sereno.workflow.models import Model, load, save

MOVING = frozenset({"input", "days", "checksums"})
"""Settings that an update may change."""
_LOOKS = 3
RECORD = "sereno_fill"
"""Attribute of a finished file: the settings it was filled with, and a checksum of the images it was filled from."""


@dataclass(frozen=True)
class Request:
    """What is asked for: days of a cube, filled by a method, at an output.

    Attributes
    ----------
    cube, method, output, days, nrt, keep_observed, packed, update, overwrite
        As `sereno.workflow.fill_to.fill_to` takes them.
    alone
        Whether no other process may be at work on the output.
    """

    cube: xr.Dataset
    method: AnyMethod
    output: Path
    days: str | None
    nrt: bool
    keep_observed: bool
    packed: bool
    update: bool
    overwrite: bool
    alone: bool

    @property
    def wanted(self) -> np.ndarray:
        """The days to fill."""
        return np.asarray(select_period(self.cube, self.days)["time"].values)

    @property
    def config(self) -> RunConfig:
        """The configuration of the method."""
        return settings_of(self.method)

    def product(self, model: Model) -> Product:
        """Return what the files say of themselves."""
        return product_of(self.cube, model, nrt=self.nrt, keep_observed=self.keep_observed)


def is_folder(output: Path) -> bool:
    """Tell whether an output is a folder of daily files."""
    return output.suffix not in (".nc", ".zarr")


def store_of(output: Path) -> Path:
    """Return where the store of an output is: itself, unless it is no store or one that replaces it is being made."""
    beside = _beside(output)
    return output if output.suffix == ".zarr" and not beside.exists() else beside


def _beside(output: Path) -> Path:
    return output.with_name(f"{output.name}.filling.zarr")


def settings_for(ask: Request, images: Images) -> dict[str, str]:
    """Return all that the maps depend on, to be compared with when a store is continued."""
    cube, method, wanted = ask.cube, ask.method, ask.wanted
    model = "fitted on the input"
    if isinstance(method, Model):
        model = fingerprint(method.reconstructor.state())
    elif isinstance(method, BareNetwork):
        model = f"{fingerprint(method.state)}, completed on the input"
    some = cube["time"].values[np.unique(np.linspace(0, cube.sizes["time"] - 1, _LOOKS).astype(int))]
    lat, lon, water = (cube[name].values for name in ("lat", "lon", "water"))
    grid = f"{lat.size} × {lon.size} cells, {int(water.sum())} of water, from {lat[0]:.4f} N {lon[0]:.4f} E"
    options = {"nrt": ask.nrt, "keep_observed": ask.keep_observed, "packed": ask.packed}
    return {
        "model": model,
        **_flat(as_mapping(ask.config)),
        "field": f"{field_name(cube)}, {field_of(cube).attrs.get('units', '1')}",
        "grid": grid,
        "input": span(cube),
        "checksums": ", ".join(map(str, images.of(some))),
        "days": "{:.10}:{:.10}".format(*np.datetime_as_string(wanted[[0, -1]])),
        **{name: str(value) for name, value in options.items()},
    }


def _flat(values: dict[str, object], prefix: str = "") -> dict[str, str]:
    """Return a nested mapping with dotted keys."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: str(value)}
    return flat


def open_or_make(
    ask: Request, settings: dict[str, str], *, merge: bool, progress: Progress
) -> tuple[FilledStore, Model]:
    """Open the store, or make it with its model, and return both.

    A model that is in memory already is not loaded once more: if the store holds another, the settings tell.
    """
    path, made = _place(ask, settings), ask.method if isinstance(ask.method, Model) else None
    if not path.exists():
        if merge:
            raise InputError(f"{path}: there is nothing to merge; run the shards first")
        made = model_for(ask.cube, ask.method, days=ask.days, nrt=ask.nrt, progress=progress)
        check_fits(made.description, ask.cube)
        blank = blank_analysis(ask.cube, ask.wanted)
        with TemporaryDirectory() as folder:
            model = save(made, Path(folder) / "model")
            product = ask.product(made)
            FilledStore.create(path, blank=blank, product=product, packed=ask.packed, settings=settings, model=model)
    store = FilledStore.open(path)
    return store, made or model_of(store)


def _place(ask: Request, settings: dict[str, str]) -> Path:
    """Return where the store is or has to be made; one that is worth nothing, or to be replaced, is removed."""
    path = store_of(ask.output)
    if not path.exists():
        return path
    store = FilledStore.open(path)
    fits = not differences(
        store.settings, {key: settings[key] for key in settings if not (ask.update and key in MOVING)}
    )
    worthless = store.unfinished and not store.count_done()
    if (fits and store.unfinished) or not (ask.overwrite or (worthless and ask.alone and not fits)):
        return path
    if path == ask.output and not worthless:
        return _beside(path)  # what stands there stays until the new one is whole
    if not ask.alone:
        raise InputError(f"{path}: is of another run; remove it, or run the same command once without --shard")
    discard(path)
    DailyFolder(ask.output).discard()
    return path


def model_of(store: FilledStore) -> Model:
    """Load the model that a store holds."""
    with TemporaryDirectory() as folder:
        store.model_files(Path(folder))
        model = load(folder)
    assert isinstance(model, Model)
    return model


def require_same(ask: Request, store: FilledStore, settings: Mapping[str, str]) -> None:
    """Refuse to continue a store of other settings, or in another period of the input."""
    remedy = f"repeat those settings to go on with it, or begin anew with --overwrite, which removes {store.path}"
    if store.path == ask.output:
        remedy = (
            "repeat those settings, take in new days with --update, replace it with --overwrite, or fill elsewhere"
        )
    store.require_settings({key: value for key, value in settings.items() if key != "checksums"}, remedy=remedy)


def from_other_images(
    ask: Request, store: FilledStore, images: Images, scope: np.ndarray, *, reach: int
) -> np.ndarray:
    """Return those days of `scope` that are done, but from other images than the input holds now."""
    done = np.isin(store.days, scope) & (store.checksums != NOT_YET)
    days, noted = store.days[done], store.noted[0][done]
    other = images.of(days) != store.checksums[done]
    other |= (noted != NOT_YET) & (images.around(days, reach=reach, nrt=ask.nrt) != noted)
    return np.asarray(days[other])


def require_same_images(ask: Request, store: FilledStore, settings: Mapping[str, str], other: np.ndarray) -> None:
    """Refuse to continue where days were filled from `other` images, or a shard where the input is another.

    A shard looks at few images but its own; `merge` looks at all.

    Raises
    ------
    InputError
        Names the days, and what to do.
    """
    update = "" if ask.output.suffix == ".nc" or not ask.alone else "take the changes in with --update, "
    remedy = f"give the input as it was, {update}or begin anew with --overwrite"
    if other.size:
        raise InputError(
            f"{store.path}: {other.size} of its days were filled from other images than the input holds now: "
            f"{list_of_days(other)}; {remedy}"
        )
    if not ask.alone and store.settings["checksums"] != settings["checksums"]:
        raise InputError(f"{store.path}: was begun with other images than the input holds now; {remedy}")


def find_lost(ask: Request, store: FilledStore, model: Model, scope: np.ndarray) -> np.ndarray:
    """Return the days that are done and whose maps, or files, are lost or damaged."""
    done = np.isin(store.days, scope) & (store.checksums != NOT_YET)
    if not is_folder(ask.output):
        return store.damaged(store.days[done])
    folder, blank, product = DailyFolder(ask.output), blank_analysis(ask.cube, ask.wanted[:1]), ask.product(model)
    sums = [None if not store.unfinished or noted == NOT_YET else int(noted) for noted in store.noted[1][done]]
    days = store.days[done]
    names = [day_file(ask.output, blank, product, day).name for day in days]
    return np.asarray(days[[folder.lacks(*each) for each in zip(names, sums, strict=True)]])


def with_record(product: Product, settings: Mapping[str, Any], around: np.ndarray, *, reach: int) -> Product:
    """Return a product that says what it was filled with, and from which images within which reach."""
    record = {"settings": dict(settings), "images": digest(around), "reach": reach}
    return replace(product, attributes={**product.attributes, RECORD: json.dumps(record, sort_keys=True)})
