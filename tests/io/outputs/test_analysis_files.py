"""What stands in the files of an analysis."""

import json
import subprocess
import sys
from pathlib import Path

import dask.array as da
import h5py
import numpy as np
import pytest
import xarray as xr
from analyses import WATER, an_analysis, chlorophyll, read

from sereno.errors import InputError
from sereno.io.outputs.analysis import write_analysis
from sereno.io.outputs.final_checks import require_whole
from sereno.io.outputs.provenance import Product


@pytest.mark.parametrize("name", ["out.nc", "out.zarr"])
def test_what_is_written_is_read_back(tmp_path: Path, name: str) -> None:
    analysis = an_analysis()
    assert write_analysis(analysis, tmp_path / name) == [tmp_path / name]
    written = read(tmp_path / name)
    np.testing.assert_allclose(written["analysed_sst"], analysis["mean"], atol=0.0051)
    np.testing.assert_allclose(written["analysis_error"], analysis["std"], atol=0.0051)
    np.testing.assert_array_equal(written["source_flag"], analysis["source"])
    np.testing.assert_array_equal(written["data_age"], analysis["data_age"])
    assert written["data_age"].encoding["dtype"] == np.int16
    np.testing.assert_array_equal(written["mask"], np.broadcast_to(np.where(WATER, 1, 2), (10, 4, 6)))
    assert written["sea_ice_fraction"].isnull().all()
    for dim in ("time", "lat", "lon"):
        np.testing.assert_array_equal(written[dim], analysis[dim])
    assert "climatology" not in written
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_layout_is_that_of_ghrsst(tmp_path: Path) -> None:
    write_analysis(an_analysis(), tmp_path / "out.nc")
    raw = read(tmp_path / "out.nc", mask_and_scale=False, decode_times=False)
    sst, error = raw["analysed_sst"], raw["analysis_error"]
    assert sst.dims == ("time", "lat", "lon")
    assert {raw[name].dtype.name for name in ("analysed_sst", "analysis_error")} == {"int16"}
    assert {raw[name].dtype.name for name in ("mask", "source_flag", "sea_ice_fraction")} == {"int8"}
    for name, value in {"add_offset": 273.15, "scale_factor": 0.01, "valid_min": -300, "valid_max": 4500}.items():
        assert sst.attrs[name] == value
    assert (sst.values[:, ~WATER] == -32768).all()
    assert sst.attrs["_FillValue"] == error.attrs["_FillValue"] == -32768
    assert sst.attrs["units"] == error.attrs["units"] == "kelvin"
    assert sst.attrs["units_metadata"] == "temperature: on_scale"
    assert error.attrs["units_metadata"] == "temperature: difference"
    assert sst.attrs["ancillary_variables"].split() == ["analysis_error", "source_flag", "data_age", "mask"]
    assert raw["time"].attrs["units"] == "seconds since 1981-01-01"
    assert raw["time"].dtype == "int32"
    assert raw["mask"].attrs["flag_masks"].tolist() == [1, 2, 4, 8]
    assert raw["source_flag"].attrs["flag_meanings"] == "land observed filled beyond_support"
    assert not any("_FillValue" in raw[dim].attrs for dim in raw.coords)


@pytest.mark.parametrize(
    ("sst_type", "standard_name"),
    [
        ("skin", "sea_surface_skin_temperature"),
        ("subskin", "sea_surface_subskin_temperature"),
        ("foundation", "sea_surface_foundation_temperature"),
        ("depth", "sea_surface_temperature"),
        ("unknown", "sea_surface_temperature"),
    ],
)
def test_the_kind_of_temperature_is_stated(tmp_path: Path, sst_type: str, standard_name: str) -> None:
    write_analysis(an_analysis(), tmp_path / "out.nc", product=Product(sst_type=sst_type))
    written = read(tmp_path / "out.nc")
    assert written["analysed_sst"].attrs["standard_name"] == standard_name
    assert written["analysis_error"].attrs["standard_name"] == f"{standard_name} standard_error"


@pytest.mark.parametrize("name", ["out.nc", "out.zarr"])
def test_unpacked_values_survive_exactly(tmp_path: Path, name: str) -> None:
    analysis = an_analysis(mean=300.0)
    write_analysis(analysis, tmp_path / name, packed=False)
    written = read(tmp_path / name)
    assert written["analysed_sst"].dtype == "float32"
    np.testing.assert_array_equal(written["analysed_sst"], analysis["mean"])
    np.testing.assert_array_equal(written["analysis_error"], analysis["std"])


