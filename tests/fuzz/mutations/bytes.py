"""Files that were cut, swapped, emptied; and what else lies in a folder."""

from __future__ import annotations

import gzip
import os
import shutil
from functools import partial
from pathlib import Path

import numpy as np

from fuzz.sea import Expect, Inputs, NotApplicableError


def _file(inputs: Inputs, rng: np.random.Generator) -> str:
    """Choose a file; in a store, the file of a chunk or of metadata is chosen when it is there."""
    index = int(rng.integers(len(inputs.files)))
    inputs.bad.add(index)
    return inputs.files[index].name


def _plain(root: Path, name: str, draw: float) -> Path:
    path = root / "in" / name
    if path.is_dir():
        inside = sorted(p for p in path.rglob("*") if p.is_file())
        return inside[int(draw * len(inside))]
    return path


def _cut(root: Path, *, name: str, share: float, draw: float) -> None:
    path = _plain(root, name, draw)
    os.truncate(path, int(path.stat().st_size * share))


def _overwrite(root: Path, *, name: str, content: bytes, draw: float) -> None:
    _plain(root, name, draw).write_bytes(content)


def _flip(root: Path, *, name: str, places: np.ndarray, bits: np.ndarray, draw: float) -> None:
    path = _plain(root, name, draw)
    data = bytearray(path.read_bytes())
    for place, bit in zip(places, bits, strict=True):
        data[int(place * len(data))] ^= 1 << int(bit)
    path.write_bytes(data)


def _blank(root: Path, *, name: str, start: float, size: int, draw: float) -> None:
    path = _plain(root, name, draw)
    data = bytearray(path.read_bytes())
    first = int(start * len(data))
    data[first : first + size] = bytes(len(data[first : first + size]))
    path.write_bytes(data)


def truncated(inputs: Inputs, rng: np.random.Generator) -> Expect:
    share = float(rng.choice([0.1, 0.5, 0.9, 0.99]))
    inputs.after.append(partial(_cut, name=_file(inputs, rng), share=share, draw=rng.random()))
    return Expect.REFUSE if inputs.files[0].format == "NETCDF4" else Expect.ANY


def flipped(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """A few bits anywhere: what they meant may be lost without a trace."""
    count = int(rng.integers(1, 30))
    places, bits = rng.random(count), rng.integers(0, 8, count)
    inputs.after.append(partial(_flip, name=_file(inputs, rng), places=places, bits=bits, draw=rng.random()))
    return Expect.ANY


def blanked(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """A block of zeros, as disks and transfers leave them."""
    size, start = int(rng.choice([16, 256, 4096])), rng.random()
    inputs.after.append(partial(_blank, name=_file(inputs, rng), start=start, size=size, draw=rng.random()))
    return Expect.ANY


def replaced(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """No bytes, text, a web page, bytes of no format, for the whole of a file."""
    contents = [b"", b"not found\n", b"<!DOCTYPE html><html>503</html>", rng.bytes(5000), b"CDF\x01",
                b"\x89HDF\r\n\x1a\n", gzip.compress(b"CDF" * 100), b"PK\x03\x04" + bytes(100)]  # fmt: skip
    content = contents[rng.integers(len(contents))]
    inputs.after.append(partial(_overwrite, name=_file(inputs, rng), content=content, draw=rng.random()))
    return Expect.ANY if inputs.files[0].format.startswith("zarr") else Expect.REFUSE


def lost_from_the_store(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """A chunk or a metadata file that is not there."""
    if not inputs.files[0].format.startswith("zarr"):
        raise NotApplicableError
    draw, name = rng.random(), inputs.files[0].name
    inputs.after.append(lambda root: _plain(root, name, draw).unlink())
    return Expect.ANY


def odd_metadata_of_the_store(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Numbers of the store's metadata changed: shapes, chunks, fill values."""
    if not inputs.files[0].format.startswith("zarr"):
        raise NotApplicableError
    name = inputs.files[0].name
    old, new = [
        ('"shape"', '"shapes"'), ("12", "0"), ("16", "-1"), ("12", "999999999999"), ("null", '"x"'), ('"C"', '"Z"'),
        ("]", ""), ('"zarr_format"', '"zarr_formats"'), ("bytes", "bites"), ("true", "7"), ("<", ">"),
    ][rng.integers(11)]  # fmt: skip
    draw = rng.random()

    def change(root: Path) -> None:
        inside = sorted(
            p for p in (root / "in" / name).rglob("*") if p.name in (".zarray", "zarr.json", ".zmetadata", ".zattrs")
        )
        path = inside[int(draw * len(inside))]
        path.write_text(path.read_text().replace(old, new))

    inputs.after.append(change)
    return Expect.ANY


def _beside(inputs: Inputs) -> None:
    if inputs.files[0].format.startswith("zarr"):
        raise NotApplicableError


def other_files_beside(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """What lies in folders of data and is none."""
    _beside(inputs)
    name = str(rng.choice(["README.txt", ".hidden.nc", ".a.nc.1f3a.part", "a.nc.md5", "list", "thumbs/a.png"]))

    def add(root: Path) -> None:
        path = root / "in" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("no data")

    inputs.after.append(add)
    return Expect.SAME


def a_pipe_beside(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """A named pipe, which no one writes to."""
    _beside(inputs)
    inputs.names.append("pipe.nc")
    inputs.after.append(lambda root: os.mkfifo(root / "in" / "pipe.nc"))
    return Expect.EITHER


def a_link_to_nowhere_beside(inputs: Inputs, rng: np.random.Generator) -> Expect:
    _beside(inputs)
    inputs.names.append("link.nc")
    inputs.after.append(lambda root: os.symlink("/nowhere/x.nc", root / "in" / "link.nc"))
    return Expect.EITHER


def a_folder_named_as_a_file(inputs: Inputs, rng: np.random.Generator) -> Expect:
    _beside(inputs)
    inputs.names.append("folder.nc")
    inputs.after.append(lambda root: (root / "in" / "folder.nc").mkdir())
    return Expect.EITHER


def in_subfolders(inputs: Inputs, rng: np.random.Generator) -> Expect:
    _beside(inputs)
    names = [file.name for file in inputs.files]

    def move(root: Path) -> None:
        for index, name in enumerate(names):
            folder = root / "in" / str(index % 3) / "x y"
            folder.mkdir(parents=True, exist_ok=True)
            shutil.move(root / "in" / name, folder / name)

    inputs.after.append(move)
    return Expect.SAME


def odd_names(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Names with spaces, brackets, letters that ASCII has not."""
    _beside(inputs)
    for index, file in enumerate(inputs.files):
        file.name = ["a b {}.nc", "ä°{}.nc", "[x]{}.nc", "-o{}.nc", "{}.NC.nc", "%d{}.nc4"][rng.integers(6)].format(
            index
        )
    return Expect.SAME


def nothing_there(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """An empty folder, or none."""
    _beside(inputs)
    gone = rng.random() < 0.5

    def clear(root: Path) -> None:
        shutil.rmtree(root / "in")
        if not gone:
            (root / "in").mkdir()

    inputs.after.append(clear)
    inputs.names.append("in:")
    return Expect.REFUSE
