"""Models that were damaged or tampered with, their digests made to fit again."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fuzz.sea import Expect, Inputs, NotApplicableError

ODD: tuple[Any, ...] = (float("nan"), float("inf"), -1, 0, 1e308, "x", [], {}, None, True, [[1]], 10**30, "../../x")
FITTED = Path("models")
"""Folder of fitted models beside the cases, made once."""
KINDS = {
    "linear": ["-m", "linear"],
    "interpolation": ["-m", "interpolation"],
    "network": [
        "-m",
        "convlstm",
        "--set",
        "model.window=3",
        "--set",
        "model.hidden=2",
        "--set",
        "model.max_epochs=1",
    ],
}
"""By what each is fitted."""


def _tamper(
    inputs: Inputs, rng: np.random.Generator, change: Callable[[Path], None], *, digests: bool = True
) -> None:
    """Fill by a model on which a change was made."""
    if inputs.layout not in ("ostia", "mur", "zarr2"):
        raise NotApplicableError
    kind = str(rng.choice(list(KINDS), p=[0.4, 0.3, 0.3]))
    inputs.after.append(partial(_place, kind=kind, change=change, digests=digests))
    inputs.model = kind
    inputs.verbs = ("model",)
    inputs.names.append("model")


def _place(root: Path, *, kind: str, change: Callable[[Path], None], digests: bool) -> None:
    model = root / "model"
    shutil.copytree(root.parent / FITTED / kind, model)
    change(model)
    if digests and (model / "model.json").is_file():
        _recompute(model)


def _recompute(model: Path) -> None:
    """Make the digests fit the files again, as someone would who means harm."""
    path = model / "model.json"
    try:
        described = json.loads(path.read_text())
        files = described["files"]
        for name in files:
            if (model / name).is_file():
                files[name] = hashlib.sha256((model / name).read_bytes()).hexdigest()
        path.write_text(json.dumps(described))
    except (ValueError, KeyError, TypeError, OSError, RecursionError):
        return


def _leaves(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401
    if isinstance(tree, dict):
        return [leaf for key, value in tree.items() for leaf in [(*path, key), *_leaves(value, (*path, key))]]
    if isinstance(tree, list):
        return [leaf for key, value in enumerate(tree) for leaf in _leaves(value, (*path, key))]
    return [path]


def _edit(model: Path, *, draw: float, value: Any, drop: bool) -> None:  # noqa: ANN401
    """Change one entry of the description."""
    path = model / "model.json"
    tree = json.loads(path.read_text())
    leaves = [leaf for leaf in _leaves(tree) if leaf and leaf[0] != "files"]
    *parents, last = leaves[int(draw * len(leaves))]
    inner = tree
    for key in parents:
        inner = inner[key]
    if drop and isinstance(inner, dict):
        del inner[last]
    else:
        inner[last] = value
    path.write_text(json.dumps(tree))


def odd_entry(inputs: Inputs, rng: np.random.Generator) -> Expect:
    value = ODD[rng.integers(len(ODD))]
    _tamper(inputs, rng, partial(_edit, draw=rng.random(), value=value, drop=False))
    return Expect.ANY


def dropped_entry(inputs: Inputs, rng: np.random.Generator) -> Expect:
    _tamper(inputs, rng, partial(_edit, draw=rng.random(), value=None, drop=True))
    return Expect.ANY


def _fields(model: Path, *, draw: float, value: float, share: float) -> None:
    """Change a share of one variable of the fields."""
    path = model / "fields.nc"
    with xr.open_dataset(path, decode_times=False) as opened:
        fields = opened.load()
    names = [name for name, var in fields.variables.items() if var.dtype.kind == "f"]
    name = names[int(draw * len(names))]
    values = np.array(fields[name].values)
    count = max(1, int(share * values.size))
    values.reshape(-1)[:count] = value
    variable = (fields[name].dims, values, fields[name].attrs)
    fields = fields.assign_coords({name: variable}) if name in fields.coords else fields.assign({name: variable})
    path.unlink()
    fields.to_netcdf(path)


def odd_fields(inputs: Inputs, rng: np.random.Generator) -> Expect:
    value = float(rng.choice([np.nan, np.inf, -np.inf, 1e30, -1e30, -5.0, 0.0]))
    _tamper(inputs, rng, partial(_fields, draw=rng.random(), value=value, share=float(rng.choice([0.01, 1.0]))))
    return Expect.ANY


def _weights(model: Path, *, value: float, reshape: bool) -> None:
    from safetensors.numpy import load_file, save_file

    path = model / "weights.safetensors"
    if not path.exists():
        return
    tensors = load_file(path)
    name = sorted(tensors)[0]
    tensor = np.array(tensors[name])
    if reshape:
        tensors[name] = tensor.reshape(-1)
    else:
        tensor.reshape(-1)[0] = value
        tensors[name] = tensor
    save_file(tensors, path)


def odd_weights(inputs: Inputs, rng: np.random.Generator) -> Expect:
    value = float(rng.choice([np.nan, np.inf, 1e38, -1e38]))
    _tamper(inputs, rng, partial(_weights, value=value, reshape=bool(rng.random() < 0.3)))
    return Expect.ANY


def _damage(model: Path, *, draw: float, how: str) -> None:
    inside = sorted(path for path in model.rglob("*") if path.is_file())
    path = inside[int(draw * len(inside))]
    data = path.read_bytes()
    if how == "lost":
        path.unlink()
    elif how == "pipe":
        import os

        path.unlink()
        os.mkfifo(path)
    elif how == "folder":
        path.unlink()
        path.mkdir()
    else:
        content = {"empty": b"", "cut": data[: len(data) // 2], "text": b"{}", "deep": b"[" * 100000}[how]
        path.write_bytes(content)


def damaged_file(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """A file of the model lost, cut, emptied, or swapped for a pipe."""
    how = str(rng.choice(["lost", "empty", "cut", "text", "deep", "pipe", "folder"]))
    _tamper(inputs, rng, partial(_damage, draw=rng.random(), how=how), digests=bool(rng.random() < 0.5))
    return Expect.ANY


def _flip(model: Path, *, draw: float, places: np.ndarray) -> None:
    inside = sorted(path for path in model.rglob("*") if path.is_file())
    path = inside[int(draw * len(inside))]
    data = bytearray(path.read_bytes())
    for place in places:
        data[int(place * len(data))] ^= 4
    path.write_bytes(data)


def flipped_bits(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Bits anywhere in a model, whose digests then tell, or were made to fit."""
    fit = bool(rng.random() < 0.5)
    _tamper(inputs, rng, partial(_flip, draw=rng.random(), places=rng.random(5)), digests=fit)
    return Expect.ANY


def untouched(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """A model that is whole must still do its work."""
    _tamper(inputs, rng, lambda model: None)
    return Expect.ACCEPT
