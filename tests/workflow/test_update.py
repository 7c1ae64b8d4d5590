from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from stores import DAYS, REACH, StoppedError, days_of, maps, stamps, stop_after

from sereno.cli.filling import report_lines
from sereno.cube import field_of
from sereno.errors import InputError
from sereno.io.stores.filled import FilledStore
from sereno.workflow.fill_request import store_of
from sereno.workflow.fill_to import fill_to
from sereno.workflow.models import Model


def until(cube: xr.Dataset, days: int) -> xr.Dataset:
    return cube.isel(time=slice(0, days))


@pytest.mark.parametrize("nrt", [False, True])
def test_an_update_fills_what_new_days_bear_on_and_touches_nothing_else(
    cube: xr.Dataset, model: Model, tmp_path: Path, nrt: bool
) -> None:
    path, anew, first = tmp_path / "out.zarr", tmp_path / "anew.zarr", 52 if nrt else 35
    options = {"days": str(cube["time"].values[first])[:10] + ":", "nrt": nrt}
    fill_to(until(cube, 57), model, path, update=True, **options)
    before, old = stamps(path), maps(path)
    done = fill_to(cube, model, path, update=True, **options).update
    assert done is not None
    assert done.new.astype(str).tolist() == ["2019-02-27", "2019-02-28", "2019-03-01"]
    touched = {name for name, stamp in stamps(path).items() if before.get(name) != stamp}
    again = [] if nrt else list(range(57 - REACH, 57))
    assert days_of(touched) == days_of(touched, "analysis_error") == [day - first for day in [*again, 57, 58, 59]]
    assert done.again.size == len(again)
    new = maps(path)
    assert all(new[name] == old[name] for name in set(old) - touched)
    fill_to(cube, model, anew, **options)
    assert new == maps(anew)
    with xr.open_zarr(path) as stored:
        assert stored.attrs["time_coverage_end"] == "2019-03-02T00:00:00Z"
        assert len(stored.attrs["history"].splitlines()) == 2
        assert stored.sizes["time"] == DAYS - first
    again_done = fill_to(cube, model, path, update=True, **options)
    assert again_done.written == 0
    assert again_done.update is not None
    assert not again_done.update.changed


