import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sereno.cli.filling import told_of, workers_of
from sereno.config import configure
from sereno.cube import field_of
from sereno.errors import InputError
from sereno.filling import Filled, Shard, fill_to, store_of
from sereno.io import scheduler
from sereno.io.atomic import first_come
from sereno.io.filled import FilledStore
from sereno.io.read import open_cube
from sereno.io.scheduler import compute_at
from sereno.io.write import write_analysis
from sereno.workflow import Model, fill, fit, product_of

DAYS = 60
REACH = 15


class StoppedError(Exception):
    pass


def stop_after(days: float) -> Callable[[str, float], None]:
    """Break off when so many days are filled."""

    def progress(stage: str, fraction: float) -> None:
        if stage == "fill" and fraction * DAYS >= days:
            raise StoppedError

    return progress


@pytest.fixture(scope="module")
def cube(sea: xr.Dataset) -> xr.Dataset:
    return sea[["sst", "water"]].isel(time=slice(0, DAYS))


@pytest.fixture(scope="module")
def model(cube: xr.Dataset) -> Model:
    config = configure("linear", model={"method": "linear", "window": 5}, climatology={"recent_days": 0})
    made = fit(cube, config)
    assert made.reconstructor.reach == REACH
    return made


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of ten days, one after the other, so that there is more than one."""
    monkeypatch.setattr("sereno.reconstruct.blocks.days_per_block", lambda cells: 1)
    monkeypatch.setattr("sereno.reconstruct.blocks.CONTEXT_CELLS", 14 * 24 * 32)
    monkeypatch.setattr("sereno.filling.BLOCKS_AT_ONCE", 0)


def maps(store: Path) -> dict[str, bytes]:
    """All of a store but the attributes, which tell when it was made, and the model."""
    files = {path.relative_to(store): path for path in store.rglob("*") if path.is_file()}
    chosen = {name: path for name, path in files.items() if len(name.parts) > 1 and name.parts[0] != "model"}
    return {str(name): path.read_bytes() for name, path in chosen.items()}


def stamps(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def days_of(names: set[str], variable: str = "analysed_sst") -> list[int]:
    """Numbers of the days among chunks of a variable."""
    return sorted(int(Path(n).name.split(".")[0]) for n in names if n.startswith(f"{variable}/") and ".z" not in n)


@pytest.fixture(scope="module")
def whole(cube: xr.Dataset, model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of an undisturbed run."""
    path = tmp_path_factory.mktemp("whole") / "out.zarr"
    fill_to(cube, model, path)
    return path


