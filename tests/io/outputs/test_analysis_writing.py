"""An analysis is written whole or not at all, a few blocks in memory at a time."""

import os
import threading
import time
import tracemalloc
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from analyses import an_analysis, read

from sereno.errors import InputError
from sereno.io.outputs.analysis import write_analysis


def test_unusable_targets_are_refused_before_work_begins(tmp_path: Path) -> None:
    analysis = an_analysis()
    (tmp_path / "photos.zarr").mkdir()
    (tmp_path / "photos.zarr" / "cat.jpg").write_text("")
    (tmp_path / "file").write_text("")
    for name, message in [
        ("missing/out.nc", "no folder"),
        ("missing/out.zarr", "no folder"),
        ("missing/days", "no folder"),
        ("file", "a file of that name"),
        ("out.tif", r"\.nc or \.zarr, or to a folder"),
        ("photos.zarr", "other content"),
    ]:
        with pytest.raises(InputError, match=message):
            write_analysis(analysis, tmp_path / name)
    assert (tmp_path / "photos.zarr" / "cat.jpg").is_file()
    with pytest.raises(InputError, match="no std, water"):
        write_analysis(analysis.drop_vars(["std", "water"]), tmp_path / "out.nc")


@pytest.mark.parametrize("name", ["out.nc", "out.zarr"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_target_and_no_fragment(
    tmp_path: Path, name: str, error: type[BaseException]
) -> None:
    old = an_analysis(mean=280.0)
    write_analysis(old, tmp_path / name, packed=False)

    def progress(_stage: str, done: float) -> None:
        if done > 0.3:
            raise error

    with pytest.raises(error):
        write_analysis(an_analysis(days=60), tmp_path / name, progress=progress)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    np.testing.assert_array_equal(read(tmp_path / name)["analysed_sst"], old["mean"])


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("name", ["out.nc", "out.zarr"])
def test_ctrl_c_in_the_middle_of_a_block_leaves_nothing(tmp_path: Path, name: str) -> None:
    started = threading.Event()

    def slow(block: np.ndarray) -> np.ndarray:
        if block.size:
            started.set()
            time.sleep(0.2)
        return block

    analysis = an_analysis(days=300, block=1)
    analysis["mean"] = analysis["mean"].copy(data=analysis["mean"].data.map_blocks(slow, dtype="float32"))

    def interrupt() -> None:
        started.wait(30)
        time.sleep(0.5)
        os.kill(os.getpid(), 2)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        write_analysis(analysis, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["out.nc", "out.zarr", "days"])
def test_memory_is_bounded_by_a_few_blocks(tmp_path: Path, name: str) -> None:
    days, side, block = 20, 256, 1
    make = da.random.default_rng(0).normal(290, 1, (days, side, side), chunks=(block, -1, -1)).astype("float32")
    analysis = xr.Dataset(
        {
            "mean": (("time", "lat", "lon"), make),
            "std": (("time", "lat", "lon"), make * 0 + 0.5),
            "source": (("time", "lat", "lon"), (make > 0).astype("int8")),
            "data_age": (("time", "lat", "lon"), make),
            "water": (("lat", "lon"), np.ones((side, side), dtype=bool)),
        },
        coords={
            "time": pd.date_range("2017-01-01", periods=days),
            "lat": np.arange(side) / 10,
            "lon": np.arange(side),
        },
    )
    float_block = 4 * block * side**2  # bytes; the whole makes 20 blocks of some 20 bytes a cell
    tracemalloc.start()
    try:
        with dask.config.set(num_workers=2):
            write_analysis(analysis, tmp_path / name)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 * float_block
    if name != "days":
        assert read(tmp_path / name)["analysed_sst"].sizes["time"] == days


def test_progress_runs_from_nothing_to_all(tmp_path: Path) -> None:
    told: list[float] = []
    write_analysis(an_analysis(days=40), tmp_path / "out.nc", progress=lambda _, done: told.append(done))
    assert told[0] == 0
    assert told[-1] == 1
    assert told == sorted(told)
    assert len(told) > 10


@pytest.mark.parametrize("name", [".", "..", "sub/.."])
def test_a_folder_without_a_name_of_its_own_is_refused_before_anything_is_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "work"
    (work / "sub").mkdir(parents=True)
    monkeypatch.chdir(work)
    with pytest.raises(InputError, match="by its own name"):
        write_analysis(an_analysis(), name)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["sub", "work"]
