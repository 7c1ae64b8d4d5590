"""What evaluate, export and demo write is all there or not there at all, and is written by one run at a time."""

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sereno.cli import demo
from sereno.compute import signals
from sereno.compute.signals import heeding_stops, undisturbed
from sereno.cube import make_cube
from sereno.errors import InputError
from sereno.io.outputs.atomic import atomic_files, atomic_path
from sereno.io.outputs.writer_lock import output_lock
from sereno.io.stores.prepared import write_cube
from sereno.nets.onnx_openvino import Portable

Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds a small cube and nothing else."""
    rng = np.random.default_rng(0)
    values = 290 + rng.normal(size=(30, 6, 8)).astype("float32")
    values[rng.random(values.shape) < 0.3] = np.nan
    days = pd.date_range("2020-01-01", periods=30)
    lat, lon = np.linspace(36, 38, 6), np.linspace(0, 3, 8)
    folder = tmp_path_factory.mktemp("input") / "cubes"
    folder.mkdir()
    write_cube(make_cube(values, time=days, lat=lat, lon=lon, water=np.ones((6, 8), bool)), folder / "cube.nc")
    return folder / "cube.nc"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("earlier", [False, True])
def test_an_evaluation_that_is_ended_leaves_what_was_there_before(
    run: Run, cube: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: bool
) -> None:
    if earlier:
        (tmp_path / "scores").mkdir()
        (tmp_path / "scores" / "scores.json").write_text("of an earlier run")
        (tmp_path / "scores" / "mine.txt").write_text("mine")
    before = contents(tmp_path)
    monkeypatch.setattr("sereno.report.page.save_report", lambda *_, **__: signal.raise_signal(signal.SIGTERM))
    status, told = run("evaluate", cube, "-m", "climatology", "-o", tmp_path / "scores", "--days", "2020-01-10:")
    assert status == 143, told
    assert contents(tmp_path) == before
    assert (tmp_path / "scores").exists() == earlier


def test_evaluate_does_not_write_where_another_run_does(run: Run, cube: Path, tmp_path: Path) -> None:
    with output_lock(tmp_path / "scores"):
        status, told = run("evaluate", cube, "-m", "climatology", "-o", tmp_path / "scores")
    assert status == 2
    assert "is at work there" in told
    assert list(tmp_path.iterdir()) == []


def test_evaluate_does_not_write_into_its_input(run: Run, cube: Path) -> None:
    before = contents(cube.parent)
    status, told = run("evaluate", cube.parent, "-m", "climatology", "-o", cube.parent)
    assert status == 2
    assert "it is the input" in told
    assert contents(cube.parent) == before


def test_the_demo_leaves_folders_of_others_alone_and_clears_its_own_when_ended(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGINT)

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "l3s").mkdir()
    status, told = run("demo", "-o", tmp_path / "mine")
    assert status == 2
    assert "it holds other files already" in told
    monkeypatch.setattr(demo, "SEA", {"days": 5, "start": "2019-01-01", "shape": (16, 16)})
    monkeypatch.setattr(demo, "prepare", interrupted)
    assert run("demo", "-o", tmp_path / "demo")[0] == 130
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    monkeypatch.undo()


def test_an_earlier_demo_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def making(folder: Path, seed: int, progress: object) -> list[str]:
        (folder / "l3s").mkdir()
        (folder / "l3s" / f"{seed}.nc").touch()
        return [path.name for path in (folder / "l3s").iterdir()]

    monkeypatch.setattr(demo, "_run", making)
    assert demo.run(tmp_path / "demo", seed=1) == ["1.nc"]
    assert demo.run(tmp_path / "demo", seed=2) == ["2.nc"]


def write_two(folder: Path, first: str, second: str) -> None:
    with atomic_files(folder) as temporary:
        (temporary / "a.csv").write_text(first)
        (temporary / "b.csv").write_text(second)


def fail_while_writing(path: Path, error: Exception) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise error


def test_several_files_are_put_in_place_all_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replaced = os.replace

    def interrupting(source: Path, target: Path) -> None:
        replaced(source, target)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(os, "replace", interrupting)
    with heeding_stops() as stop, pytest.raises(KeyboardInterrupt):
        write_two(tmp_path / "out", "a", "b")
    assert stop.code == 143
    assert set(contents(tmp_path)) == {"out/a.csv", "out/b.csv"}


def test_a_block_that_is_not_to_be_disturbed_is_ended_after_it() -> None:
    reached = []

    def work() -> None:
        with undisturbed():
            signal.raise_signal(signal.SIGINT)
            reached.append("the end of the block")
        reached.append("what follows")

    with heeding_stops(), pytest.raises(KeyboardInterrupt):
        work()
    assert reached == ["the end of the block"]


def test_what_is_empty_is_not_put_in_place(tmp_path: Path) -> None:
    (tmp_path / "out.nc").write_text("of an earlier run")
    with pytest.raises(InputError, match=r"out\.nc: nothing was written"), atomic_path(tmp_path / "out.nc") as file:
        file.touch()
    with pytest.raises(InputError, match=r"out\.zarr: nothing was written"), atomic_path(tmp_path / "out.zarr"):
        pass
    with pytest.raises(InputError, match=r"b\.csv: nothing"):
        write_two(tmp_path / "out", "a", "")
    assert contents(tmp_path) == {"out.nc": b"of an earlier run"}


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no space left on the disk"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk quota is used up"),
    ],
)
def test_a_full_disk_is_told_with_the_name_of_the_output(tmp_path: Path, error: OSError, message: str) -> None:
    with pytest.raises(InputError, match=rf"{tmp_path / 'out.nc'}: {message}"):
        fail_while_writing(tmp_path / "out.nc", error)
    of_the_input = FileNotFoundError(errno.ENOENT, "is not there", "in.nc")
    with pytest.raises(OSError, match="is not there"):
        fail_while_writing(tmp_path / "out.nc", of_the_input)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_without_netcdf_telling_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("usage", (), {"free": 0})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(InputError, match=r"out\.nc: no space left"), atomic_path(tmp_path / "out.nc"):
        raise RuntimeError("NetCDF: HDF error")


def test_the_name_of_an_output_is_told_where_files_are_written_within_it(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_files(tmp_path / "out") as folder, atomic_path(folder / "a.nc"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(InputError, match=rf"{tmp_path / 'out' / 'a.nc'}: no space left"):
        write()


def test_files_are_put_into_a_folder_that_is_a_file_system_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced = os.replace

    def within_one(source: Path, target: Path) -> None:
        if Path(source).is_relative_to(tmp_path / "disk") != Path(target).is_relative_to(tmp_path / "disk"):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        replaced(source, target)

    (tmp_path / "disk").mkdir()
    monkeypatch.setattr(os, "replace", within_one)
    write_two(tmp_path / "disk", "a", "b")
    assert set(contents(tmp_path)) == {"disk/a.csv", "disk/b.csv"}


def test_a_folder_is_gone_though_a_thread_puts_something_there_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, late = tmp_path / ".out.zarr.part", []
    folder.mkdir()

    def put_back(seconds: float) -> None:
        if seconds and not late:
            late.append(seconds)
            folder.mkdir()
            (folder / ".zattrs").write_text("{}")

    monkeypatch.setattr(signals, "time", SimpleNamespace(sleep=put_back))
    signals.remove(folder)
    assert late
    assert not folder.exists()


def test_what_a_killed_export_left_goes_with_the_next_one(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(network: Portable, path: Path, *_: object) -> float:
        path.write_bytes(b"half of it")
        raise KeyboardInterrupt

    def written(network: Portable, path: Path, *_: object) -> float:
        path.write_bytes(b"all of it")
        return 0.0

    with monkeypatch.context() as patch:
        patch.setattr(Portable, "write", killed)
        patch.setattr(signals, "remove", lambda path: None)  # as a process that is killed has no time for it
        patch.setattr(signals, "UNFINISHED", set())
        assert run("export", "-o", tmp_path / "net.onnx")[0] == 130
    assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
    monkeypatch.setattr(Portable, "write", written)
    assert run("export", "-o", tmp_path / "net.onnx") == (0, "")
    assert contents(tmp_path) == {"net.onnx": b"all of it"}
