"""Network files and tiles made to mislead are one clear error, and take neither time nor memory."""

import json
import os
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from keras_files import GOLDEN, Settings, altered, altered_weights
from odd_values import ODD, leaves

import sereno
from sereno.errors import InputError
from sereno.io.models.keras import read_keras
from sereno.workflow.bare_networks import import_keras
from sereno.workflow.tile_files import read_scale, read_tiles

BIAS = "layers/conv2d/vars/1"


def read(path: Path) -> None:
    """Take a network over, and look at it as a user would."""
    network = import_keras(path)
    saved = sereno.save(network, path.parent / "saved")
    sereno.load(saved)
    assert all(np.isfinite(tensor).all() for tensor in network.state.tensors.values())
    shutil.rmtree(saved)


@pytest.mark.parametrize("name", ["sequential.keras", "keras2.h5"])
def test_any_value_of_the_configuration_is_taken_or_refused(tmp_path: Path, name: str) -> None:
    chance = random.Random(name)
    places: list[tuple[Any, ...]] = []
    altered(tmp_path, name, lambda document: places.extend(leaves(document)))
    for place in chance.sample(places, 60):
        value = chance.choice([*ODD, 2**31, 10**9, -3, [[["x"]]]])

        def alter(document: Settings, place: tuple[Any, ...] = place, value: Any = value) -> None:  # noqa: ANN401
            node: Any = document
            for key in place[:-1]:
                node = node[key]
            node[place[-1]] = value

        try:
            read(altered(tmp_path, name, alter))
        except InputError as error:
            told = str(error)
        else:
            continue
        assert name in told.splitlines()[0], (place, value)
        assert len(told) < 3000


@pytest.mark.parametrize("size", [-4, 0, 2.5, "4", None, 10**9, True, [3, 3, 3]])
@pytest.mark.parametrize("key", ["filters", "kernel_size"])
def test_sizes_that_are_none_are_refused_before_memory_is_taken(tmp_path: Path, key: str, size: object) -> None:
    def alter(document: Settings) -> None:
        for entry in document["config"]["layers"]:
            if entry["class_name"] == "ConvLSTM2D":
                entry["config"][key] = size

    with pytest.raises(InputError, match=r"sequential\.keras"):
        read_keras(altered(tmp_path, "sequential.keras", alter))


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(file[BIAS].shape, "f4")
    layout[:] = h5py.VirtualSource("nowhere.h5", "bias", file[BIAS].shape)
    del file[BIAS]
    file.create_virtual_dataset(BIAS, layout)


def outside(file: h5py.File) -> None:
    shape = file[BIAS].shape
    del file[BIAS]
    file.create_dataset(BIAS, shape, "f4", external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)])


def linked(file: h5py.File) -> None:
    del file["layers/conv2d"]
    file["layers/conv2d"] = h5py.ExternalLink("/dev/stdin", "/")


def soft(file: h5py.File) -> None:
    del file[BIAS]
    file[BIAS] = h5py.SoftLink("/" + BIAS)


def unwritten(file: h5py.File) -> None:
    shape = file[BIAS].shape
    del file[BIAS]
    file.create_dataset(BIAS, shape, "f4", chunks=shape)


def infinite(file: h5py.File) -> None:
    file[BIAS][0] = np.inf


