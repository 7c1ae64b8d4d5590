import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from cartopy.mpl.geoaxes import GeoAxes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from sereno.config import configure
from sereno.cube import make_cube
from sereno.errors import InputError
from sereno.gaps.statistics import coverage
from sereno.report import input_figures
from sereno.report.input_figures import (
    cover_figure,
    distributions_figure,
    monthly_coverage_figure,
    persistence_figure,
    save_description,
)
from sereno.report.input_tables import decimals, description_csv, gap_summary, show_description
from sereno.workflow.describe import describe

FILES = {"describe.nc", "describe.csv", "cover.png", "persistence.png", "coverage.png", "distributions.png"}


@pytest.fixture(scope="module")
def description(sea: xr.Dataset) -> xr.Dataset:
    return describe(sea)


def a_cube(values: np.ndarray, **settings: str) -> xr.Dataset:
    days, height, width = values.shape
    lat, lon = np.linspace(36, 37, height), np.linspace(-5, -3, width)
    water = np.ones((height, width), bool)
    return make_cube(
        values.astype("float32"),
        time=pd.date_range("2019-01-01", periods=days),
        lat=lat,
        lon=lon,
        water=water,
        **settings,
    )


def draw_all(description: xr.Dataset, folder: Path) -> set[str]:
    return {path.name for path in save_description(description, folder)}


# describe


def test_a_description_agrees_with_the_cube(sea: xr.Dataset, description: xr.Dataset) -> None:
    water = sea["water"].values
    seen = sea["sst"].values[:, water]
    np.testing.assert_allclose(description["cloud_cover"].values[water], 100 * np.isnan(seen).mean(axis=0), rtol=1e-5)
    assert np.isnan(description["cloud_cover"].values[~water]).all()
    np.testing.assert_allclose(description["coverage"], 100 * coverage(sea))
    np.testing.assert_allclose(description["sst_mean"], np.nanmean(seen, dtype=float), rtol=1e-9)
    np.testing.assert_allclose(description["sst_std"], np.nanstd(seen, dtype=float), rtol=1e-6)
    assert description["sst_observations"] == description["anomaly_observations"] == np.isfinite(seen).sum()
    frame = (100 * coverage(sea)).to_series()
    np.testing.assert_allclose(description["coverage_monthly"], frame.resample("MS").mean())
    assert description["month"].dt.strftime("%Y-%m").values.tolist() == ["2019-01", "2019-02", "2019-03", "2019-04"]
    assert description["month_of_year"].values.tolist() == [1, 2, 3, 4]


def test_a_short_record_is_described_by_its_mean_alone_and_says_so(description: xr.Dataset) -> None:
    assert description.attrs["climatology"] == "the mean alone: no seasonal cycle"
    assert abs(description["anomaly_mean"]) < 0.3


def test_the_season_is_taken_out_of_a_long_record() -> None:
    rng = np.random.default_rng(0)
    phase = 2 * np.pi * np.arange(800) / 365.2425
    values = 290 + 5 * np.cos(phase)[:, None, None] + 0.3 * rng.normal(size=(800, 6, 7))
    found = describe(a_cube(np.where(rng.random(values.shape) < 0.5, np.nan, values)))
    assert found.attrs["climatology"] == "mean, 2 harmonics of the year"
    assert found["sst_std"] > 3
    assert found["anomaly_std"] == pytest.approx(0.3, abs=0.02)
    assert found["month_of_year"].size == 12


def test_the_recent_mean_is_not_part_of_the_climatology() -> None:
    values = np.repeat([290.0, 292.0], 60)[:, None, None] + np.zeros((120, 3, 3))
    found = describe(a_cube(values), configure("climatology", climatology={"recent_days": 15}))
    assert found["anomaly_std"] == pytest.approx(1, abs=1e-3)


def test_days_are_chosen(sea: xr.Dataset) -> None:
    found = describe(sea, days="2019-02")
    assert found.attrs["period"] == "2019-02-01:2019-02-28"
    assert found.sizes["time"] == 28
    np.testing.assert_allclose(found["coverage"], 100 * coverage(sea.sel(time="2019-02")))


def test_chunks_change_nothing(sea: xr.Dataset, description: xr.Dataset) -> None:
    xr.testing.assert_allclose(describe(sea.chunk(time=11)), description, rtol=1e-5, atol=1e-3)


def test_nothing_to_describe_is_refused() -> None:
    cube = a_cube(np.full((5, 3, 3), np.nan))
    with pytest.raises(InputError, match="not one observation over water in 2019-01-01:2019-01-05"):
        describe(cube)
    with pytest.raises(InputError, match="holds no day of the input"):
        describe(cube, days="2015")
    with pytest.raises(InputError, match="an anomaly already"):
        describe(a_cube(np.zeros((5, 3, 3)), field="anomaly"))