@pytest.mark.parametrize(("name", "packed"), [("out.nc", True), ("out.zarr", False), ("days", True)])
def test_what_is_filled_by_a_store_is_what_the_analysis_says(
    cube: xr.Dataset, model: Model, tmp_path: Path, name: str, packed: bool
) -> None:
    done = fill_to(cube, model, tmp_path / name, days="2019-01-10:2019-01-31", packed=packed)
    assert done == Filled(tmp_path / name, 22, 22, "linear", finished=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    analysis = fill(cube, model, days="2019-01-10:2019-01-31")
    product = product_of(cube, model)
    straight = write_analysis(analysis, tmp_path / ("straight" + Path(name).suffix), product=product, packed=packed)
    if name == "days":
        filled = sorted((tmp_path / name).iterdir())
        assert [path.name for path in filled] == [path.name for path in straight]
    else:
        filled = [tmp_path / name]
    for one, other in zip(filled, straight, strict=True):
        mine, theirs = (xr.open_dataset(path, decode_times=False, mask_and_scale=False) for path in (one, other))
        xr.testing.assert_equal(mine.drop_vars("filled", errors="ignore"), theirs)  # of the counts as they are stored
        for variable in theirs.variables:
            assert mine[variable].dtype == theirs[variable].dtype
            assert {k: str(v) for k, v in mine[variable].attrs.items()} == {
                k: str(v) for k, v in theirs[variable].attrs.items()
            }
        same = set(theirs.attrs) - {"uuid", "date_created", "history"}
        assert all(mine.attrs[key] == theirs.attrs[key] for key in same)
        mine.close()
        theirs.close()


def test_a_broken_run_goes_on_where_it_stopped_to_the_same_bytes(
    cube: xr.Dataset, model: Model, whole: Path, tmp_path: Path
) -> None:
    path = tmp_path / "out.zarr"
    with pytest.raises(StoppedError):
        fill_to(cube, model, path, progress=stop_after(20))
    with pytest.raises(InputError, match="interrupted; run the same command again"):
        open_cube(path)
    before, left = stamps(path), FilledStore.open(path).missing.size
    assert 0 < left < DAYS
    done = fill_to(cube, model, path)
    assert done.written == left
    assert len(days_of({name for name, stamp in stamps(path).items() if before.get(name) == stamp})) == DAYS - left
    assert maps(path) == maps(whole)
    assert fill_to(cube, model, path).written == 0


def test_a_method_by_its_name_is_fitted_once(cube: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        fill_to(cube, "linear", tmp_path / "days", progress=stop_after(0))
    stages: list[str] = []
    fill_to(cube, "linear", tmp_path / "days", progress=lambda stage, _: stages.append(stage))
    assert set(stages) == {"fill"}
    assert len(list((tmp_path / "days").iterdir())) == DAYS


def test_shards_and_workers_write_the_bytes_of_one_process(
    cube: xr.Dataset, model: Model, whole: Path, tmp_path: Path
) -> None:
    path = tmp_path / "out.zarr"
    done = fill_to(cube, model, path, shard=Shard(2, 3))
    assert done == Filled(path, 20, 20, "linear", finished=False)
    with pytest.raises(
        InputError, match=r"40 of 60 days are not filled: 2019-01-01:2019-01-20, 2019-02-10:2019-03-01"
    ):
        fill_to(cube, model, path, merge=True)
    fill_to(cube, model, path, shard=Shard(3, 3))
    fill_to(cube, model, path, shard=Shard(1, 3), workers=2)
    with pytest.raises(InputError, match="interrupted"):
        open_cube(path)
    assert fill_to(cube, model, path, merge=True).finished
    assert maps(path) == maps(whole)


def test_the_workers_of_a_dask_cluster_write_the_bytes_of_one_process(
    cube: xr.Dataset, model: Model, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("distributed", reason="needs the extra cluster")
    monkeypatch.setattr(scheduler, "PATIENCE", 5)
    monkeypatch.chdir(tmp_path)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        done = fill_to(cube, model, "out.zarr", workers=address)
        with pytest.raises(InputError, match="no day of the input"):
            compute_at(address, fail, lambda threads: [threads])
    assert done == Filled(Path("out.zarr"), DAYS, DAYS, "linear", finished=True)
    assert maps(tmp_path / "out.zarr") == maps(whole)
    with distributed.LocalCluster(n_workers=0, dashboard_address=None) as empty:
        monkeypatch.setattr(scheduler, "PATIENCE", 1)
        with pytest.raises(InputError, match="the scheduler has no worker"):
            compute_at(empty.scheduler_address, fail, lambda threads: [threads])


def test_without_its_extra_a_cluster_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'--workers tcp://a:1: .* pip install "sereno\[cluster\]"'):
        compute_at("tcp://a:1", fail, lambda threads: [threads])


def test_workers_are_a_number_or_an_address() -> None:
    assert (workers_of("3"), workers_of("tcp://a:1")) == (3, "tcp://a:1")
    for text in ("0", "-1", "many", "1.5"):
        with pytest.raises(InputError, match=f"--workers {text}: give a number, or the address"):
            workers_of(text)


def fail(_threads: int) -> None:
    raise InputError("no day of the input")


@pytest.mark.parametrize("name", ["a.nc", "a.zarr", "days"])
def test_an_output_says_how_it_was_filled(cube: xr.Dataset, model: Model, tmp_path: Path, name: str) -> None:
    told = {}
    for option in ("nrt", "keep_observed", "packed"):
        place = tmp_path / option / name
        place.parent.mkdir()
        fill_to(cube, model, place, days="2019-01-10:2019-01-12", **{option: True})
        path = next(place.iterdir()) if name == "days" else place
        with xr.open_zarr(path) if name == "a.zarr" else xr.open_dataset(path) as made:
            settings = json.loads(made.attrs["sereno_model"])
            told[option] = settings["nrt"], settings["keep_observed"], made.attrs["history"].split("filled by ")[1]
    assert told == {
        "nrt": (True, False, "linear, in near real time (from no day after each)"),
        "keep_observed": (False, True, "linear, observed values kept"),
        "packed": (False, False, "linear"),
    }


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://127.0.0.1:9"])
def test_a_scheduler_that_does_not_answer_is_told(
    cube: xr.Dataset, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    pytest.importorskip("distributed", reason="needs the extra cluster")
    monkeypatch.setattr(scheduler, "PATIENCE", 1)
    with pytest.raises(InputError, match=f"--workers {address}: no Dask scheduler answers there"):
        fill_to(cube, model, tmp_path / "out.zarr", workers=address)
    assert fill_to(cube, model, tmp_path / "out.zarr").finished


@pytest.mark.parametrize("name", ["out.nc", "days"])
def test_shards_make_files_too(cube: xr.Dataset, model: Model, whole: Path, tmp_path: Path, name: str) -> None:
    for index in (2, 1):
        fill_to(cube, model, tmp_path / name, shard=Shard(index, 2))
    fill_to(cube, model, tmp_path / name, merge=True)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    files = sorted((tmp_path / name).iterdir()) if name == "days" else [tmp_path / name]
    with xr.open_mfdataset(files, combine="nested", concat_dim="time") as filled, xr.open_zarr(whole) as other:
        xr.testing.assert_equal(filled.load(), other.drop_vars("filled").load())


def test_of_two_that_make_the_store_at_once_the_first_does(tmp_path: Path) -> None:
    target = tmp_path / "out.zarr"

    def make(text: str) -> None:
        with first_come(target) as folder:
            folder.mkdir()
            (folder / "text").write_text(text)
            if text == "second":
                make("first")

    make("second")
    assert (target / "text").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["out.zarr"]


def test_a_store_of_other_settings_model_or_input_is_refused(cube: xr.Dataset, model: Model, tmp_path: Path) -> None:
    path = tmp_path / "out.nc"
    with pytest.raises(StoppedError):
        fill_to(cube, model, path, progress=stop_after(10))

    def refused(match: str, cube: xr.Dataset = cube, method: Model | str = model, **options: bool) -> None:
        with pytest.raises(InputError, match=match) as caught:
            fill_to(cube, method, path, **options)
        assert f"remove {store_of(path)} to begin anew" in str(caught.value)

    refused("keep_observed: False there, True now", keep_observed=True)
    refused(r"model: \w{12} there, fitted on the input now", method="linear")
    refused(r"input: 2019-01-01:2019-03-01 there, 2019-01-01:2019-02-28 now", cube.isel(time=slice(0, DAYS - 1)))
    warmer = cube.assign(sst=cube["sst"] + 1)
    refused("checksums: ", warmer)
    refused("grid: 24 × 32 cells", cube.isel(lat=slice(0, 20)))
    assert fill_to(cube, model, path).finished


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("out.nc", {"update": True}, "cannot be updated; give a name in .zarr or a folder"),
        ("out.zarr", {"update": True, "shard": Shard(1, 2)}, "not of shards"),
        ("out.zarr", {"merge": True, "shard": Shard(1, 2)}, "give one of them"),
        ("out.zarr", {"shard": Shard(3, 2)}, "give I/N with I from 1 to N"),
        ("out.zarr", {"merge": True}, "nothing to merge; run the shards first"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    cube: xr.Dataset, model: Model, tmp_path: Path, name: str, options: dict[str, bool], match: str
) -> None:
    with pytest.raises(InputError, match=match):
        fill_to(cube, model, tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


# The nightly update


def until(cube: xr.Dataset, days: int) -> xr.Dataset:
    return cube.isel(time=slice(0, days))


@pytest.mark.parametrize("nrt", [False, True])
def test_an_update_fills_what_new_days_bear_on_and_touches_nothing_else(
    cube: xr.Dataset, model: Model, tmp_path: Path, nrt: bool
) -> None:
    path, anew, first = tmp_path / "out.zarr", tmp_path / "anew.zarr", 35
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
    assert told_of(done)[0] == f"no image any more: {cube['time'].values[seen]!s:.10}"


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