def enormous(file: h5py.File) -> None:
    file[BIAS][0] = 1e30


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (virtual, "lies in another file"),
        (outside, "lies in another file"),
        (linked, "lies in another file"),
        (soft, "lies in another file"),
        (unwritten, "was never written"),
        (infinite, "not finite"),
        (enormous, "not finite or beyond"),
    ],
)
def test_weights_that_the_file_does_not_hold_are_not_taken_for_zeros(
    tmp_path: Path, alter: Callable[[h5py.File], None], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_keras(altered_weights(tmp_path, "sequential.keras", alter))


@pytest.mark.parametrize("name", ["config.json", "metadata.json", "model.weights.h5"])
def test_an_archive_that_unpacks_to_much_is_refused_before_it_is_unpacked(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(GOLDEN / "sequential.keras") as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for member in ("config.json", "metadata.json", "model.weights.h5"):
            new.writestr(member, bytes(2**26) if member == name else old.read(member))
    with pytest.raises(InputError, match=rf"bomb\.keras: {name} has {2**26} bytes, packed in"):
        read_keras(path)


def test_brackets_without_end_are_no_configuration(tmp_path: Path) -> None:
    path = tmp_path / "deep.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "[" * 100_000)
    with pytest.raises(InputError, match=r"deep\.keras: damaged, its configuration is not JSON"):
        read_keras(path)


@pytest.mark.parametrize("name", ["sequential.keras", "keras2.h5"])
def test_flipped_bits_are_taken_or_refused(tmp_path: Path, name: str) -> None:
    chance, path = random.Random(name), tmp_path / name
    for _ in range(40):
        content = bytearray((GOLDEN / name).read_bytes())
        for _ in range(3):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        try:
            read(path)
        except InputError as error:
            told = str(error)
        else:
            continue
        assert name in told.splitlines()[0]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    for name, reader in (("network.keras", read_keras), ("max_std_seq.npz", read_scale)):
        os.mkfifo(tmp_path / name)
        with pytest.raises(InputError, match=rf"{name}: it is a pipe"):
            reader(tmp_path / name)


def tile(**changes: Any) -> dict[str, Any]:  # noqa: ANN401
    rng = np.random.default_rng(0)
    mask = rng.integers(-1, 2, (3, 4, 5)).astype(np.float32)
    sequence = np.stack([rng.normal(size=(3, 4, 5)).astype(np.float32), mask], -1)
    return {"sequence": sequence, "target": sequence[1], "day": np.array("2019-01-01")} | changes


def spoilt(name: str, place: tuple[int, ...], value: float) -> dict[str, Any]:
    content = tile()
    content[name] = content[name].copy()
    content[name][place] = value
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tile(), None),
        (tile(sequence=tile()["sequence"].astype(np.float64)), None),
        (spoilt("sequence", (0, 0, 0, 0), np.nan), "not finite"),
        (spoilt("target", (0, 0, 0), np.inf), "not finite"),
        (spoilt("target", (0, 0, 0), 1e30), "beyond"),
        (spoilt("sequence", (0, 0, 0, 1), 0.5), "mask"),
        (spoilt("target", (0, 0, 1), np.nan), "mask"),
        (tile(sequence=tile()["sequence"].astype(object)), "cannot be read"),
        (tile(sequence=tile()["sequence"].astype(complex)), "real numbers"),
        (tile(sequence=np.array("text")), "a tile has"),
        (tile(sequence=np.zeros((0, 4, 5, 2), np.float32), target=np.zeros((4, 5, 2), np.float32)), "a tile has"),
        (tile(day=np.array("yesterday")), "must be a day"),
        (tile(day=np.array([1, 2])), "must be a day"),
        (tile(day=np.array("9999-01-01")), "must be a day"),
    ],
)
def test_a_tile_of_any_content_is_taken_or_refused(
    tmp_path: Path, content: dict[str, Any], message: str | None
) -> None:
    np.savez(tmp_path / "max_std_seq.npz", max_std_seq=np.float32(1.5))
    np.savez(tmp_path / "training_data_0.npz", **content)
    if message is None:
        assert len(list(read_tiles(tmp_path).of_epoch(0))) == 1
        return
    with pytest.raises(InputError, match=rf"training_data_0\.npz: .*{message}"):
        read_tiles(tmp_path)


def test_a_header_that_claims_more_than_there_is_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "training_data_0.npz"
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000, 1000, 2), }".ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("sequence.npy", b"\x93NUMPY\x01\x00\x76\x00" + header)
    with pytest.raises(InputError, match=r"training_data_0\.npz: cannot be read: sequence\.npy is float32"):
        read_tiles(tmp_path)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf, 1e30, [1.0, 2.0], "x"])
def test_a_scale_that_is_none_is_refused(tmp_path: Path, scale: object) -> None:
    np.savez(tmp_path / "max_std_seq.npz", max_std_seq=np.array(scale))
    with pytest.raises(InputError, match="max_std_seq"):
        read_scale(tmp_path)
    if isinstance(scale, float):
        with pytest.raises(InputError, match="max_std_seq"):
            read_scale(json.dumps(scale))
