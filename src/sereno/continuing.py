"""What an analysis on disk depends on, and the store in which it is made or gone on with."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import xarray as xr

from sereno.config import RunConfig, as_mapping, configure_at_once
from sereno.cube import field_name, field_of, select_period, span
from sereno.errors import InputError
from sereno.io.artefact import check_fits, fingerprint
from sereno.io.filled import FilledStore, blank_analysis, checksums
from sereno.methods import Progress
from sereno.networks import BareNetwork
from sereno.workflow import Model, load, model_for, product_of, save, settings_of

_LOOKS = 3


def is_folder(output: Path) -> bool:
    """Tell whether an output is a folder of daily files."""
    return output.suffix not in (".nc", ".zarr")


def store_of(output: Path) -> Path:
    """Return where the store of an output is."""
    return output if output.suffix == ".zarr" else output.with_name(f"{output.name}.filling.zarr")


def settings_for(
    cube: xr.Dataset, method: Model | BareNetwork | RunConfig | str, wanted: np.ndarray, **options: bool
) -> dict[str, str]:
    """Return all that the maps depend on, to be compared with when a store is gone on with."""
    config = settings_of(configure_at_once(method) if isinstance(method, str) else method)
    model = "fitted on the input"
    if isinstance(method, Model):
        model = fingerprint(method.reconstructor.state())
    elif isinstance(method, BareNetwork):
        model = f"{fingerprint(method.state)}, completed on the input"
    some = cube["time"].values[np.unique(np.linspace(0, cube.sizes["time"] - 1, _LOOKS).astype(int))]
    lat, lon, water = (cube[name].values for name in ("lat", "lon", "water"))
    grid = f"{lat.size} × {lon.size} cells, {int(water.sum())} of water, from {lat[0]:.4f} N {lon[0]:.4f} E"
    period = "{:.10}:{:.10}".format(*np.datetime_as_string(wanted[[0, -1]]))
    return {
        "model": model,
        **_flat(as_mapping(config)),
        "field": f"{field_name(cube)}, {field_of(cube).attrs.get('units', '1')}",
        "grid": grid,
        "input": span(cube),
        "checksums": ", ".join(str(checksums(cube, day[None])[0]) for day in some),
        "days": period,
        **{name: str(value) for name, value in options.items()},
    }


def _flat(values: dict[str, object], prefix: str = "") -> dict[str, str]:
    """Return a nested mapping with dotted keys."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: str(value)}
    return flat


def open_or_make(
    cube: xr.Dataset,
    method: Model | BareNetwork | RunConfig | str,
    output: Path,
    days: str | None,
    settings: dict[str, str],
    *,
    nrt: bool,
    merge: bool,
    progress: Progress,
) -> tuple[FilledStore, Model]:
    """Open the store, or make it with its model, and return both.

    A model that is in memory already is not loaded once more: if the store holds another, the settings tell.
    """
    path, made = store_of(output), method if isinstance(method, Model) else None
    if not path.exists():
        if merge:
            raise InputError(f"{path}: there is nothing to merge; run the shards first")
        made = model_for(cube, method, days=days, nrt=nrt, progress=progress)
        check_fits(made.description, cube)
        blank = blank_analysis(cube, select_period(cube, days)["time"].values)
        with TemporaryDirectory() as folder:
            model = save(made, Path(folder) / "model")
            nrt, keep, packed = (settings[name] == str(True) for name in ("nrt", "keep_observed", "packed"))
            product = product_of(cube, made, nrt=nrt, keep_observed=keep)
            FilledStore.create(path, blank=blank, product=product, packed=packed, settings=settings, model=model)
    store = FilledStore.open(path)
    return store, made or model_of(store)


def model_of(store: FilledStore) -> Model:
    """Load the model that a store holds."""
    with TemporaryDirectory() as folder:
        store.model_files(Path(folder))
        model = load(folder)
    assert isinstance(model, Model)
    return model


def remedy_for(store: FilledStore, output: Path) -> str:
    """Return what to do about a store of other settings."""
    if store.path == output:
        return "repeat those settings, take in new days with --update, or fill into a new store"
    return f"repeat those settings to go on with it, or remove {store.path} to begin anew"
