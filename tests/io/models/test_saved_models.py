"""Models of earlier versions load; damaged ones are one clear error, or still make maps that can be."""

import json
import os
import random
import shutil
import struct
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr
from odd_values import ODD, leaves
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

import sereno
from sereno.cli import app
from sereno.errors import InputError
from sereno.io.hdf5 import HDF5
from sereno.io.outputs.final_checks import guarded
from sereno.synthetic import TwinSeaConfig, twin_sea

MODELS = sorted(path for path in (Path(__file__).parents[2] / "data" / "models").iterdir() if path.is_dir())
TAMPERED = int(os.environ.get("SERENO_TAMPERED", "12"))
"""Tampered copies of each model and each of its files; more by hand."""


@pytest.fixture(scope="module")
def small_sea() -> xr.Dataset:
    return twin_sea(TwinSeaConfig(days=90, shape=(16, 16)))[["sst", "water"]]


def sealed(folder: Path) -> Path:
    """Write the digests of what the files are now, as somebody would who tampers with them."""
    document = json.loads((folder / "model.json").read_text())
    if isinstance(document.get("files"), dict):
        names = [name for name in document["files"] if (folder / name).is_file()]
        document["files"] |= {name: sha256((folder / name).read_bytes()).hexdigest() for name in names}
    (folder / "model.json").write_text(json.dumps(document))
    return folder


def judge(folder: Path, sea: xr.Dataset) -> bool:
    """Return whether a model is refused, in few words; one that is not fills maps that pass the guard of `fill`."""
    names = {name: name for name in ("mean", "std", "source")}
    try:
        analysis = sereno.fill(sea, sereno.load(folder), days="2019-02-20:2019-02-21")
        guarded(analysis, output=folder, names=names, temperature=True).compute()
    except InputError as error:
        told = str(error)
    else:
        return False
    assert len(told) < 1500
    assert len(told.splitlines()) < 10
    return True


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.name)
def test_models_of_all_versions_load_and_fill(path: Path, small_sea: xr.Dataset) -> None:
    assert not judge(path, small_sea)


def tampered_documents(text: str, chance: random.Random) -> Iterator[tuple[str, str]]:
    """Yield descriptions of a model with a value changed or left out, and what was done."""
    places = [place for place in leaves(json.loads(text)) if place[:1] not in [("lat",), ("lon",), ("versions",)]]
    for place in chance.sample(places, min(TAMPERED, len(places))):
        document = json.loads(text)
        node = document
        for key in place[:-1]:
            node = node[key]
        if chance.random() < 0.2:
            del node[place[-1]]
            yield f"{place} left out", json.dumps(document)
        else:
            node[place[-1]] = chance.choice(ODD)
            yield f"{place} = {node[place[-1]]}", json.dumps(document)


