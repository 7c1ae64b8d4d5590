"""What a run does about that which stands at its output: continue it, find what is lost, refuse it, or replace it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from stores import DAYS, REACH, StoppedError, maps, stamps, stop_after

from sereno.cli.filling import report_lines
from sereno.cube import field_of
from sereno.errors import InputError
from sereno.io.inputs.cube import open_cube
from sereno.io.stores.filled import FilledStore
from sereno.workflow.fill_request import store_of
from sereno.workflow.fill_to import Shard, fill_to
from sereno.workflow.models import Model

SHORT = "2019-01-10:2019-01-13"


def other_image(cube: xr.Dataset, day: int) -> xr.Dataset:
    """Return a cube with another image of one day, that has one."""
    field = field_of(cube)
    seen = np.flatnonzero(field.notnull().any(("lat", "lon")))
    assert day in seen
    return cube.assign(sst=xr.where(cube["time"] == cube["time"][day], field + 1, field).transpose(*field.dims))


def a_day(cube: xr.Dataset, first: int) -> int:
    """Return the first day from one on that has an image."""
    seen = np.flatnonzero(field_of(cube).notnull().any(("lat", "lon")))
    return int(seen[seen >= first][0])


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["out.nc", "out.zarr", "days"])
def test_days_that_were_filled_from_another_image_are_found_wherever_they_are(
    cube: xr.Dataset, model: Model, tmp_path: Path, name: str
) -> None:
    path, day = tmp_path / name, a_day(cube, 7)
    fill_to(cube, model, path, shard=Shard(1, 2))
    other = other_image(cube, day)
    fill_to(other, model, path, shard=Shard(2, 2))
    for options in ({"merge": True}, {}, {"shard": Shard(1, 2)}):
        with pytest.raises(
            InputError, match=r"\d+ of its days were filled from other images .*: 2019-01-01:"
        ) as error:
            fill_to(other, model, path, **options)
        assert "\n" not in str(error.value)
        assert "begin again with `overwrite`" in str(error.value)
    assert not path.exists() or name == "out.zarr"
    assert fill_to(cube, model, path, merge=True).finished


def test_days_are_found_whose_neighbours_changed(cube: xr.Dataset, model: Model, tmp_path: Path) -> None:
    path, day = tmp_path / "out.zarr", a_day(cube, 30)  # the second shard's
    fill_to(cube, model, path, shard=Shard(1, 2))
    other = other_image(cube, day)
    fill_to(other, model, path, shard=Shard(2, 2))
    first = str(cube["time"].values[day - REACH])[:10]
    with pytest.raises(InputError, match=rf"filled from other images than the input holds now: {first}:2019-01-30;"):
        fill_to(other, model, path, merge=True)


@pytest.mark.thorough
def test_an_update_takes_in_any_image_that_changed(
    cube: xr.Dataset, model: Model, whole: Path, tmp_path: Path
) -> None:
    path, day = tmp_path / "out.zarr", a_day(cube, 4)  # long before the end
    fill_to(other_image(cube, day), model, path)
    done = fill_to(cube, model, path, update=True)
    assert done.update is not None
    assert done.update.changed_images == cube["time"].values[day].astype("datetime64[D]")
    assert maps(path) == maps(whole)
    days = f"{cube['time'].values[day + 3]!s:.10}:"  # and one that is itself not a day of the analysis
    fill_to(other_image(cube, day), model, tmp_path / "later.zarr", days=days)
    fill_to(cube, model, tmp_path / "later.zarr", days=days, update=True)
    fill_to(cube, model, tmp_path / "anew.zarr", days=days)
    assert maps(tmp_path / "later.zarr") == maps(tmp_path / "anew.zarr")


def lose(store: Path) -> None:
    for variable in ("analysed_sst", "data_age"):
        next(store.glob(f"{variable}/[0-9]*.0.0")).unlink()


def damage(store: Path) -> None:
    chunk = store / "analysis_error" / "17.0.0"
    chunk.write_bytes(chunk.read_bytes()[:-7])


@pytest.mark.parametrize("harm", [lose, damage])
def test_maps_that_are_lost_or_damaged_are_filled_again(
    cube: xr.Dataset, model: Model, whole: Path, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    path = tmp_path / "out.zarr"
    shutil.copytree(whole, path)
    harm(path)
    done = fill_to(cube, model, path)
    assert done.lost == done.written
    assert 0 < done.lost < 3
    assert report_lines(done)[0] == f"filled again, because their maps were lost or damaged: {done.lost} days"
    assert maps(path) == maps(whole)
    assert report_lines(fill_to(cube, model, path)) == [f"nothing to do: {path} has all days"]


def test_a_merge_and_an_update_find_what_is_lost(cube: xr.Dataset, model: Model, whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.zarr"
    shutil.copytree(whole, path)
    damage(path)
    with pytest.raises(InputError, match=r"1 of 60 days are not filled: 2019-01-18; run the same command without"):
        fill_to(cube, model, path, merge=True)
    assert fill_to(cube, model, path, shard=Shard(1, 2)).written == 1
    fill_to(cube, model, path, merge=True)
    assert maps(path) == maps(whole)
    damage(path)
    assert fill_to(cube, model, path, update=True).written == 1
    assert maps(path) == maps(whole)


@pytest.mark.thorough
def test_a_store_of_an_earlier_version_is_continued(
    cube: xr.Dataset, model: Model, whole: Path, tmp_path: Path
) -> None:
    path = tmp_path / "out.zarr"
    fill_to(cube.isel(time=slice(0, 57)), model, path)
    shutil.rmtree(path / "books")
    assert fill_to(cube.isel(time=slice(0, 57)), model, path).written == 0
    (path / "analysed_sst" / "3.0.0").unlink()
    assert fill_to(cube.isel(time=slice(0, 57)), model, path).written == 1
    fill_to(cube, model, path, update=True)
    kept = {name: content for name, content in maps(path).items() if not name.startswith("books")}
    assert kept == {name: content for name, content in maps(whole).items() if not name.startswith("books")}


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["out.nc", "out.zarr", "days"])
def test_of_what_is_done_nothing_is_left_to_do_and_another_analysis_is_refused_or_replaced(
    cube: xr.Dataset, model: Model, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    fill_to(cube, model, path, days=SHORT)
    before = stamps(tmp_path)
    assert not fill_to(cube, model, path, days=SHORT).made
    changed = other_image(cube, a_day(cube, 12))
    for options in (
        {"days": "2019-01-10:2019-01-11", "nrt": True},
        {"days": SHORT, "keep_observed": True},
        {"days": SHORT, "cube": changed},
        {"days": SHORT, "keep_observed": True, "shard": Shard(1, 2)},
    ):
        with pytest.raises(InputError, match=r"(?s)another analysis|other settings|other images") as error:
            fill_to(options.pop("cube", cube), model, path, **options)
        assert "`overwrite`" in str(error.value)
    assert {file: at for file, at in stamps(tmp_path).items() if not file.startswith(".")} == before
    with pytest.raises(StoppedError):
        fill_to(changed, model, path, days=SHORT, overwrite=True, progress=stop_after(0))
    assert all(stamps(tmp_path)[file] == at for file, at in before.items())
    assert fill_to(changed, model, path, days=SHORT, overwrite=True).made
    assert [file.name for file in tmp_path.iterdir()] == [name]
    fill_to(changed, model, tmp_path / f"anew{path.suffix}", days=SHORT)
    names = sorted(path.iterdir()) if name == "days" else [path]
    anew = tmp_path / f"anew{path.suffix}"
    for one, other in zip(names, sorted(anew.iterdir()) if name == "days" else [anew], strict=True):
        engine = "zarr" if path.suffix == ".zarr" else "netcdf4"
        with xr.open_dataset(one, engine=engine) as mine, xr.open_dataset(other, engine=engine) as theirs:
            xr.testing.assert_equal(mine, theirs)


@pytest.mark.thorough
def test_days_after_those_of_a_folder_are_added_and_none_of_another_kind(
    cube: xr.Dataset, model: Model, tmp_path: Path
) -> None:
    path = tmp_path / "days"
    fill_to(cube, model, path, days="2019-01-10:2019-01-11")
    with pytest.raises(InputError, match="another analysis"):
        fill_to(cube, model, path, days="2019-01-12:2019-01-13", keep_observed=True)
    fill_to(cube, model, path, days="2019-01-12:2019-01-13")
    assert not fill_to(cube, model, path, days=SHORT).made
    next(path.iterdir()).unlink()
    assert fill_to(cube, model, path, days=SHORT).made
    assert len(list(path.iterdir())) == 4
    before = stamps(path)
    fill_to(cube, model, path, days="2019-01-13:2019-01-13", overwrite=True)
    assert len({name for name, stamp in stamps(path).items() if before.get(name) != stamp}) == 1
    assert len(list(path.iterdir())) == 4
    fill_to(cube, "persistence", path, days="2019-01-12:2019-01-13", overwrite=True)
    assert [file.name[:8] for file in sorted(path.glob("*-persistence-*"))] == ["20190112", "20190113"]
    assert len(list(path.iterdir())) == 2


def test_a_file_of_something_else_is_not_replaced_unless_asked(
    cube: xr.Dataset, model: Model, tmp_path: Path
) -> None:
    path = tmp_path / "out.nc"
    path.write_bytes(b"an image")
    with pytest.raises(InputError, match="says not what it was made with"):
        fill_to(cube, model, path, days=SHORT)
    assert path.read_bytes() == b"an image"
    with pytest.raises(InputError, match="give one of them"):
        fill_to(cube, model, tmp_path / "days", update=True, overwrite=True)
    fill_to(cube, model, path, days=SHORT, overwrite=True)


@pytest.mark.thorough
def test_shards_replace_an_analysis_together(cube: xr.Dataset, model: Model, whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "out.zarr"
    fill_to(cube, model, path, keep_observed=True)
    for number in (2, 1):
        fill_to(cube, model, path, shard=Shard(number, 2), overwrite=True)
    assert maps(path) != maps(whole)
    fill_to(cube, model, path, merge=True, overwrite=True)
    assert maps(path) == maps(whole)
    assert [file.name for file in tmp_path.iterdir()] == ["out.zarr"]


@pytest.mark.parametrize(
    "name", ["out.nc", *(pytest.param(name, marks=pytest.mark.thorough) for name in ("out.zarr", "days"))]
)
@pytest.mark.parametrize(
    "value", [*(pytest.param(value, marks=pytest.mark.thorough) for value in (np.nan, np.inf)), 400.0]
)
def test_a_day_that_cannot_be_right_ends_a_fill_and_nothing_is_at_the_output(
    cube: xr.Dataset, model: Model, tmp_path: Path, name: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sereno.workflow import fill_jobs

    path, good = tmp_path / name, fill_jobs.fill_days

    def rotten(*given: object, **options: object) -> xr.Dataset:
        analysis = good(*given, **options)
        day = analysis["time"] == np.datetime64("2019-02-10")
        return analysis.assign(mean=xr.where(day, value, analysis["mean"]).transpose(*analysis["mean"].dims))

    with monkeypatch.context() as patch:
        patch.setattr(fill_jobs, "fill_days", rotten)
        with pytest.raises(InputError, match=rf"{name}: analysed_sst: 2019-02-10: 441 of 441 values on water are"):
            fill_to(cube, model, path)
    assert name == "out.zarr" or not path.exists()
    assert FilledStore.open(store_of(path)).unfinished
    done = fill_to(cube, model, path)
    assert done.finished
    assert 0 < done.written < DAYS


def test_what_a_rotten_model_leaves_does_not_stand_in_the_way_of_the_mended_one(
    cube: xr.Dataset, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sereno.workflow import fill_jobs

    with monkeypatch.context() as patch:
        good = fill_jobs.fill_days
        patch.setattr(
            fill_jobs, "fill_days", lambda *given, **more: (a := good(*given, **more)).assign(std=a["std"] * 0)
        )
        with pytest.raises(InputError, match=r"analysis_error: .* are not above 0"):
            fill_to(cube, model, tmp_path / "out.zarr", days=SHORT)
    assert not list(tmp_path.iterdir())


@pytest.mark.thorough
def test_a_file_that_changes_during_the_run_ends_it_and_the_run_can_be_continued(
    cube: xr.Dataset, model: Model, whole: Path, tmp_path: Path
) -> None:
    files = []
    for at in range(DAYS):
        day = cube.isel(time=[at])
        files.append(tmp_path / "in" / f"{at:02}.nc")
        files[-1].parent.mkdir(exist_ok=True)
        day["sst"].assign_attrs(units="kelvin", standard_name="sea_surface_temperature").to_netcdf(files[-1])
    before = files[20].read_bytes()

    def reissue(stage: str, _fraction: float) -> None:
        if stage == "fill":
            files[20].write_bytes(before + b" ")

    def opened() -> xr.Dataset:
        read = open_cube(files)
        return read.assign(water=(("lat", "lon"), cube["water"].values))

    path = tmp_path / "out.zarr"
    with pytest.raises(InputError, match=r"20\.nc: changed while it was read"):
        fill_to(opened(), model, path, progress=reissue)
    assert not path.exists() or FilledStore.open(path).unfinished
    files[20].write_bytes(before)
    assert fill_to(opened(), model, path).finished
    with xr.open_zarr(path) as one, xr.open_zarr(whole) as other:
        xr.testing.assert_allclose(one["analysed_sst"].load(), other["analysed_sst"].load(), atol=0.011, rtol=0)
