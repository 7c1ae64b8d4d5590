"""Saved models: a folder of JSON, safetensors and NetCDF that another machine and a later version can read.

``model.json`` describes the model, ``weights.safetensors`` holds its tensors, ``fields.nc`` its maps; never pickle.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import xarray as xr
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from safetensors.numpy import save

from sereno.cube import field_name, field_of, parse_period, span
from sereno.errors import InputError, file_edge
from sereno.grids.cells import KM_PER_DEGREE
from sereno.io.models.model_files import REMEDY, digest, read_fields, read_json, read_tensors, require_whole
from sereno.io.outputs.atomic import atomic_path, write_dataset
from sereno.methods import State

FORMAT_VERSION = 1
PACKAGED = "the package of sereno: trained on simulated seas, on no day that was measured"
"""What weights that come with the package were trained on, as `ModelDescription.weights_from`."""
Weights = Callable[["ModelDescription"], Mapping[str, tuple[int, ...]] | None]
"""Returns the shapes of the tensors that go with a description; None where there may be any."""
SPACING_TOLERANCE = 0.1
"""Relative difference of grid spacing beyond which a model does not fit a cube."""

_DESCRIPTION, _WEIGHTS, _FIELDS = "model.json", "weights.safetensors", "fields.nc"

_Spacing = Annotated[float, Field(ge=0, le=50_000)]


@dataclass(frozen=True, config=ConfigDict(allow_inf_nan=False))
class ModelDescription:
    """What a saved model says about itself: how it was made and what it may be used on.

    Attributes
    ----------
    method
        Name of the method.
    config
        The resolved run configuration as a nested mapping.
    field, units
        The field it was fitted on.
    spacing_degrees, spacing_km
        Grid spacing along latitude and longitude; the latter in km at the middle latitude. 0 for a single cell.
    time_step_days
        Days between two images.
    training_period
        First and last day of what it was fitted on, as ``A:B``; but for weights of a network trained elsewhere.
    seed
        Seed of everything random.
    scores
        Scores on withheld data, in the shape that `evaluate` gives them.
    versions
        Versions of the packages it was made with.
    grid_bound
        True where the model holds maps and so works on its own grid alone.
    lat, lon
        That grid, degrees; empty where the model is not bound to it.
    weights_from, weights_period
        Of a network trained elsewhere, what its weights were trained on, and the first and last day of it as ``A:B``,
        empty where not known.
    """

    method: str
    config: dict[str, Any]
    field: str
    units: str
    spacing_degrees: tuple[_Spacing, _Spacing]
    spacing_km: tuple[_Spacing, _Spacing]
    training_period: str
    time_step_days: float = Field(default=1.0, gt=0, le=3660)
    seed: int = 0
    scores: dict[str, Any] = dataclasses.field(default_factory=dict)
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    grid_bound: bool = False
    lat: tuple[Annotated[float, Field(ge=-90.5, le=90.5)], ...] = ()
    lon: tuple[Annotated[float, Field(ge=-720, le=720)], ...] = ()
    weights_from: str = ""
    weights_period: str = ""

    def __post_init__(self) -> None:
        """Refuse axes that do not ascend, a grid without cells, and periods that are none."""
        for axis in ("lat", "lon"):
            cells = getattr(self, axis)
            if (self.grid_bound and not cells) or (np.diff(cells) <= 0).any():
                raise ValueError(f"{axis} must ascend, and a model that is bound to its grid has some")
        for period in filter(None, (self.training_period, self.weights_period)):
            parse_period(period)

    @classmethod
    def of(
        cls,
        cube: xr.Dataset,
        config: dict[str, Any],
        *,
        seed: int = 0,
        scores: dict[str, Any] | None = None,
        grid_bound: bool = False,
    ) -> Self:
        """Describe a model fitted on `cube` with a run configuration (its ``model.method`` names the method)."""
        degrees, km = _spacing(cube)
        packages = ["sereno", "numpy", "xarray", *(["torch"] if "torch" in sys.modules else [])]
        return cls(
            method=config["model"]["method"],
            config=config,
            field=field_name(cube),
            units=_units(cube),
            spacing_degrees=degrees,
            spacing_km=km,
            training_period=span(cube),
            seed=seed,
            scores=scores or {},
            versions={name: version(name) for name in packages},
            grid_bound=grid_bound,
            lat=tuple(cube["lat"].values.tolist()) if grid_bound else (),
            lon=tuple(cube["lon"].values.tolist()) if grid_bound else (),
            weights_from=PACKAGED if config["model"].get("weights") == "packaged" else "",
        )

    @classmethod
    def of_network(cls, config: dict[str, Any], *, weights_from: str, weights_period: str) -> Self:
        """Describe a bare network, which has neither field nor grid, and no period but that of its weights."""
        return cls(
            method=config["model"]["method"],
            config=config,
            field="",
            units="",
            spacing_degrees=(0.0, 0.0),
            spacing_km=(0.0, 0.0),
            training_period="",
            weights_from=weights_from,
            weights_period=weights_period,
            versions={"sereno": version("sereno")},
        )

    def summary(self) -> dict[str, Any]:
        """Return the description without the grid's coordinates, short enough for an attribute of a file."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in ("lat", "lon")}