def test_a_broken_update_goes_on_to_the_same_bytes(
    cube: xr.Dataset, model: Model, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.zarr"
    fill_to(until(cube, 57), model, path)
    with monkeypatch.context() as patch:
        patch.setattr(FilledStore, "extend", lambda *_: (_ for _ in ()).throw(StoppedError))
        with pytest.raises(StoppedError):
            fill_to(cube, model, path, update=True)
    with pytest.raises(StoppedError):
        fill_to(cube, model, path, update=True, progress=stop_after(20))
    left = FilledStore.open(path).missing.size
    assert 0 < left < REACH + 3
    assert fill_to(cube, model, path, update=True).written == left
    assert maps(path) == maps(whole)


@pytest.mark.thorough
def test_a_late_file_and_a_changed_one_are_taken_up_and_told_of(
    cube: xr.Dataset, model: Model, whole: Path, tmp_path: Path
) -> None:
    path, sst = tmp_path / "out.zarr", field_of(cube)
    day = cube["time"].values
    early, late = (int(np.flatnonzero(cube["sst"].notnull().any(("lat", "lon")))[at]) for at in (5, -1))
    gap = cube.assign(sst=sst.where(sst["time"] != day[early]))
    fill_to(gap, model, path)
    other = gap.assign(sst=xr.where(gap["time"] == day[late], gap["sst"] + 1, gap["sst"]).transpose(*sst.dims))
    done = fill_to(other, model, path, update=True).update
    assert done is not None
    assert done.changed_images.astype(str).tolist() == [str(day[late])[:10]]
    assert done.again.size == REACH + DAYS - late
    done = fill_to(cube, model, path, update=True).update
    assert done is not None
    assert done.late.astype(str).tolist() == [str(day[early])[:10]]
    assert done.changed_images.astype(str).tolist() == [str(day[late])[:10]]
    assert maps(path) == maps(whole)


@pytest.mark.thorough
def test_an_update_of_daily_files_writes_just_those_that_change(
    cube: xr.Dataset, model: Model, whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "days"
    gap = cube.assign(sst=field_of(cube).where(cube["time"] != cube["time"][58]))
    fill_to(until(gap, 57), model, folder, update=True)
    before = stamps(folder)
    done = fill_to(gap, model, folder, update=True)
    assert done.update is not None
    assert "2019-02-28" in done.update.empty.astype(str)
    changed = {name[:8] for name, stamp in stamps(folder).items() if before.get(name) != stamp}
    assert len(changed) == REACH + 3
    assert min(changed) == "20190212"
    assert not list(store_of(folder).glob("analysed_sst/[0-9]*"))
    fill_to(cube, model, folder, update=True)
    lost = sorted(folder.iterdir())[20]
    lost.unlink()
    with pytest.raises(InputError, match="2019-01-21 must be filled, on which images from 2019-01-06 on bear"):
        fill_to(cube.isel(time=slice(20, None)), model, folder, update=True)
    assert fill_to(cube, model, folder, update=True).written == 1
    assert lost.exists()
    written = sorted(folder.iterdir())
    with xr.open_mfdataset(written, combine="nested", concat_dim="time") as files, xr.open_zarr(whole) as other:
        xr.testing.assert_equal(files.load(), other.drop_vars("filled").load())


def test_a_folder_that_holds_other_files_is_no_place_for_daily_ones(
    cube: xr.Dataset, model: Model, tmp_path: Path
) -> None:
    other = tmp_path / "days" / "20190101-L3S.nc"
    other.parent.mkdir()
    other.write_bytes(b"an image")
    with pytest.raises(InputError, match=r"days: holds 20190101-L3S\.nc, which is no analysis"):
        fill_to(cube, model, other.parent)
    assert list(tmp_path.rglob("*.*")) == [other]


@pytest.mark.thorough
def test_an_update_keeps_the_water_that_was_guessed_the_first_night(
    cube: xr.Dataset, model: Model, tmp_path: Path
) -> None:
    def guessed(days: int, unseen: int) -> xr.Dataset:
        part = until(cube, days).assign_attrs(water_from="pixels ever observed")
        water = part["water"].copy()
        water[:, :unseen] = False
        return part.assign(water=water)

    path = tmp_path / "days"
    fill_to(guessed(57, 5), model, path, update=True)
    assert fill_to(guessed(DAYS, 3), model, path, update=True).written == REACH + 3
    with xr.open_mfdataset(sorted(path.iterdir())) as analysis:
        expected = guessed(1, 5)["water"].values
        np.testing.assert_array_equal(analysis["mask"] == 1, np.broadcast_to(expected, (DAYS, *expected.shape)))
    with pytest.raises(InputError, match="grid: "):  # a mask that was given is no guess
        fill_to(guessed(DAYS, 3).assign_attrs(water_from="file mask.nc"), model, path, update=True)


def test_an_image_that_is_gone_is_told_of(cube: xr.Dataset, model: Model, tmp_path: Path) -> None:
    seen = np.flatnonzero(cube["sst"].notnull().any(("lat", "lon")))[-1]
    fill_to(cube, model, tmp_path / "out.zarr")
    gap = cube.assign(sst=field_of(cube).where(cube["time"] != cube["time"][seen]))
    done = fill_to(gap, model, tmp_path / "out.zarr", update=True)
    assert done.update is not None
    assert done.update.gone == cube["time"].values[seen].astype("datetime64[D]")
    assert not done.update.changed_images.size
    assert report_lines(done)[0] == f"image is gone: {cube['time'].values[seen]!s:.10}"


def test_an_input_that_rolls_on_is_enough_where_it_holds_what_bears_on_the_days(
    cube: xr.Dataset, model: Model, whole: Path, tmp_path: Path
) -> None:
    path = tmp_path / "out.zarr"
    fill_to(until(cube, 58), model, path)
    with pytest.raises(InputError, match="2019-02-13 must be filled, on which images from 2019-01-29 on bear"):
        fill_to(cube.isel(time=slice(30, None)), model, path, update=True)
    fill_to(cube.isel(time=slice(58 - 2 * REACH, None)), model, path, update=True)
    assert maps(path) == maps(whole)
    with pytest.raises(InputError, match="only grows forward"):
        fill_to(cube.assign_coords(time=cube["time"] - np.timedelta64(3, "D")), model, path, update=True)


def test_the_age_of_the_data_is_that_of_the_last_observation(cube: xr.Dataset, whole: Path) -> None:
    with xr.open_zarr(whole) as stored:
        age = stored["data_age"].load()
    seen = (cube["sst"].notnull() & cube["water"]).values
    for day in (0, 1, 30, 59):
        expected = np.full(seen.shape[1:], np.nan)
        for lag in (2, 1, 0):
            if day >= lag:
                expected[seen[day - lag]] = lag
        np.testing.assert_array_equal(age[day], expected)
    assert (age.encoding["dtype"], age.attrs["units"]) == (np.int16, "day")