# Figures


def maps(figure: Figure) -> list[GeoAxes]:
    return [axis for axis in figure.axes if isinstance(axis, GeoAxes)]


def test_three_maps_with_their_units(description: xr.Dataset) -> None:
    figure = cover_figure(description)
    assert [axis.get_title() for axis in maps(figure)] == ["Cloud cover", "Mean length of gaps", "Longest gap"]
    bars = [axis.get_xlabel() for axis in figure.axes if not isinstance(axis, GeoAxes)]
    assert bars == ["% of days", "days", "days"]
    assert figure.get_suptitle() == "2019-01-01 to 2019-04-30"
    for axis, name in zip(maps(figure), ("cloud_cover", "gap_mean", "gap_longest"), strict=True):
        mesh = max((c for c in axis.collections if isinstance(c, QuadMesh)), key=lambda mesh: mesh.zorder)
        shown = np.ma.filled(mesh.get_array().astype(float), np.nan).reshape(description["water"].shape)
        np.testing.assert_allclose(shown, description[name])


def test_maps_of_a_wide_sea_stand_one_above_the_other() -> None:
    rng = np.random.default_rng(0)
    cube = a_cube(np.where(rng.random((9, 8, 60)) < 0.5, np.nan, 290.0))
    cube["lon"] = np.linspace(-5, 8, 60)
    heights = [axis.get_position().y0 for axis in maps(cover_figure(describe(cube)))]
    assert heights[0] > heights[1] > heights[2]


def test_persistence_shows_counts_and_shares(description: xr.Dataset) -> None:
    counted, exceeded = persistence_figure(description).axes
    assert (counted.get_xscale(), counted.get_yscale()) == ("log", "log")
    assert {axis.get_xlabel() for axis in (counted, exceeded)} == {"length of gap (days)"}
    labels = [text.get_text() for text in counted.get_legend().get_texts()]
    assert labels == ["whole", "cut off by an end of the record"]
    assert sum(line.get_ydata().sum() for line in counted.lines) == description["gap_runs"].sum()
    gaps, days = (line.get_ydata() for line in exceeded.lines)
    assert gaps[0] == days[0] == 100
    length, runs = description["gap_length"].values, description["gap_runs"].values
    assert days[4] == pytest.approx(100 * (length * runs)[4:].sum() / (length * runs).sum())
    assert (np.diff(gaps) <= 0).all()


def test_coverage_shows_days_and_months(description: xr.Dataset) -> None:
    series, year = monthly_coverage_figure(description).axes
    daily, monthly = (line.get_ydata() for line in series.lines)
    np.testing.assert_array_equal(daily, description["coverage"])
    np.testing.assert_array_equal(monthly, description["coverage_monthly"])
    assert series.get_ylabel() == year.get_ylabel() == "% of the sea"
    assert f"{float(daily.mean()):.1f} % on average" in series.get_title(loc="right")
    assert [patch.get_height() for patch in year.patches] == pytest.approx(monthly)
    assert [label.get_text() for label in year.get_xticklabels()] == list("JFMAMJJASOND")


def test_distributions_are_in_celsius_and_kelvin(description: xr.Dataset) -> None:
    sst, anomaly = distributions_figure(description).axes
    assert (sst.get_title(), sst.get_xlabel(), anomaly.get_xlabel()) == ("SST", "°C", "K")
    assert anomaly.get_title() == "Anomaly from the climatology\n(the mean alone: no seasonal cycle)"
    for axis, name, shift in ((sst, "sst", 273.15), (anomaly, "anomaly", 0.0)):
        assert axis.get_ylabel().startswith("% of observations, by ")
        bars = axis.patches[0].get_data()
        assert 99.5 < bars.values.sum() <= 100
        assert len(bars.values) <= input_figures.BARS
        middle = (bars.edges[:-1] + bars.edges[1:]) / 2
        mean = (middle * bars.values).sum() / bars.values.sum()
        assert mean == pytest.approx(float(description[f"{name}_mean"]) - shift, abs=0.05)
        labels = [text.get_text() for text in axis.get_legend().get_texts()]
        assert labels[1] == f"median {float(description[f'{name}_quantile'][3]) - shift:z.2f} {axis.get_xlabel()}"


def test_another_field_keeps_its_unit(tmp_path: Path) -> None:
    values = np.random.default_rng(0).lognormal(-2, 0.5, (10, 4, 5))
    found = describe(a_cube(values, field="CHL", units="mg m-3"))
    chlorophyll, anomaly = distributions_figure(found).axes
    assert chlorophyll.get_title() == "CHL"
    assert chlorophyll.get_xlabel() == anomaly.get_xlabel() == "mg m-3"
    assert draw_all(found, tmp_path / "out") == FILES