_ADAPTER: TypeAdapter[ModelDescription] = TypeAdapter(ModelDescription)


def save_model(model_dir: str | Path, state: State, description: ModelDescription) -> Path:
    """Save a fitted method; an older model of that name is replaced in one step.

    Parameters
    ----------
    model_dir
        The folder to make.
    state
        What the method must store. Lists and tuples among its values come back as lists.
    description
        What the model says about itself.

    Raises
    ------
    InputError
        If the parent folder is missing, or `model_dir` is a folder of something else.
    """
    with atomic_path(model_dir, replaces=(_DESCRIPTION,)) as folder:
        folder.mkdir()
        if state.tensors:
            # safetensors takes the memory as it lies: C order, so that a transposed array is not scrambled.
            tensors = {name: np.asarray(tensor, order="C") for name, tensor in state.tensors.items()}
            (folder / _WEIGHTS).write_bytes(save(tensors))
        if state.fields is not None:
            write_dataset(state.fields, folder / _FIELDS)
        document = {
            "format": FORMAT_VERSION,
            **dataclasses.asdict(description),
            "values": state.values,
            "files": {path.name: digest(path) for path in sorted(folder.iterdir())},
        }
        text = json.dumps(document, indent=1, default=lambda value: value.tolist())  # NumPy scalars and arrays
        (folder / _DESCRIPTION).write_text(text + "\n", encoding="utf-8")
    return Path(model_dir)


def load_model(model_dir: str | Path, *, weights: Weights | None = None) -> tuple[State, ModelDescription]:
    """Load a saved model, after checking that each of its files is complete and no larger than it has to be.

    Parameters
    ----------
    weights
        Returns for a description the shapes of the required tensors; any others may only be short tables.
        Where it is not given, the model may hold any.

    Returns
    -------
    tuple of State and ModelDescription

    Raises
    ------
    InputError
        If the model is missing, damaged, or of a newer format.
    """
    folder = Path(model_dir)
    with file_edge(f"{folder / _DESCRIPTION}: damaged", REMEDY):
        description, values, files = _parsed(_read_document(folder))
        wanted = None if weights is None else weights(description)
    for name, recorded in files.items():
        require_whole(folder / name, recorded)
    tensors = read_tensors(folder / _WEIGHTS, wanted) if _WEIGHTS in files else {}
    grid = {"lat": description.lat, "lon": description.lon} if description.grid_bound else {}
    fields = read_fields(folder / _FIELDS, grid) if _FIELDS in files else None
    return State(values, tensors, fields), description


def fingerprint(state: State) -> str:
    """Return a digest of all that a fitted method stores."""
    digest = hashlib.sha256(json.dumps(state.values, sort_keys=True, default=lambda value: value.tolist()).encode())
    fields = {} if state.fields is None else {str(name): field.values for name, field in state.fields.items()}
    for name, array in sorted({**state.tensors, **fields}.items()):
        digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:12]


