import json
from pathlib import Path

import pytest
import xarray as xr
from stores import DAYS, StoppedError, days_of, maps, stamps, stop_after

from sereno.cli.filling import workers_of
from sereno.compute import dask_cluster
from sereno.compute.dask_cluster import compute_at
from sereno.errors import InputError
from sereno.grids.regrid import parse_step
from sereno.io.inputs.cube import open_cube
from sereno.io.outputs.analysis import write_analysis
from sereno.io.outputs.atomic import first_come
from sereno.io.stores.filled import FilledStore
from sereno.workflow.fill import fill, product_of
from sereno.workflow.fill_to import Filled, Shard, fill_to
from sereno.workflow.models import Model


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
    days = "2019-01-10:2019-01-13"
    with pytest.raises(StoppedError):
        fill_to(cube, "linear", tmp_path / "days", days=days, progress=stop_after(0))
    stages: list[str] = []
    fill_to(cube, "linear", tmp_path / "days", days=days, progress=lambda stage, _: stages.append(stage))
    assert set(stages) == {"fill"}
    assert len(list((tmp_path / "days").iterdir())) == 4


@pytest.mark.thorough
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


@pytest.mark.thorough
def test_the_workers_of_a_dask_cluster_write_the_bytes_of_one_process(
    cube: xr.Dataset, model: Model, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("distributed", reason="needs the extra cluster")
    monkeypatch.setattr(dask_cluster, "PATIENCE", 5)
    monkeypatch.chdir(tmp_path)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        done = fill_to(cube, model, "out.zarr", workers=address)
        with pytest.raises(InputError, match="write the step in degrees"):
            compute_at(address, parse_step, lambda threads: ["x"])
    assert done == Filled(Path("out.zarr"), DAYS, DAYS, "linear", finished=True)
    assert maps(tmp_path / "out.zarr") == maps(whole)
    with distributed.LocalCluster(n_workers=0, dashboard_address=None) as empty:
        monkeypatch.setattr(dask_cluster, "PATIENCE", 1)
        with pytest.raises(InputError, match="the scheduler has no worker"):
            compute_at(empty.scheduler_address, parse_step, lambda threads: ["1"])


def test_without_its_extra_a_cluster_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_cluster, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'`workers` tcp://a:1: .* pip install "sereno\[cluster\]"'):
        compute_at("tcp://a:1", parse_step, lambda threads: ["1"])


def test_workers_are_a_number_or_an_address() -> None:
    assert (workers_of("3"), workers_of("tcp://a:1")) == (3, "tcp://a:1")
    for text in ("0", "-1", "many", "1.5"):
        with pytest.raises(InputError, match=f"--workers {text}: give a number, or the address"):
            workers_of(text)


@pytest.mark.thorough
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


@pytest.mark.thorough
@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://127.0.0.1:9"])
def test_a_scheduler_that_does_not_answer_is_told(
    cube: xr.Dataset, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    pytest.importorskip("distributed", reason="needs the extra cluster")
    monkeypatch.setattr(dask_cluster, "PATIENCE", 1)
    with pytest.raises(InputError, match=f"`workers` {address}: no Dask scheduler answers there"):
        fill_to(cube, model, tmp_path / "out.zarr", workers=address)
    assert fill_to(cube, model, tmp_path / "out.zarr").finished


@pytest.mark.thorough
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
        assert "begin again with `overwrite`" in str(caught.value)

    refused("keep_observed: False there, True now", keep_observed=True)
    refused(r"model: \w{12} there, fitted on the input now", method="linear")
    refused(r"input: 2019-01-01:2019-03-01 there, 2019-01-01:2019-02-28 now", cube.isel(time=slice(0, DAYS - 1)))
    warmer = cube.assign(sst=cube["sst"] + 1)
    refused(r"\d+ of its days were filled from other images than the input holds now: 2019-01-01", warmer)
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
