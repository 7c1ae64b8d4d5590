"""What variables say of themselves: temperatures, differences, units."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sereno.errors import InputError
from sereno.io.inputs.cube import open_cube
from sereno.io.inputs.lexicon import is_difference, is_temperature, kelvin_offset
from sereno.workflow.fill import fill
from sereno.workflow.fill_to import fill_to
from sereno.workflow.fit import fit
from sereno.workflow.prepare import prepare

RNG = np.random.default_rng(0)


def variable(name: str, **attrs: Any) -> xr.DataArray:  # noqa: ANN401
    return xr.DataArray(0.0, name=name, attrs=attrs)


@pytest.mark.parametrize(
    ("units", "offset"),
    [
        *dict.fromkeys(("K", "kelvin", "Kelvins", "deg_K", "degK", "degree_Kelvin", "degrees K", "°K"), 0.0).items(),
        *dict.fromkeys(
            ("C", "°C", "℃", "degC", "deg_C", "deg. C", "degreeC", "degree C", "degrees_C"), 273.15
        ).items(),
        *dict.fromkeys(("Celsius", "Celcius", "degree_Celsius", "degrees celcius", "deg Celsius"), 273.15).items(),
    ],
)
def test_units_are_read_in_every_spelling(units: str, offset: float) -> None:
    assert kelvin_offset(variable("t", units=units), origin="a.nc") == offset
    assert is_temperature(variable("t", units=units))


@pytest.mark.parametrize("units", ["°F", "degF", "deg. F", "Fahrenheit", "degree_Fahrenheit"])
def test_fahrenheit_is_refused_in_every_spelling(units: str) -> None:
    with pytest.raises(InputError, match=r"a\.nc: t is in Fahrenheit"):
        kelvin_offset(variable("t", units=units), origin="a.nc")


DIFFERENCES = [
    variable("anom", long_name="Daily sea surface temperature anomalies", units="Celsius"),
    variable("sst", long_name="NDJFM mean SST anomalies", standard_name="sea_surface_temperature"),
    variable("err", long_name="Estimated error standard deviation of analysed_sst", units="degree_C"),
    variable("analysis_error", units="kelvin"),
    variable("sses_bias", units="kelvin"),
    variable("x", long_name="SSES standard deviation error", units="kelvin"),
    variable("x", units="K", standard_name="sea_surface_temperature standard_error"),
    variable("x", units="K", standard_name="sea_surface_temperature_anomaly"),
    variable("sst", units="K", cell_methods="time: standard_deviation"),
    variable("x", units="K", units_metadata="temperature: difference"),
    variable("dt_analysis", units="kelvin", long_name="deviation from last SST analysis"),
    variable("sst_gradient", units="K km-1"),
    variable("ssta", units="degC"),
]
TEMPERATURES = [
    variable("sst", units="degC", long_name="sea surface temperature"),
    variable("sst", units="degC", long_name="sea surface temperature, corrected for the bias of each sensor"),
    variable("sst_bias_corrected", units="degC"),
    variable("adjusted_sea_surface_temperature", units="kelvin", long_name="adjusted collated SST"),
    variable("tos", units="degC", cell_methods="time: mean", units_metadata="temperature: on_scale"),
    variable("x", units="K", long_name="temperature of the standard level"),
]


@pytest.mark.parametrize("field", DIFFERENCES, ids=lambda field: " ".join(map(str, field.attrs.values())))
def test_a_difference_is_no_temperature(field: xr.DataArray) -> None:
    assert is_difference(field)
    assert not is_temperature(field)


@pytest.mark.parametrize("field", TEMPERATURES, ids=lambda field: " ".join(map(str, field.attrs.values())))
def test_a_temperature_is_no_difference(field: xr.DataArray) -> None:
    assert is_temperature(field)
    assert not is_difference(field)


def anomalies(path: Path, name: str, units: str) -> Path:
    values = np.where(RNG.random((60, 4, 5)) < 0.7, RNG.normal(0, 1, (60, 4, 5)), np.nan)
    attrs = {"long_name": "sst anomaly", "units": units}
    xr.Dataset(
        {name: (("time", "lat", "lon"), values, attrs), "mask": (("lat", "lon"), np.ones((4, 5), "int8"))},
        {
            "time": pd.date_range("2019-01-01", periods=60),
            "lat": ("lat", 36 + np.arange(4) / 4, {"units": "degrees_north"}),
            "lon": ("lon", np.arange(5) / 4, {"units": "degrees_east"}),
        },
    ).to_netcdf(path)
    return path


@pytest.mark.parametrize(("name", "units", "field"), [("anom", "degree_C", "anom"), ("sst", "kelvin", "sst_anomaly")])
def test_an_anomaly_stays_one_from_the_file_to_the_analysis(
    tmp_path: Path, name: str, units: str, field: str
) -> None:
    path = anomalies(tmp_path / "a.nc", name, units)
    with xr.open_dataset(path) as dataset:
        values = dataset[name].values
    store = prepare(path, tmp_path / "cube.zarr", variable=name).path
    for cube in (open_cube(path, variable=name), open_cube(store)):
        assert cube.attrs["field"] == field
        np.testing.assert_allclose(cube[field], values, atol=1e-6)
        assert cube[field].attrs["units_metadata"] == "temperature: difference"
        assert cube[field].attrs["long_name"] == "sst anomaly"
    fill_to(open_cube(store), fit(open_cube(store), "climatology"), tmp_path / "out.nc")
    with xr.open_dataset(tmp_path / "out.nc") as written:
        assert "analysed_sst" not in written
        assert written[field].attrs["units_metadata"] == "temperature: difference"
        assert written[field].attrs["long_name"] == "sst anomaly"
        assert abs(float(written[field].mean())) < 1


def test_a_concentration_is_never_filled_below_zero(tmp_path: Path) -> None:
    dataset = xr.open_dataset(anomalies(tmp_path / "a.nc", "x", "1")).load()
    dataset.close()
    values = np.exp(2 * dataset["x"].values)  # as skewed as chlorophyll
    attrs = {"units": "mg m-3", "standard_name": "mass_concentration_of_chlorophyll_a_in_sea_water"}
    dataset.drop_vars("x").assign(CHL=(("time", "lat", "lon"), values, attrs)).to_netcdf(tmp_path / "chl.nc")
    cube = open_cube(tmp_path / "chl.nc", variable="CHL")
    free = cube.assign(CHL=cube["CHL"].assign_attrs(units="1", standard_name="unknown"))
    lowest, unbounded = (float(fill(one, fit(one, "linear"))["mean"].min()) for one in (cube, free))
    assert unbounded < 0 <= lowest
