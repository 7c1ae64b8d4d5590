from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from cartopy.mpl.geoaxes import GeoAxes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.image import imread

from sereno.cube import make_cube
from sereno.errors import InputError
from sereno.report.figures import coverage_figure, maps_figure, save

DAY = "2017-05-03"


@pytest.fixture
def cube() -> xr.Dataset:
    rng = np.random.default_rng(0)
    values = rng.normal(290, 1, (6, 12, 20)).astype("float32")
    values[rng.random(values.shape) < 0.5] = np.nan
    water = np.ones((12, 20), dtype=bool)
    water[:4, :4] = False
    values[:, ~water] = np.nan
    time = pd.date_range("2017-05-01", periods=6)
    return make_cube(values, time=time, lat=np.linspace(36, 37, 12), lon=np.linspace(-5, -3, 20), water=water)


@pytest.fixture
def analysis(cube: xr.Dataset) -> xr.Dataset:
    mean = cube["sst"].fillna(290.0).where(cube["water"])
    observed = cube["sst"].notnull()
    source = xr.where(observed, 1, 2).where(cube["water"], 0).astype("int8")
    source[:, -1] = 3
    std = xr.where(observed, 0.2, 0.6).where(cube["water"])
    return xr.Dataset({"mean": mean, "std": std, "source": source, "water": cube["water"]}).chunk(time=2)


def maps(figure: Figure) -> list[GeoAxes]:
    return [axis for axis in figure.axes if isinstance(axis, GeoAxes)]


def drawn(axis: GeoAxes) -> QuadMesh:
    """Return the mesh of the data: the one above the grey land cells."""
    return max((c for c in axis.collections if isinstance(c, QuadMesh)), key=lambda mesh: mesh.zorder)


def assert_draws(axis: GeoAxes, expected: xr.DataArray) -> None:
    shown = np.ma.filled(drawn(axis).get_array().astype(float), np.nan).reshape(expected.shape)
    np.testing.assert_allclose(shown, expected.values, atol=1e-3)


def test_maps_stand_side_by_side_in_celsius(cube: xr.Dataset, analysis: xr.Dataset) -> None:
    figure = maps_figure(cube["sst"], analysis, day=DAY, climatology=xr.full_like(cube["sst"], 289.0))
    panels = maps(figure)
    assert [axis.get_title() for axis in panels] == [
        "Observed",
        "Analysis",
        "Climatology",
        "Error standard deviation",
    ]
    assert figure.get_suptitle() == "3 May 2017"
    assert_draws(panels[0], cube["sst"].sel(time=DAY) - 273.15)
    assert_draws(panels[1], analysis["mean"].sel(time=DAY) - 273.15)
    assert_draws(panels[3], analysis["std"].sel(time=DAY))
    assert len({drawn(axis).get_clim() for axis in panels[:3]}) == 1
    assert drawn(panels[3]).get_clim()[0] == 0
    assert [drawn(panels[i]).get_cmap().name for i in (0, 3)] == ["thermal", "amp"]
    labels = [axis.get_xlabel() for axis in figure.axes if not isinstance(axis, GeoAxes)]
    assert labels == ["°C", "°C", "°C", "K"]


def test_climatology_is_taken_from_the_analysis_or_left_out(cube: xr.Dataset, analysis: xr.Dataset) -> None:
    assert len(maps(maps_figure(cube["sst"], analysis, day=DAY))) == 3
    figure = maps_figure(
        cube["sst"], analysis.assign(climatology=analysis["mean"] - 1), day=DAY, target_title="Truth"
    )
    assert [axis.get_title() for axis in maps(figure)][::2] == ["Truth", "Climatology"]


def test_other_fields_keep_their_units(cube: xr.Dataset, analysis: xr.Dataset) -> None:
    target = cube["sst"].assign_attrs(units="mg m-3")
    figure = maps_figure(target, analysis, day=DAY)
    assert_draws(maps(figure)[0], cube["sst"].sel(time=DAY))
    assert {axis.get_xlabel() for axis in figure.axes if not isinstance(axis, GeoAxes)} == {"mg m-3"}


def test_coverage_before_and_after(cube: xr.Dataset, analysis: xr.Dataset) -> None:
    figure = coverage_figure(cube, analysis, day=DAY)
    series = figure.axes[0]
    sea = cube["water"].sum().item()
    before, after = (line.get_ydata() for line in series.lines[:2])
    np.testing.assert_allclose(before, 100 * cube["sst"].notnull().sum(("lat", "lon")) / sea)
    np.testing.assert_allclose(after, 100 * (sea - 20) / sea)
    assert [axis.get_title() for axis in maps(figure)] == ["Observed, 3 May 2017", "Filled"]
    assert_draws(maps(figure)[1], analysis["mean"].sel(time=DAY) - 273.15)


def test_coverage_of_observations_alone(cube: xr.Dataset) -> None:
    figure = coverage_figure(cube, day=DAY)
    assert len(maps(figure)) == 1
    assert [text.get_text().split(":")[0] for text in figure.axes[0].get_legend().get_texts()] == ["before"]


def test_a_day_without_one_observation_is_drawn(cube: xr.Dataset, tmp_path: Path) -> None:
    empty = cube.assign(sst=cube["sst"].where(cube["time"] != np.datetime64(DAY)))
    assert save(coverage_figure(empty, day=DAY), tmp_path / "empty.png").is_file()


def test_large_maps_are_thinned(tmp_path: Path) -> None:
    lat, lon = np.linspace(30, 40, 1500), np.linspace(0, 30, 2500)
    values = np.full((1, 1500, 2500), 290.0, dtype="float32")
    large = make_cube(values, time=["2017-05-03"], lat=lat, lon=lon, water=np.ones(values.shape[1:], dtype=bool))
    (axis,) = maps(coverage_figure(large, day=DAY))
    assert drawn(axis).get_array().size == 750 * 834


def test_a_png_is_written_and_not_blank(cube: xr.Dataset, analysis: xr.Dataset, tmp_path: Path) -> None:
    path = save(maps_figure(cube["sst"], analysis, day=DAY), tmp_path / "maps.png")
    image = imread(path)
    assert image.shape[0] > 300
    assert len(np.unique(image.reshape(-1, image.shape[-1]), axis=0)) > 50
    assert [p.name for p in tmp_path.iterdir()] == ["maps.png"]


def test_no_figure_into_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        save(Figure(), tmp_path / "missing" / "maps.png")
