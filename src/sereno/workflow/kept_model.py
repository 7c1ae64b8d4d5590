"""The model that a fill fitted on its input, kept next to the output for when the same sea is filled again.

It is the folder of a model, ``OUT.model``, with one more file that says what the model was fitted on. It is used
again where all of that is the same: the images and their stated errors, the grid, the water, the file of the
climatology, the settings, and the program. Where anything differs, is missing or is damaged, a model is fitted as
before.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sereno.config import as_mapping
from sereno.cube import Period, select_period
from sereno.errors import InputError
from sereno.gaps.hiding import visible_part
from sereno.io.inputs.static_maps import climatology_table
from sereno.io.models.model_files import digest as digest_of_file
from sereno.io.models.model_files import read_json
from sereno.io.models.model_folder import fingerprint
from sereno.io.outputs.atomic import atomic_path, discard
from sereno.io.stores.checksums import Images, digest
from sereno.methods import METHODS
from sereno.progress import Progress
from sereno.workflow.choices import AnyMethod, Choice, choice_of
from sereno.workflow.fit import model_for
from sereno.workflow.models import Model, load, save

RECORD, _DESCRIPTION = "fitted_on.json", "model.json"


@dataclass(frozen=True)
class Fitted:
    """A model to fill with.

    Attributes
    ----------
    model
        The model.
    kept
        The folder where it lies next to the output; None where it does not.
    reused
        Whether it was taken from there.
    """

    model: Model
    kept: Path | None = None
    reused: bool = False

    def forget(self) -> None:
        """Remove what this run kept, because nothing could be filled with it."""
        if self.kept is not None and not self.reused and self.kept.exists():
            discard(self.kept)


def place_of(output: Path) -> Path:
    """Return where the model that is fitted for an output is kept."""
    return output.with_name(f"{output.name}.model")


def fitted_or_kept(
    cube: xr.Dataset,
    method: AnyMethod,
    output: Path,
    *,
    days: Period | None,
    nrt: bool,
    images: Images,
    keep: bool,
    progress: Progress,
) -> Fitted:
    """Return the model to fill days of a cube with: as `sereno.workflow.fit.model_for`, or the one that was kept.

    Parameters
    ----------
    cube, method, days, nrt
        As `sereno.workflow.fill_to.fill_to` takes them.
    images
        Checksums of the cube's images.
    keep
        Whether a model that is fitted is kept; not where several processes are at work on the output.
    """
    choice = None if isinstance(method, Model) else choice_of(method, at_once=True)
    if choice is None or choice.row.name not in METHODS:  # of a method of your own, no version is known
        return Fitted(model_for(cube, method, days=days, nrt=nrt, progress=progress))
    place = place_of(output)
    last = select_period(cube, days)["time"].values[0] if nrt else cube["time"].values[-1]
    record = _record(cube.sel(time=slice(None, last)), choice, images, nrt=nrt)
    kept = _load(place, record)
    if kept is not None:
        return Fitted(kept, place, reused=True)
    model = model_for(cube, method, days=days, nrt=nrt, progress=progress)
    return Fitted(model, place if keep and _save(model, place, record) else None)


def _record(cube: xr.Dataset, choice: Choice, images: Images, *, nrt: bool) -> dict[str, Any]:
    """Return all that a fitted model depends on."""
    visible, days = visible_part(cube), cube["time"].values
    field = str(visible.attrs["field"])
    record: dict[str, Any] = {
        "sereno": f"{version('sereno')}, {_program()}",
        "settings": as_mapping(choice.config),
        "nrt": nrt,
        "field": {field: {key: str(value) for key, value in visible[field].attrs.items()}},
        "days": [str(days[0]), str(days[-1]), len(days)],
        "images": digest(images.of(days)),
        "grid": [digest(visible[name].values) for name in ("lat", "lon", "water")],
    }
    if f"{field}_error" in visible:
        errors = visible.assign_attrs(field=f"{field}_error")
        record["errors"] = digest(Images(errors).of(days))
    if choice.network is not None:
        record["network"] = fingerprint(choice.network.state)
    table = climatology_table(choice.config.climatology, cube)
    if table is not None:
        record["climatology"] = digest(np.asarray(table.values))
    return dict(json.loads(json.dumps(record, default=str)))  # as it is read again


def _program() -> str:
    """Return what changes with every file of the package, also where the version does not."""
    hashed = hashlib.sha256()
    root = Path(str(files("sereno")))
    for path in sorted(path for kind in ("*.py", "*.safetensors", "*.npz") for path in root.rglob(kind)):
        status = path.stat()
        hashed.update(f"{path.relative_to(root)} {status.st_size} {status.st_mtime_ns}\n".encode())
    return hashed.hexdigest()[:12]


def _load(place: Path, record: dict[str, Any]) -> Model | None:
    """Return the model that is kept, if it is complete and was fitted on the same; None else."""
    try:
        kept = read_json(place / RECORD)
        if kept != {"fitted_on": record, _DESCRIPTION: digest_of_file(place / _DESCRIPTION)}:
            return None
        model = load(place)
    except (InputError, OSError):
        return None
    return model if isinstance(model, Model) else None


def _save(model: Model, place: Path, record: dict[str, Any]) -> bool:
    """Keep a model in the place of an older one, and return whether it could; the fill continues without."""
    try:
        with atomic_path(place, replaces=(RECORD,)) as folder:
            save(model, folder)
            kept = {"fitted_on": record, _DESCRIPTION: digest_of_file(folder / _DESCRIPTION)}
            (folder / RECORD).write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    except (InputError, OSError):
        return False
    return True
