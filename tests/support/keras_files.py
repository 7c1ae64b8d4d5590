"""Golden files of Keras, and altered copies of them."""

import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py

GOLDEN = Path(__file__).parents[1] / "data" / "keras"  # make.py there made them, with Keras itself


Settings = dict[str, Any]


def altered(tmp_path: Path, name: str, alter: Callable[[Settings], None]) -> Path:
    """A golden file whose configuration was changed."""
    path = tmp_path / name
    if name.endswith(".h5"):
        shutil.copy(GOLDEN / name, path)
        with h5py.File(path, "r+") as file:
            document = json.loads(file.attrs["model_config"])
            alter(document)
            file.attrs["model_config"] = json.dumps(document)
        return path
    with zipfile.ZipFile(GOLDEN / name) as old, zipfile.ZipFile(path, "w") as new:
        document = json.loads(old.read("config.json"))
        alter(document)
        new.writestr("config.json", json.dumps(document))
        for member in ("metadata.json", "model.weights.h5"):
            new.writestr(member, old.read(member))
    return path


def altered_weights(tmp_path: Path, name: str, alter: Callable[[h5py.File], None]) -> Path:
    """A golden archive whose weights were changed."""
    path = tmp_path / name
    with zipfile.ZipFile(GOLDEN / name) as old, zipfile.ZipFile(path, "w") as new:
        buffer = io.BytesIO(old.read("model.weights.h5"))
        with h5py.File(buffer, "r+") as file:
            alter(file)
        new.writestr("model.weights.h5", buffer.getvalue())
        for member in ("metadata.json", "config.json"):
            new.writestr(member, old.read(member))
    return path