def tampered_arrays(arrays: dict[str, np.ndarray], chance: random.Random) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield arrays one of which is damaged, and what was done."""
    for _ in range(TAMPERED):
        changed = {name: array.copy() for name, array in arrays.items()}
        name = chance.choice(sorted(changed))
        what = chance.choice([*ODD[:7], "left out", "shorter", "integers", "another name", "descending"])
        array = changed.pop(name)
        if what == "shorter":
            changed[name] = array[:-1].copy()
        elif what == "integers":
            changed[name] = np.nan_to_num(array).astype(np.int32)
        elif what == "another name":
            changed["other"] = array
        elif what == "descending":
            changed[name] = array[::-1].copy()
        elif what != "left out":
            array.reshape(-1)[chance.randrange(array.size)] = what
            changed[name] = array
        yield f"{name}: {what}", changed


def dataset_of(arrays: dict[str, np.ndarray], fields: xr.Dataset, tampered: str) -> xr.Dataset:
    """Return arrays in the dims of the fields; the tampered one has dims of its own where it has another length."""
    dims = {n: fields[n].dims if n in fields.variables else ("a", "b", "c")[: a.ndim] for n, a in arrays.items()}
    try:
        return xr.Dataset({n: (dims[n], a) for n, a in arrays.items()})
    except ValueError:  # of two lengths of one dim
        dims[tampered] = ("x", "y", "z")[: len(dims[tampered])]
        return xr.Dataset({n: (dims[n], a) for n, a in arrays.items()})


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.name)
def test_a_tampered_model_is_an_input_error_or_makes_maps_that_can_be(
    path: Path, small_sea: xr.Dataset, tmp_path: Path
) -> None:
    chance = random.Random(path.name + os.environ.get("SERENO_SEED", ""))
    copy = tmp_path / "model"
    refused = []

    def check(what: str, *, seal: bool = True) -> None:
        try:
            refused.append(judge(sealed(copy) if seal else copy, small_sea))
        except BaseException as error:
            error.add_note(f"{path.name}: {what}")
            raise
        finally:
            shutil.rmtree(copy)
            shutil.copytree(path, copy)

    shutil.copytree(path, copy)
    for what, text in tampered_documents((path / "model.json").read_text(), chance):
        (copy / "model.json").write_text(text)
        check(what)
    if (path / "weights.safetensors").exists():
        for what, arrays in tampered_arrays(load_file(path / "weights.safetensors"), chance):
            save_file(arrays, copy / "weights.safetensors")
            check(what)
    fields = xr.load_dataset(path / "fields.nc")
    for what, arrays in tampered_arrays({str(n): v.values for n, v in fields.variables.items()}, chance):
        dataset_of(arrays, fields, what.partition(":")[0]).to_netcdf(copy / "fields.nc")
        check(f"fields, {what}")
    for name in ("model.json", "weights.safetensors", "fields.nc"):
        if (path / name).exists():
            content = bytearray((path / name).read_bytes())
            for _ in range(TAMPERED // 3):
                content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
                (copy / name).write_bytes(content)
                check(f"{name}: a bit", seal=name != "model.json")
    assert any(refused)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    return Path(shutil.copytree(MODELS[0].parent / "unet", path))


def rewritten(model: Path, **changes: Any) -> Path:  # noqa: ANN401
    document = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps(document | changes))
    return model


@pytest.mark.parametrize("name", ["../fields.nc", "/etc/passwd", "sub/fields.nc", "other.nc", "", "\x00", "x" * 5000])
def test_a_model_names_no_other_files(model: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"model\.json: damaged: it names the file"):
        sereno.load(rewritten(model, files={name: "0" * 64}))


@pytest.mark.parametrize("name", ["model.json", "fields.nc", "weights.safetensors"])
def test_what_is_no_regular_file_of_the_model_is_refused_and_not_waited_for(model: Path, name: str) -> None:
    content = (model / name).read_bytes()
    (model / name).unlink()
    os.mkfifo(model / name)
    with pytest.raises(InputError, match=rf"{name}: it is a pipe"):
        sereno.load(model)
    (model / name).unlink()
    (model / name).symlink_to("/dev/zero")
    with pytest.raises(InputError, match=rf"{name}: it is a device"):
        sereno.load(model)
    (model / name).unlink()
    if name != "model.json":
        (model.parent / name).write_bytes(content)
        (model / name).symlink_to(model.parent / name)
        with pytest.raises(InputError, match=rf"{name}: a link to another folder"):
            sereno.load(model)


def test_what_the_configuration_does_not_ask_for_is_refused_before_it_is_read(model: Path) -> None:
    header = {"0.network.huge": {"dtype": "F32", "shape": [2**20, 2**18], "data_offsets": [0, 2**40]}}
    text = json.dumps(header).encode()
    with open(model / "weights.safetensors", "wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        stream.truncate(stream.tell() + 2**40)  # sparse: it takes no room on the disk
    document = json.loads((model / "model.json").read_text())
    document["files"].pop("weights.safetensors")
    with pytest.raises(InputError, match=r"is missing"):
        sereno.load(rewritten(model, files=document["files"]))
    config = document["config"] | {"model": document["config"]["model"] | {"widths": [4096] * 8, "members": 64}}
    document = json.loads((MODELS[0].parent / "unet" / "model.json").read_text())
    shutil.copy(MODELS[0].parent / "unet" / "weights.safetensors", model)
    with pytest.raises(
        InputError, match=r"weights\.safetensors: .* has the shape .*, the configuration asks for|missing"
    ):
        sereno.load(rewritten(model, config=config, files=document["files"]))


def test_maps_that_a_file_cannot_hold_are_refused_before_they_are_read(model: Path) -> None:
    side = 20_000
    axis = np.linspace(1, 2, side)
    with HDF5, netCDF4.Dataset(model / "fields.nc", "w") as file:
        for dim in ("lat", "lon"):
            file.createDimension(dim, side)
            file.createVariable(dim, "f8", (dim,))[:] = axis
        file.createVariable("climatology_std", "f4", ("lat", "lon"), zlib=True)
    rewritten(model, lat=axis.tolist(), lon=axis.tolist())
    with pytest.raises(InputError, match=r"fields\.nc: .* bytes cannot hold maps of 16\d+ bytes"):
        sereno.load(sealed(model))


@pytest.mark.thorough
def test_a_damaged_model_leaves_no_output_and_the_mended_one_is_taken(model: Path, tmp_path: Path) -> None:
    small = twin_sea(TwinSeaConfig(days=90, shape=(16, 16)))[["sst", "water"]]
    small.assign(water=small["water"].astype("int8")).to_netcdf(tmp_path / "sea.nc")
    whole = (model / "model.json").read_text()
    document = json.loads(whole)
    document["values"]["method"]["guess"]["noise"] = float("nan")
    (model / "model.json").write_text(json.dumps(document))
    sea, output = str(tmp_path / "sea.nc"), str(tmp_path / "out.zarr")
    command = ["fill", sea, "-m", str(model), "-o", output, "--days", "2019-02-20"]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, InputError)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "sea.nc"]
    (model / "model.json").write_text(whole)
    assert CliRunner().invoke(app, command, catch_exceptions=False).exit_code == 0
