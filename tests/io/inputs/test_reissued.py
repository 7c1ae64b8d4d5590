"""Files of a prepared store that are issued again, vanish, or change while they are read; lost parts of a store."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

from sereno.errors import InputError
from sereno.io.inputs.cube import open_cube
from sereno.workflow.prepare import prepare

DAYS = pd.date_range("2020-01-01", periods=6)
SHAPE = (8, 10)
LAT, LON = 40 + (np.arange(SHAPE[0]) + 0.5) / 48, 8 + (np.arange(SHAPE[1]) + 0.5) / 48


def write_day(folder: Path, day: pd.Timestamp, *, warmer: float = 0) -> Path:
    sst = 290 + np.random.default_rng(day.day_of_year).normal(size=(1, *SHAPE)) + warmer
    sst[sst < 289.5] = np.nan
    attrs = {"units": "kelvin", "standard_name": "sea_surface_temperature"}
    variables = {
        "sst": (("time", "lat", "lon"), sst.astype("float32"), attrs),
        "mask": (("lat", "lon"), np.ones(SHAPE, "int8")),
    }
    path = folder / f"{day:%Y%m%d}.nc"
    xr.Dataset(variables, coords={"time": [day], "lat": LAT, "lon": LON}).to_netcdf(path)
    return path


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "l3s"
    folder.mkdir()
    for day in DAYS:
        write_day(folder, day)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "cube.zarr"


def content(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def stamps(store: Path) -> dict[str, int]:
    return {str(path.relative_to(store)): path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file()}


def interrupt_at(number: int) -> Callable[[str, float], None]:
    told = 0

    def report(stage: str, _fraction: float) -> None:
        nonlocal told
        told += stage == "write"
        if told == number:
            raise KeyboardInterrupt

    return report


@pytest.mark.thorough
@pytest.mark.parametrize("grid", [None, "1/24"])
def test_a_re_issued_file_is_noted_and_taken_in_where_that_is_asked_for(
    files: Path, store: Path, tmp_path: Path, grid: str | None
) -> None:
    prepare(files, store, grid=grid)
    old = open_cube(store).load()
    for day in DAYS[[1, 3]]:
        write_day(files, day, warmer=1.5)
    os.utime(files / "20200105.nc")  # another time, but the same values
    done = prepare(files, store, grid=grid)
    assert done.written == 0
    assert done.notes == [
        "2 days (2020-01-02, 2020-01-04) were re-issued since; run with `refresh` to read them again"
    ]
    xr.testing.assert_equal(open_cube(store), old)
    assert prepare(files, store, grid=grid).notes == done.notes
    done = prepare(files, store, grid=grid, refresh=True)
    assert done.written == 2
    assert done.notes == ["2 days (2020-01-02, 2020-01-04) were re-issued and read again"]
    prepare(files, tmp_path / "new.zarr", grid=grid)
    assert content(store) == content(tmp_path / "new.zarr")
    before = stamps(store)
    assert (prepare(files, store, grid=grid, refresh=True).written, stamps(store)) == (0, before)


def test_a_file_that_was_copied_or_touched_is_no_new_one(files: Path, store: Path) -> None:
    prepare(files, store)
    for file in sorted(files.iterdir()):
        shutil.copy(file, file.with_suffix(".tmp"))
        file.with_suffix(".tmp").replace(file)
    old = stamps(store)
    done = prepare(files, store, refresh=True)
    assert (done.written, done.notes) == (0, [])
    changed = {name for name, stamp in stamps(store).items() if stamp != old[name]}
    assert changed <= {f"source_{what}/0" for what in ("file", "size", "modified", "checksum")}


def test_a_file_that_now_holds_a_single_other_value_is_re_issued(files: Path, store: Path) -> None:
    prepare(files, store)
    with xr.open_dataset(files / "20200102.nc") as dataset:
        loaded = dataset.load()
    loaded["sst"][0, 3, 3] = np.nan if np.isfinite(loaded["sst"][0, 3, 3]) else 290
    loaded.to_netcdf(files / "20200102.nc")
    assert "1 day (2020-01-02) was re-issued since" in prepare(files, store).notes[0]


@pytest.mark.thorough
@pytest.mark.parametrize("moment", [1, 2])
def test_a_refresh_that_is_broken_off_goes_on_to_the_same_store(
    files: Path, store: Path, tmp_path: Path, moment: int
) -> None:
    prepare(files, store)
    for day in DAYS[1:4]:
        write_day(files, day, warmer=1.5)
    with pytest.raises(KeyboardInterrupt):
        prepare(files, store, refresh=True, progress=interrupt_at(moment))
    with pytest.raises(InputError, match="interrupted"):
        open_cube(store)
    assert prepare(files, store).written == 3 - moment
    prepare(files, tmp_path / "new.zarr")
    assert content(store) == content(tmp_path / "new.zarr")


def test_a_store_of_an_earlier_version_gets_its_books_and_is_compared(files: Path, store: Path) -> None:
    prepare(files, store)
    whole = open_cube(store).load()
    for array in store.glob("source_*"):
        shutil.rmtree(array)
    zarr.consolidate_metadata(store, zarr_format=2)
    write_day(files, DAYS[2], warmer=1.5)
    done = prepare(files, store)
    assert done.written == 0
    assert "1 day (2020-01-03) was re-issued since" in done.notes[0]
    xr.testing.assert_equal(open_cube(store), whole)
    with xr.open_zarr(store) as plain:
        np.testing.assert_array_equal(plain["source_checksum"] != 0, [True, True, False, True, True, True])
        assert plain["source_file"].values[0] == "l3s/20200101.nc"
    assert prepare(files, store, refresh=True).written == 1


def test_a_file_that_vanished_is_noted_and_its_day_kept(files: Path, store: Path) -> None:
    prepare(files, store)
    whole = open_cube(store).load()
    (files / "20200102.nc").unlink()
    assert prepare(files, store).notes == ["1 day (2020-01-02) was kept, though the file is gone"]
    xr.testing.assert_equal(open_cube(store), whole)
    late = write_day(files.parent, DAYS[-1] + pd.Timedelta("1D"))
    assert prepare(late, store).notes == []  # only this file was given


def test_a_re_issued_file_that_is_bad_leaves_the_day_as_it_was(files: Path, store: Path) -> None:
    prepare(files, store)
    whole = open_cube(store).load()
    bad = files / "20200102.nc"
    bad.write_bytes(bad.read_bytes()[:4000])
    done = prepare(files, store, refresh=True, skip_bad=True)
    assert len(done.skipped) == 1
    xr.testing.assert_equal(open_cube(store), whole)


# What a store lost


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["sst", "state"])
@pytest.mark.parametrize("how", ["gone", "emptied"])
def test_a_lost_chunk_is_missed_and_written_again(files: Path, store: Path, name: str, how: str) -> None:
    prepare(files, store)
    old, chunk = content(store), store / name / "2.0.0"
    chunk.unlink() if how == "gone" else chunk.write_bytes(b"")
    with pytest.raises(InputError, match=r"cube\.zarr.*1 day \(2020-01-03\) was lost"):
        prepare(files / "20200101.nc", store)
    done = prepare(files, store)
    assert done.written == 1
    assert done.notes == ["1 day (2020-01-03) was lost or damaged in the store, and written again"]
    assert content(store) == old


def test_the_chunk_of_a_day_without_any_observation_is_missed_as_well(files: Path, store: Path) -> None:
    with xr.open_dataset(files / "20200103.nc") as dataset:
        loaded = dataset.load()
    loaded["sst"][:] = np.nan
    loaded.to_netcdf(files / "20200103.nc")
    prepare(files, store)
    (store / "sst" / "2.0.0").unlink()
    assert prepare(files, store).written == 1


def test_what_an_interruption_damaged_is_written_again(files: Path, store: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        prepare(files, store, progress=interrupt_at(4))
    first, second, *_ = sorted((store / "sst").glob("*.0.0"))
    shutil.copy(first, second)
    assert prepare(files, store).written == 3
    prepare(files, tmp_path / "new.zarr")
    assert content(store) == content(tmp_path / "new.zarr")


# Files that change meanwhile


@pytest.mark.thorough
@pytest.mark.parametrize("skip_bad", [False, True])
@pytest.mark.parametrize("change", ["cut", "swapped", "removed"])
@pytest.mark.parametrize("moment", ["scan", "write"])
def test_a_file_that_changes_while_it_is_read_is_named_and_never_mixed(
    files: Path, store: Path, change: str, moment: str, skip_bad: bool
) -> None:
    other = write_day(files.parent, DAYS[2], warmer=1.5)

    def meanwhile(stage: str, _fraction: float) -> None:
        if stage == moment:
            path = files / "20200103.nc"
            if change == "cut":
                path.write_bytes(path.read_bytes()[:-100])
            elif change == "swapped":
                shutil.copy(other, path)
            else:
                path.unlink(missing_ok=True)

    if skip_bad:
        done = prepare(files, store, skip_bad=True, progress=meanwhile)
        assert [line.partition(":")[0] for line in done.skipped] == [str(files / "20200103.nc")]
        assert done.inserted_days == ["2020-01-03"]
    else:
        with pytest.raises(InputError, match=r"20200103\.nc.*") as caught:
            prepare(files, store, progress=meanwhile)
        assert "changed while it was read" in str(caught.value)
        if store.exists():
            with pytest.raises(InputError, match="interrupted"):
                open_cube(store)
    shutil.copy(other, files / "20200103.nc")
    assert prepare(files, store).written in (1, len(DAYS))
    xr.testing.assert_equal(open_cube(store), open_cube(files))


# One writer, and kills


def prepare_in_a_process(files: Path, store: Path, *options: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "sereno.cli", "prepare", str(files), "-o", str(store), *options]
    return subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


@pytest.mark.thorough
def test_of_two_at_once_one_is_refused_and_the_store_is_whole(files: Path, store: Path) -> None:
    with prepare_in_a_process(files, store) as first, prepare_in_a_process(files, store) as second:
        told = [process.communicate()[1] for process in (first, second)]
    codes = [first.returncode, second.returncode]
    assert set(codes) <= {0, 2}
    assert 0 in codes
    for code, text in zip(codes, told, strict=True):
        assert code == 0 or f"error: {store}: sereno prepare is at work there" in text
    xr.testing.assert_equal(open_cube(store), open_cube(files))
    assert {path.name for path in store.parent.iterdir()} == {"l3s", "cube.zarr"}


@pytest.mark.thorough
def test_who_comes_while_another_is_at_work_is_refused(files: Path, store: Path) -> None:
    refused: list[str] = []

    def meanwhile(stage: str, _fraction: float) -> None:
        if stage == "write" and not refused:
            with prepare_in_a_process(files, store) as second:
                refused.append(second.communicate()[1])
            assert second.returncode == 2

    assert prepare(files, store, progress=meanwhile).written == len(DAYS)
    assert refused[0].count("\n") == 1
    assert "is at work there (host" in refused[0]


@pytest.mark.thorough
@pytest.mark.parametrize("refresh", [False, True], ids=["new", "refresh"])
def test_after_a_kill_at_any_moment_the_same_bytes_are_made(
    files: Path, store: Path, tmp_path: Path, refresh: bool
) -> None:
    """Each attempt is killed later than the one before, so that every stage is met."""
    if refresh:
        prepare(files, store)
        for day in DAYS:
            write_day(files, day, warmer=1.5)
    options = {"refresh": refresh}
    context = multiprocessing.get_context("fork")
    for moment in (4, 9, 15, 21, 24, 30, 37, 48, 62, 80, 1000):
        process = context.Process(target=prepare_and_die, args=(files, store, moment), kwargs=options)
        process.start()
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
    assert process.exitcode == 0
    prepare(files, tmp_path / "new.zarr")
    assert content(store) == content(tmp_path / "new.zarr")
    left = {path.name for path in tmp_path.iterdir() if ".lock." not in path.name}  # for which the next lock waits
    assert left == {"l3s", "cube.zarr", "new.zarr"}


def prepare_and_die(files: Path, store: Path, moment: int, **options: bool) -> None:
    """Prepare, and be killed as a file is put in its place for the so-many-th time."""
    count = 0

    def counting(event: str, _arguments: object) -> None:
        nonlocal count
        if event in ("os.rename", "os.remove", "os.rmdir"):
            count += 1
            if count == moment:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(counting)
    prepare(files, store, **options)
    os._exit(0)
