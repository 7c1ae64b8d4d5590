"""Every verb on what is no input at all: one line that names it, exit status 2, at once, and nothing left."""

import contextlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sereno.cube import make_cube
from sereno.io.outputs.withheld import write_withheld
from sereno.io.stores.prepared import write_cube

Run = Callable[..., tuple[int, str]]
AS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


def gone(path: Path) -> None:
    pass


def link_to_nowhere(path: Path) -> None:
    path.symlink_to("nowhere.nc")


def pipe(path: Path) -> None:
    os.mkfifo(path)


def socket_file(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as opened, contextlib.chdir(path.parent):  # whose paths must be short
        opened.bind(path.name)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


def empty(path: Path) -> None:
    path.touch()


def noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(5000))


def text(path: Path) -> None:
    path.write_text("lat,lon,sst\n36,3,290\n")


def cut_hdf5(path: Path) -> None:
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))


def cut_classic(path: Path) -> None:
    path.write_bytes(b"CDF\x01" + bytes(3))


def unreadable(path: Path) -> None:
    path.write_text("secret")
    path.chmod(0)


HOPELESS = [gone, link_to_nowhere, pipe, socket_file, device, folder, empty, noise, text, cut_hdf5, cut_classic]
HOPELESS += [] if AS_ROOT else [unreadable]
VERBS = {
    "check": "check {}",
    "check --water": "check cube.nc --water {}",
    "prepare": "prepare {} -o out.zarr",
    "prepare --climatology": "prepare cube.nc -o out.zarr --climatology {}",
    "describe": "describe {} -o out",
    "describe --config": "describe cube.nc -o out --config {}",
    "climatology": "climatology {} -o out.nc",
    "tiles": "tiles {} -o out --window 3 --size 4 4",
    "tiles --climatology": "tiles cube.nc -o out --window 3 --size 4 4 --climatology {}",
    "import-keras": "import-keras {} -o out",
    "import-keras --climatology": "import-keras net.keras -o out --climatology {}",
    "import-keras --max-std-seq": "import-keras net.keras -o out --max-std-seq {}",
    "fit": "fit {} -m climatology -o out",
    "fit --config": "fit cube.nc --config {} -o out",
    "fill": "fill {} -m climatology -o out.nc",
    "fill -m": "fill cube.nc -m {} -o out.nc",
    "fill --water": "fill cube.nc -m climatology -o out.nc --water {}",
    "evaluate": "evaluate {} -m climatology -o out",
    "evaluate -m": "evaluate cube.nc -m {} -o out",
    "evaluate --withheld": "evaluate cube.nc -m climatology -o out --withheld {}",
    "export": "export {} -o out.onnx",
    "submit": "submit {}",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small cube and a network file."""
    place = tmp_path_factory.mktemp("place")
    write_cube(a_cube(), place / "cube.nc")
    network = Path(__file__).parents[1] / "data" / "keras" / "sequential.keras"
    (place / "net.keras").write_bytes(network.read_bytes())
    return place


def a_cube() -> xr.Dataset:
    values = 290 + np.random.default_rng(0).normal(size=(6, 6, 8)).astype("float32")
    return make_cube(
        values,
        time=pd.date_range("2020-01-01", periods=6),
        lat=np.linspace(36, 38, 6),
        lon=np.linspace(0, 3, 8),
        water=np.ones((6, 8), bool),
    )


@pytest.mark.parametrize("make", HOPELESS)
@pytest.mark.parametrize("verb", VERBS)
def test_what_is_no_input_is_refused_in_one_line_that_names_it(
    run: Run, place: Path, monkeypatch: pytest.MonkeyPatch, verb: str, make: Callable[[Path], None]
) -> None:
    monkeypatch.chdir(place)
    bad = Path("bad.toml" if "--config" in verb or verb == "submit" else "bad.nc")
    if make is device and verb.endswith("-m"):
        bad = Path("bad.nc")
    before = sorted(place.rglob("*"))
    make(bad)
    try:
        status, told = run(*VERBS[verb].format(bad).split())
    finally:
        with contextlib.suppress(FileNotFoundError):
            bad.rmdir() if bad.is_dir() and not bad.is_symlink() else bad.unlink()
    told = "".join(line for line in told.splitlines(keepends=True) if not re.match(r"note: |\w+: \d+ %", line))
    assert status == 2, told
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert bad.name in told
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize("make", [pipe, socket_file, device, link_to_nowhere, empty])
def test_what_is_no_file_in_a_folder_of_images_is_named(
    run: Run, place: Path, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    (tmp_path / "a.nc").symlink_to(place / "cube.nc")
    make(tmp_path / "b.nc")
    for words in (("check", tmp_path), ("fill", tmp_path, "-m", "climatology", "-o", tmp_path.with_suffix(".nc"))):
        status, told = run(*words)
        assert status == 2
        assert told.startswith("error: ")
        assert f"{tmp_path / 'b.nc'}: " in told
        assert "a.nc: " not in told


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("https://example.org/a.nc", "error: https://example.org/a.nc: addresses are not read; download the file"),
        ("s3://bucket/a.zarr", "error: s3://bucket/a.zarr: addresses are not read"),
        ("x" * 5000, "the name is too long; choose a shorter one"),
        ("a\nb.nc", "error: a\\nb.nc: no such file or folder"),
        (os.fsdecode(b"caf\xe9.nc"), "error: caf\\xe9.nc: no such file or folder"),
    ],
)
@pytest.mark.parametrize("verb", ["check {}", "check cube.nc --water {}", "fill cube.nc -m {} -o out.nc"])
def test_odd_names_of_what_is_not_there(
    run: Run, place: Path, monkeypatch: pytest.MonkeyPatch, verb: str, name: str, message: str
) -> None:
    monkeypatch.chdir(place)
    status, told = run(*(word.format(name) for word in verb.split()))
    assert status == 2
    assert told.count("\n") == 1
    assert len(told) < 1000
    if verb == "check {}":
        assert message in told


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x1f\x8b\x08rest", "a.nc: cannot be read as NetCDF, it is compressed; unpack it first (gunzip)"),
        (b"PK\x03\x04rest", "a.nc: cannot be read as NetCDF, it is a zip archive; unpack it first (unzip)"),
        (
            b"\n<!DOCTYPE html><html>",
            "a.nc: cannot be read as NetCDF, it is a web page; the download did not succeed",
        ),
        (b"", "a.nc: cannot be read as NetCDF, it is empty (0 bytes)"),
        (bytes(257) + b"ustar", "a.nc: cannot be read as NetCDF, it is an archive; unpack it first (tar -xf)"),
        (b"\x0e\x03\x13\x01rest", "a.nc: cannot be read as NetCDF, it is HDF4"),
    ],
)
def test_files_of_other_kinds_are_told_with_their_remedy(
    run: Run, tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "a.nc").write_bytes(content)
    status, told = run("check", tmp_path / "a.nc")
    assert status == 2
    assert message in told


def test_maps_in_groups_are_named(run: Run, tmp_path: Path) -> None:
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as file:
        group = file.createGroup("level").createGroup("data")
        group.createDimension("lat", 2)
        group.createDimension("lon", 2)
        group.createVariable("sst", "f4", ("lat", "lon"))
        file.createGroup("other")
    status, told = run("check", tmp_path / "a.nc")
    assert status == 2
    assert "a.nc: its maps lie in groups, level/data, which are not read" in told


@pytest.mark.parametrize("words", ["check {}", "check cube.nc --water {}", "climatology {} -o out.nc"])
def test_a_map_larger_than_memory_is_refused_before_it_is_read(
    run: Run, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.chdir(place)
    path = tmp_path / "huge.nc"
    with netCDF4.Dataset(path, "w") as file:
        for name, size, units in (("lat", 300_000, "degrees_north"), ("lon", 600_000, "degrees_east")):
            file.createDimension(name, size)
            axis = file.createVariable(name, "f8", (name,), zlib=True)
            axis[:] = np.arange(size) * 2e-4
            axis.units = units
        sst = file.createVariable("sst", "f4", ("lat", "lon"), chunksizes=(1000, 1000), zlib=True, fill_value=-1.0)
        sst.setncatts({"units": "kelvin", "standard_name": "sea_surface_temperature"})
        file.start_date = "2020-01-01"
    status, told = run(*words.format(path).split())
    assert status == 2
    assert f"error: {path}: one map has 180,000,000,000 cells" in told


# The index of withheld pixels


def an_index() -> xr.DataArray:
    return xr.zeros_like(a_cube()["sst"].drop_attrs()).astype(bool).isel(time=slice(2, 4)).copy()


def other_values(index: xr.Dataset) -> xr.Dataset:
    return index.assign(withheld=index["withheld"] + np.int8(3))


def descending_days(index: xr.Dataset) -> xr.Dataset:
    return index.isel(time=[1, 0])


def days_that_are_numbers(index: xr.Dataset) -> xr.Dataset:
    return index.assign_coords(time=[0, 1])


def no_latitude(index: xr.Dataset) -> xr.Dataset:
    return index.drop_vars("lat")


def seed_of_words(index: xr.Dataset) -> xr.Dataset:
    return index.assign_attrs(seed="many")


@pytest.mark.parametrize(
    "spoil", [other_values, descending_days, days_that_are_numbers, no_latitude, seed_of_words, lambda index: index]
)
def test_a_damaged_or_stale_index_is_one_line_that_names_it(
    run: Run, place: Path, tmp_path: Path, spoil: Callable[[xr.Dataset], xr.Dataset]
) -> None:
    index = an_index()
    index[:, 2:4, 2:4] = True
    write_withheld(index.assign_coords(lat=index["lat"] + 1), tmp_path / "good.nc", protocol="clouds", seed=0)
    with xr.open_dataset(tmp_path / "good.nc") as opened:
        spoil(opened.load()).to_netcdf(tmp_path / "index.nc")
    words = ("-m", "climatology", "-o", tmp_path / "out", "--withheld", tmp_path / "index.nc")
    status, told = run("evaluate", place / "cube.nc", *words)
    assert status == 2
    assert told.splitlines()[-1].startswith(f"error: {tmp_path / 'index.nc'}: ")
    assert not (tmp_path / "out").exists()


@pytest.fixture(autouse=True)
def no_hang() -> Iterator[None]:
    """End the whole run of tests by SIGALRM, rather than wait for ever, where something waits for a pipe."""
    import signal

    before = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def test_a_pipe_given_by_the_shell_is_refused(place: Path) -> None:
    command = f"{sys.executable} -m sereno.cli check <(cat {place / 'cube.nc'})"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "it is a pipe; give a file" in done.stderr
