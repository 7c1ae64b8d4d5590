"""One run an output, and what is left by runs that were killed."""

from pathlib import Path

import pytest
import xarray as xr
from stores import StoppedError, maps, stop_after

from sereno.errors import InputError
from sereno.io.outputs.atomic import clear_litter
from sereno.io.outputs.writer_lock import output_lock
from sereno.workflow.fill_request import store_of
from sereno.workflow.fill_to import Shard, fill_to
from sereno.workflow.models import Model


@pytest.mark.parametrize("name", ["out.nc", "out.zarr", "days"])
def test_a_second_run_is_refused_and_harms_nothing(cube: xr.Dataset, model: Model, tmp_path: Path, name: str) -> None:
    output, refused = tmp_path / name, []

    def second(stage: str, _fraction: float) -> None:
        if stage == "fill" and not refused:
            for options in ({}, {"shard": Shard(1, 2)}, {"merge": True}, {"update": name != "out.nc"}):
                with pytest.raises(InputError, match="is at work there") as error:
                    fill_to(cube, model, output, days="2019-01-10:2019-01-12", **options)
                refused.append(str(error.value))

    fill_to(cube, model, output, days="2019-01-10:2019-01-15", progress=second)
    assert len(refused) == 4
    assert not any("\n" in line for line in refused)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.thorough
def test_shards_are_let_in_together_and_nobody_else(
    cube: xr.Dataset, model: Model, whole: Path, tmp_path: Path
) -> None:
    output, others = tmp_path / "out.zarr", []

    def other(stage: str, fraction: float) -> None:
        if stage == "fill" and fraction == 1.0 and not others:
            others.append(fill_to(cube, model, output, shard=Shard(2, 2)))
            for options in ({}, {"merge": True}, {"shard": Shard(1, 2)}):
                with pytest.raises(InputError, match="is at work there"):
                    fill_to(cube, model, output, **options)

    fill_to(cube, model, output, shard=Shard(1, 2), progress=other)
    assert others[0].written == 30
    fill_to(cube, model, output, merge=True)
    assert maps(output) == maps(whole)


@pytest.mark.parametrize("name", ["out.nc", "out.zarr", "days"])
def test_what_a_killed_run_left_is_cleared_and_what_is_not_ours_stays(
    cube: xr.Dataset, model: Model, tmp_path: Path, name: str
) -> None:
    output = tmp_path / name
    litter = [tmp_path / f".{name}.0123abcd.part", tmp_path / f".{store_of(output).name}.4567abcd.part"]
    ours = [tmp_path / ".other.nc.0123abcd.part", tmp_path / f".{name}.part", tmp_path / f"x.{name}.0123abcd.part"]
    if name == "days":
        output.mkdir()
        litter.append(output / ".20190110.nc.0123abcd.part")
    for path in (*litter[1:], *ours):
        path.touch()
    litter[0].mkdir()
    (litter[0] / "file").touch()
    fill_to(cube, model, output, days="2019-01-10:2019-01-12")
    assert not any(path.exists() for path in litter)
    assert all(path.exists() for path in ours)


def test_the_old_folder_that_a_killed_run_moved_aside_is_put_back(tmp_path: Path) -> None:
    (tmp_path / ".model.0123abcd.part.old").mkdir()
    clear_litter(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_lock_is_let_go_when_a_run_breaks_off(cube: xr.Dataset, model: Model, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        fill_to(cube, model, tmp_path / "out.zarr", progress=stop_after(20))
    with output_lock(tmp_path / "out.zarr"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out.zarr"]