def test_other_fields_are_stored_under_their_name(tmp_path: Path) -> None:
    analysis = chlorophyll()
    write_analysis(analysis, tmp_path / "out.nc")
    written = read(tmp_path / "out.nc")
    assert set(written) == {"chlorophyll", "chlorophyll_error", "mask", "source_flag", "data_age"}
    np.testing.assert_array_equal(written["chlorophyll"], analysis["mean"])
    assert written["chlorophyll"].attrs["units"] == written["chlorophyll_error"].attrs["units"] == "mg m-3"
    assert "GHRSST" not in written.attrs["id"]


def test_a_temperature_in_another_unit_is_not_called_ghrsst(tmp_path: Path) -> None:
    analysis = an_analysis(mean=17.0)
    analysis["mean"].attrs = {"units": "degree_Celsius", "cell_methods": "time: mean"}
    (path,) = write_analysis(analysis.isel(time=[0]), tmp_path)
    written = read(path)
    assert set(written) == {"sst", "sst_error", "mask", "source_flag", "data_age"}
    assert written["sst"].attrs["cell_methods"] == "time: mean"
    assert path.name == "20170501000000-SERENO-L4-sst-analysis-fv01.0.nc"
    assert "gds_version_id" not in written.attrs


def test_the_record_of_the_run_is_kept(tmp_path: Path) -> None:
    product = Product(
        model={"method": "convlstm", "scores": {"rmse": 0.3}},
        config='[model]\nmethod = "convlstm"\n',
        attributes={"title": "Mine", "history": "2020 made by hand", "time_coverage_start": "1900"},
    )
    write_analysis(an_analysis(), tmp_path / "out.nc", product=product)
    attributes = read(tmp_path / "out.nc").attrs
    assert json.loads(attributes["sereno_model"]) == product.model
    assert attributes["sereno_config"] == product.config
    assert attributes["title"] == "Mine"
    first, second = attributes["history"].splitlines()
    assert first == "2020 made by hand"
    assert "convlstm" in second
    assert attributes["time_coverage_start"] == "2017-05-01T00:00:00Z"
    assert attributes["start_time"] == attributes["time_coverage_start"]
    assert attributes["stop_time"] == attributes["time_coverage_end"] == "2017-05-11T00:00:00Z"
    assert attributes["time_coverage_duration"] == "P10D"


def test_a_folder_gets_a_file_a_day_and_keeps_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "days"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    analysis = an_analysis()
    product = Product(sst_type="foundation", model={"method": "interpolation"}, attributes={"id": "mine"})
    told: list[float] = []
    paths = write_analysis(analysis, folder, product=product, progress=lambda _, done: told.append(done))
    assert paths == write_analysis(analysis, folder, product=product)  # again, over the first
    assert paths[3].name == "20170504000000-SERENO-L4_GHRSST-SSTfnd-interpolation-v02.1-fv01.0.nc"
    assert sorted(folder.iterdir()) == sorted([*paths, folder / "notes.txt"])
    together = xr.concat([read(path) for path in paths], "time", data_vars="minimal")
    np.testing.assert_allclose(together["analysed_sst"], analysis["mean"], atol=0.0051)
    np.testing.assert_array_equal(together["time"], analysis["time"])
    assert told == pytest.approx([0, 0.3, 0.6, 0.9, 1])


FAULTS = [
    ("mean", np.nan, r"analysed_sst: 2017-05-06: 1 of 20 values on water are not finite \(nan\)"),
    (
        "mean",
        318.3,
        r"analysed_sst: 2017-05-06: 1 of .* outside 270.145 to 318.155 kelvin, −3 to 45 °C \(318.3\)",
    ),
    ("mean", 17.0, r"analysed_sst: 2017-05-06: 1 of .* are outside .* \(17\); check the units"),
    ("std", np.nan, r"analysis_error: 2017-05-06: 1 of 20 values on water are not finite \(nan\)"),
    ("std", np.inf, r"analysis_error: .* are not finite \(inf\)"),
    ("std", 0.0, r"analysis_error: .* are not above 0 \(0\)"),
    ("std", 400.0, r"analysis_error: .* are outside 0 to 327.675 kelvin \(400\)"),
    ("source", 0, r"source_flag: .* are outside 1 to 3 \(0\)"),
]


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["out.nc", "out.zarr", "out"])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(("variable", "value", "match"), FAULTS)
def test_a_value_that_cannot_be_ends_it_with_the_day_and_the_count_and_nothing_is_written(
    tmp_path: Path, name: str, packed: bool, variable: str, value: float, match: str
) -> None:
    analysis = an_analysis()
    values = analysis[variable].values.copy()
    lat, lon = np.argwhere(analysis["water"].values)[3]
    values[5, lat, lon] = value
    values[:, ~analysis["water"].values] = 0 if variable == "source" else np.nan  # of land nothing is asked
    analysis[variable] = analysis[variable].copy(data=da.from_array(values, chunks=(3, 4, 6)))
    with pytest.raises(InputError, match=match) as error:
        write_analysis(analysis, tmp_path / name, packed=packed)
    assert str(error.value).startswith(f"{tmp_path / name}: ")
    assert not list(tmp_path.iterdir())