@pytest.mark.thorough
@pytest.mark.parametrize(
    "values",
    [
        pytest.param(np.full((1, 3, 3), 290.0), id="one day, all seen"),
        pytest.param(np.full((70, 3, 3), 290.0), id="never a gap, one value"),
        pytest.param(np.where(np.arange(27).reshape(3, 3, 3) == 13, 290.0, np.nan), id="one observation"),
    ],
)
def test_odd_records_are_described_and_drawn(
    values: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = describe(a_cube(values))
    assert draw_all(found, tmp_path / "out") == FILES
    show_description(found)
    assert "nan" not in capsys.readouterr().out


def test_long_records_are_drawn_as_dots() -> None:
    found = describe(a_cube(np.full((input_figures.LONG_RECORD + 1, 2, 2), 290.0)))
    assert monthly_coverage_figure(found).axes[0].lines[0].get_linewidth() == 0


# Tables and files


def test_the_summary_of_gaps_is_that_of_all_runs(description: xr.Dataset) -> None:
    runs = np.repeat(description["gap_length"].values, description["gap_runs"].values)
    found = gap_summary(description)
    assert found["count"] == runs.size
    assert found["mean"] == pytest.approx(runs.mean())
    assert found["median"] == np.median(runs)
    assert found["longest"] == runs.max() == description["gap_longest"].max()
    assert found["censored"] == description["gap_censored"].sum()


def test_the_table_is_tidy_and_complete(description: xr.Dataset) -> None:
    rows = list(csv.DictReader(io.StringIO(description_csv(description))))
    assert list(rows[0]) == ["quantity", "statistic", "at", "value", "units"]
    keys = [(row["quantity"], row["statistic"], row["at"]) for row in rows]
    assert len(set(keys)) == len(keys)
    value = {key: row["value"] for key, row in zip(keys, rows, strict=True)}
    assert float(value["sst", "mean", ""]) == pytest.approx(float(description["sst_mean"]), rel=1e-6)
    assert float(value["coverage by day", "mean", "2019-01-03"]) == pytest.approx(float(description["coverage"][2]))
    assert ("coverage by month", "mean", "2019-02") in value
    assert ("coverage by month of the year", "mean", "4") in value
    assert int(value["gaps by length", "count", "2"]) == description["gap_runs"][1]
    shares = [float(text) for key, text in value.items() if key[:2] == ("gaps by length", "share")]
    assert sum(shares) == pytest.approx(100, abs=1e-4)


@pytest.mark.parametrize(("std", "number"), [(3.0, 2), (0.5, 2), (0.02, 3), (0.004, 4), (0.0, 2)])
def test_small_numbers_are_told_with_more_decimals(std: float, number: int) -> None:
    assert decimals(std) == number


def test_all_files_are_written_and_read_back(description: xr.Dataset, tmp_path: Path) -> None:
    before = description.copy(deep=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    assert draw_all(description, tmp_path / "out") == FILES
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES | {"notes.txt"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    xr.testing.assert_identical(description, before)
    with xr.open_dataset(tmp_path / "out" / "describe.nc") as written:
        xr.testing.assert_equal(written.drop_vars("water"), description.drop_vars("water"))
        np.testing.assert_array_equal(written["water"] == 1, description["water"])
        assert written.attrs["Conventions"] == "CF-1.11"
        for name, variable in written.data_vars.items():
            assert {"long_name"} <= variable.attrs.keys(), name
            assert name == "water" or "units" in variable.attrs
        assert written["sst_mean"].attrs["units_metadata"] == "temperature: on_scale"
        assert written["sst_std"].attrs["units_metadata"] == "temperature: difference"


def test_a_failure_while_drawing_leaves_the_old_files_and_nothing_new(
    description: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "describe.csv").write_text("old")

    def interrupted(_description: xr.Dataset) -> Figure:
        raise KeyboardInterrupt

    monkeypatch.setattr(input_figures, "distributions_figure", interrupted)
    for folder in ("out", "new"):
        with pytest.raises(KeyboardInterrupt):
            save_description(description, tmp_path / folder)
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == [
        "out",
        "out/describe.csv",
    ]
    assert (tmp_path / "out" / "describe.csv").read_text() == "old"


def test_a_folder_that_cannot_be_is_refused(description: xr.Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "cube.zarr").mkdir()
    (tmp_path / "cube.zarr" / ".zgroup").write_text("{}")
    for name, message in (("file", "a file of that name"), ("no/where", "no folder"), ("cube.zarr", "a Zarr store")):
        with pytest.raises(InputError, match=message):
            save_description(description, tmp_path / name)
    assert [path.name for path in (tmp_path / "cube.zarr").iterdir()] == [".zgroup"]