def check_fits(description: ModelDescription, cube: xr.Dataset) -> None:
    """Make sure that a model may be used on a cube.

    Raises
    ------
    InputError
        Lists every mismatch: field, units, grid spacing (km, along either axis), time step, and the grid itself for
        a model bound to it.
    """
    faults = []
    if field_name(cube) != description.field:
        faults.append(f"field: the model fills {description.field!r}, the input holds {field_name(cube)!r}")
    if _units(cube) != description.units:
        faults.append(f"units: the model's are {description.units!r}, the input's {_units(cube)!r}")
    step = _time_step(cube)
    if step and step != description.time_step_days:
        faults.append(f"time step: the model's is {description.time_step_days:g} days, the input's {step:g}")
    spacings = zip(("latitude", "longitude"), description.spacing_km, _spacing(cube)[1], strict=True)
    for axis, mine, theirs in spacings:
        if mine and theirs and abs(theirs - mine) > SPACING_TOLERANCE * mine:
            faults.append(f"grid spacing along {axis}: the model's is {mine:.2f} km, the input's {theirs:.2f} km")
    if description.grid_bound:
        faults += _other_cells("lat", np.array(description.lat), cube["lat"].values)
        faults += _other_cells("lon", np.array(description.lon), cube["lon"].values)
    if faults:
        listed = "\n".join(f"  {line}" for line in faults)
        raise InputError(f"the model ({description.method}) does not fit the input:\n{listed}\nfit a model on it")


def _read_document(folder: Path) -> dict[str, Any]:
    """Read ``model.json`` and check its format."""
    path = folder / _DESCRIPTION
    if not path.exists():
        raise InputError(f"{folder}: no model there ({_DESCRIPTION} is missing); give a folder made by `fit`")
    document = read_json(path)
    number = document.pop("format", None) if isinstance(document, dict) else None
    if type(number) is not int or number < 1:
        raise InputError(f"{path}: damaged, it states no format; {REMEDY}")
    if number > FORMAT_VERSION:
        raise InputError(f"{path}: format {number} is newer than this sereno reads ({FORMAT_VERSION}); update sereno")
    return dict(document)


def _parsed(document: dict[str, Any]) -> tuple[ModelDescription, dict[str, Any], dict[str, Any]]:
    """Return description, values and files; a ValueError for what cannot be."""
    if absent := {"values", "files"} - document.keys():
        raise ValueError(f"{sorted(absent)[0]!r} is missing")
    values, files = document.pop("values"), document.pop("files")
    if not isinstance(values, dict) or not isinstance(files, dict):
        raise ValueError("values and files must be tables")
    if other := files.keys() - {_WEIGHTS, _FIELDS}:
        raise ValueError(f"it names the file {sorted(other)[0]!r:.60}, and no model has such a one")
    try:
        return _ADAPTER.validate_python(document), values, files
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc'])):.80}: {fault['msg']:.80}" for fault in error.errors()]
        raise ValueError("; ".join(faults[:3])) from None


def _units(cube: xr.Dataset) -> str:
    return str(field_of(cube).attrs.get("units", ""))


def _spacing(cube: xr.Dataset) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the median spacing along latitude and longitude, in degrees and in km."""
    lat, lon = (float(np.median(np.diff(cube[dim]))) if cube[dim].size > 1 else 0.0 for dim in ("lat", "lon"))
    middle = np.radians(float(cube["lat"].mean()))
    return (lat, lon), (lat * KM_PER_DEGREE, lon * KM_PER_DEGREE * float(np.cos(middle)))


def _time_step(cube: xr.Dataset) -> float:
    """Return the days between two images, 0 where there is only one."""
    step = np.diff(cube["time"].values)
    return float(np.median(step) / np.timedelta64(1, "D")) if step.size else 0.0


def _other_cells(axis: str, mine: np.ndarray, theirs: np.ndarray) -> list[str]:
    """Return a line that says, if so, that the cells of a cube are not those of the model."""
    # A hundredth of a cell: the same grid in float32 passes, a shifted grid does not.
    slack = 0.01 * float(np.median(np.diff(mine))) if mine.size > 1 else 1e-4
    if mine.shape == theirs.shape and np.allclose(mine, theirs, rtol=0, atol=slack):
        return []
    model, given = (f"{a.size} cells from {a[0]:.4f} to {a[-1]:.4f}" for a in (mine, theirs))
    return [f"{axis}: the model holds maps of {model}, the input has {given}"]