def test_a_small_standard_deviation_does_not_become_zero_by_packing(tmp_path: Path) -> None:
    analysis = an_analysis()
    analysis["std"] = xr.full_like(analysis["std"], 0.001).where(analysis["water"])
    write_analysis(analysis, tmp_path / "out.nc")
    stored = read(tmp_path / "out.nc")["analysis_error"]
    np.testing.assert_allclose(stored.values[:, analysis["water"].values], 0.01, rtol=1e-6)


def test_days_that_do_not_ascend_are_refused(tmp_path: Path) -> None:
    analysis = an_analysis()
    with pytest.raises(InputError, match="do not ascend"):
        write_analysis(analysis.isel(time=[0, 2, 1]), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_file_that_lacks_chunks_is_not_called_written(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "out.nc", "w") as file:
        file["time"] = np.arange(4)
        file.create_dataset("map", (4, 4, 4), "f4", chunks=(1, 4, 4), fillvalue=0)[:3] = 1
    with pytest.raises(InputError, match=r"OUT\.nc: map was not written whole"):
        require_whole(tmp_path / "out.nc", sizes={"time": 4}, output=Path("OUT.nc"))
    with pytest.raises(InputError, match=r"OUT\.nc: time was not written whole"):
        require_whole(tmp_path / "out.nc", sizes={"time": 5}, output=Path("OUT.nc"))


@pytest.mark.parametrize("name", ["out.nc", "out.zarr", "out"])
def test_time_never_wraps(tmp_path: Path, name: str) -> None:
    analysis = an_analysis()
    later = analysis.assign_coords(time=analysis["time"] + np.timedelta64(365 * 40, "D"))
    with pytest.raises(InputError, match=r"2057-\d\d-\d\d: .* end on 2049-01-19"):
        write_analysis(later, tmp_path / name)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_ends_of_the_packing_are_packed(tmp_path: Path) -> None:
    analysis = an_analysis()
    ends = np.where(np.arange(10) % 2, np.float32(270.15), np.float32(318.15))[:, None, None]
    analysis["mean"] = xr.zeros_like(analysis["mean"]) + ends
    write_analysis(analysis, tmp_path / "out.nc")
    np.testing.assert_allclose(read(tmp_path / "out.nc")["analysed_sst"][:2, 3, 3], [318.15, 270.15])


@pytest.mark.parametrize("kind", ["packed", "unpacked", "day", "chlorophyll"])
def test_the_compliance_checker_is_content(tmp_path: Path, kind: str) -> None:
    # In a process of its own: the checker's libraries warn, and here warnings are errors.
    target = tmp_path / ("days" if kind == "day" else "out.nc")
    product = Product(sst_type="subskin", model={"method": "interpolation"}, config="seed = 0\n")
    analysis = chlorophyll() if kind == "chlorophyll" else an_analysis()
    path = write_analysis(analysis, target, product=product, packed=kind != "unpacked")[0]
    report = tmp_path / "report.json"
    checker = Path(sys.executable).with_name("compliance-checker")
    tests = ["--test=cf:1.11", "--test=acdd:1.3"]
    subprocess.run([checker, *tests, "--format=json", f"--output={report}", path], capture_output=True, check=False)
    found = json.loads(report.read_text())
    assert set(found) == {"cf:1.11", "acdd:1.3"}
    for suite in found.values():
        faults = [fault for fault in suite["high_priorities"] if fault["msgs"]]
        # CF has no standard name for the age of an observation, and to make one up would break CF.
        assert all("data_age" in fault["name"] and fault["msgs"] == ["standard_name"] for fault in faults), faults
    assert found["cf:1.11"]["medium_count"] == 0, found["cf:1.11"]["medium_priorities"]
    # Who made and who publishes a file is for the user to say; a surface has no vertical coordinate; and the coverage
    # ends with the last day, as GDS 2.1 has it, not with the time that stands for that day.
    allowed = {"Global Attributes", "geospatial_vertical_extents_match", "time_coverage_extents_match"}
    assert {fault["name"] for fault in found["acdd:1.3"]["medium_priorities"] if fault["msgs"]} <= allowed
