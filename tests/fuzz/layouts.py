"""The layouts in which images of the sea are published, each a function of a seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fuzz.sea import COLUMNS, ROWS, File, Inputs, Truth, Var, make_truth, pack

ATLANTIC = (42.125 + 0.25 * np.arange(ROWS), -24.875 + 0.25 * np.arange(COLUMNS))
PACIFIC = (-35.875 + 0.25 * np.arange(ROWS), 178.125 + 0.25 * np.arange(COLUMNS))
"""Both far from any coast, so that a map without a mask is all sea; the second crosses 180°."""
MAP = ("time", "lat", "lon")
SUBSKIN = {"units": "kelvin", "standard_name": "sea_surface_subskin_temperature"}
QUALITY = {
    "long_name": "quality level of SST pixel",
    "flag_values": np.arange(6, dtype="int8"),
    "flag_meanings": "no_data bad_data worst_quality low_quality acceptable_quality best_quality",
    "_FillValue": np.int8(-128),
}


def packed(values: np.ndarray, attrs: dict[str, Any], *, dims: tuple[str, ...] = MAP, **packing: Any) -> Var:  # noqa: ANN401
    counts, by = pack(values, **({"dtype": "int16", "scale": 0.01, "offset": 273.15, "fill": -32768} | packing))
    return Var(dims, counts, by | attrs)


def axes(truth: Truth, *, lat: str = "lat", lon: str = "lon", dtype: str = "float32") -> dict[str, Var]:
    names = {"standard_name": "latitude", "units": "degrees_north", "axis": "Y"}
    east = {"standard_name": "longitude", "units": "degrees_east", "axis": "X"}
    return {lat: Var((lat,), truth.lat.astype(dtype), names), lon: Var((lon,), truth.lon.astype(dtype), east)}


def clock(days: np.ndarray, units: str, *, hours: float = 0.0, dtype: str = "int32") -> Var:
    """Return the times of days, in seconds, hours or days since the date in `units`."""
    unit, _, since = units.split(" ", 2)
    seconds = (days - np.datetime64(since.replace(" ", "T"), "s")) / np.timedelta64(1, "s") + 3600 * hours
    values = (seconds / {"seconds": 1, "hours": 3600, "days": 86400}[unit]).astype(dtype)
    return Var(("time",), values, {"units": units, "standard_name": "time", "calendar": "gregorian", "axis": "T"})


def flip(file: File, dim: str = "lat") -> File:
    """Turn a dimension of a file round."""
    for var in file.variables.values():
        if dim in var.dims:
            var.values = np.ascontiguousarray(np.flip(var.values, var.dims.index(dim)))
    return file


def stamp(day: np.datetime64) -> str:
    return str(day).replace("-", "")


def quality_of(observed: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(observed), 5, 0).astype("int8")


def level3s(truth: Truth, name: str, *, field: str, epoch: str, hours: float) -> list[File]:
    """Daily files as GHRSST level 3 has them."""
    files = []
    for index, day in enumerate(truth.days):
        seen = truth.observed[index : index + 1]
        errors = {"units": "kelvin", "long_name": "SSES standard deviation"}
        variables = {
            **axes(truth),
            "time": clock(truth.days[index : index + 1], f"seconds since {epoch}", hours=hours),
            field: packed(seen, SUBSKIN | {"long_name": "sea surface temperature"}),
            "quality_level": Var(MAP, quality_of(seen), dict(QUALITY)),
            "sses_standard_deviation": packed(
                np.where(np.isfinite(seen), 0.2, np.nan), errors, dtype="int8", offset=0.0, fill=-128
            ),
            "sst_dtime": packed(np.zeros_like(seen), {"units": "seconds"}, dtype="int32", scale=1.0, offset=0.0),
        }
        told = {"Conventions": "CF-1.7", "processing_level": "L3S", "start_time": f"{stamp(day)}T000000Z"}
        files.append(File(f"{stamp(day)}{name}", variables, told))
    return files


def copernicus(seed: int) -> Inputs:
    truth = make_truth(seed, lat=ATLANTIC[0], lon=ATLANTIC[1])
    truth.water = None
    name = "000000-GOS-L3S_GHRSST-SSTsubskin-night_SST_HR_NRT-MED-v02.0-fv01.0.nc"
    field = "adjusted_sea_surface_temperature"
    files = level3s(truth, name, field=field, epoch="1981-01-01 00:00:00", hours=0)
    for file in files:
        warm = packed(np.nan_to_num(file.variables[field].values * 0.01) + 274.0, SUBSKIN)
        warm.values[file.variables[field].values == -32768] = -32768
        file.variables["sea_surface_temperature"] = warm
    return Inputs("copernicus", truth, files, field)


def acspo(seed: int) -> Inputs:
    truth = make_truth(seed, lat=ATLANTIC[0], lon=ATLANTIC[1])
    truth.water = None
    field = "sea_surface_temperature"
    files = level3s(truth, "120000-STAR-L3S_GHRSST-SSTsubskin-LEO_Daily-ACSPO_V2.81-v02.0-fv01.0.nc",
                    field=field, epoch="1981-01-01 00:00:00", hours=12)  # fmt: skip
    for file in files:
        bits = {"flag_masks": np.array([1, 2, 4, 8], "int16"), "flag_meanings": "microwave land ice lake"}
        file.variables["l2p_flags"] = Var(MAP, np.zeros((1, ROWS, COLUMNS), "int16"), bits)
        flip(file)
    return Inputs("acspo", truth, files, field)


def imos(seed: int) -> Inputs:
    """Across 180°, from 178 to 182 degrees east; latitude from north to south; night images, dated in the evening."""
    truth = make_truth(seed, lat=PACIFIC[0], lon=PACIFIC[1])
    truth.water = None
    files = level3s(truth, "152000-ABOM-L3S_GHRSST-SSTskin-AVHRR_D-1d_night.nc", field="sea_surface_temperature",
                    epoch="1981-01-01 00:00:00", hours=15.3333)  # fmt: skip
    return Inputs("imos", truth, [flip(file) for file in files], "sea_surface_temperature")


def oisst(seed: int) -> Inputs:
    truth = make_truth(seed, lat=ATLANTIC[0], lon=ATLANTIC[1])
    truth.water = None
    files = []
    dims = ("time", "zlev", "lat", "lon")
    by = {"dims": dims, "offset": 0.0, "fill": -999}
    for index, day in enumerate(truth.days):
        seen = truth.observed[index : index + 1, None]
        celsius = {"units": "Celsius", "valid_min": np.int16(-300), "valid_max": np.int16(4500)}
        variables = {
            **axes(truth),
            "time": clock(truth.days[index : index + 1], "days since 1978-01-01 12:00:00", hours=12, dtype="float32"),
            "zlev": Var(("zlev",), np.zeros(1, "float32"), {"units": "meters", "positive": "down"}),
            "sst": packed(seen - 273.15, {"long_name": "Daily sea surface temperature"} | celsius, **by),
            "anom": packed(seen * 0, {"long_name": "Daily sea surface temperature anomalies"} | celsius, **by),
            "err": packed(seen * 0 + 0.3, {"long_name": "Estimated error standard deviation"} | celsius, **by),
            "ice": packed(seen * np.nan, {"long_name": "Sea ice concentration", "units": "%"}, **by),
        }
        variables["lon"].values = variables["lon"].values % 360
        files.append(File(f"oisst-avhrr-v02r01.{stamp(day)}.nc", variables, {"Conventions": "CF-1.6"}))
    return Inputs("oisst", truth, files, "sst")


def level4(truth: Truth, name: str, *, meanings: str, scale: float, offset: float, hours: float) -> Inputs:
    assert truth.water is not None
    masks = np.array([1, 2, 4, 8, 16][: len(meanings.split())], "int8")
    bits = np.broadcast_to(np.where(truth.water, 1, 2), truth.observed.shape).astype("int8")
    told = {"units": "kelvin", "standard_name": "sea_surface_foundation_temperature"}
    variables = {
        **axes(truth),
        "time": clock(truth.days, "seconds since 1981-01-01 00:00:00", hours=hours),
        "analysed_sst": packed(truth.observed, told, scale=scale, offset=offset),
        "analysis_error": packed(truth.observed * 0 + 0.3, {"units": "kelvin"}, offset=0.0),
        "sea_ice_fraction": packed(truth.observed * 0, {"units": "1"}, dtype="int8", offset=0.0, fill=-128),
        "mask": Var(MAP, bits, {"flag_masks": masks, "flag_meanings": meanings, "_FillValue": np.int8(-128)}),
    }
    return Inputs("", truth, [File(name, variables, {"Conventions": "CF-1.7"})], "analysed_sst", mask="mask")


def ostia(seed: int, count: int | None = None) -> Inputs:
    truth = make_truth(seed, lat=ATLANTIC[0], lon=ATLANTIC[1], count=count)
    inputs = level4(truth, "ostia.nc", meanings="water land optional_lake_surface sea_ice",
                    scale=0.01, offset=273.15, hours=12)  # fmt: skip
    inputs.layout = "ostia"
    return inputs


def mur(seed: int) -> Inputs:
    truth = make_truth(seed, lat=ATLANTIC[0], lon=ATLANTIC[1])
    meanings = "open_sea land open_lake open_sea_with_ice_in_the_grid open_lake_with_ice_in_the_grid"
    inputs = level4(truth, "jplMURSST41.nc", meanings=meanings, scale=0.001, offset=298.15, hours=9)
    inputs.layout = "mur"
    return inputs


def modis(seed: int) -> Inputs:
    """A map a file without a time, dated by an attribute; latitude from north to south."""
    truth = make_truth(seed, lat=ATLANTIC[0], lon=ATLANTIC[1])
    truth.water = None
    files = []
    for index, day in enumerate(truth.days):
        seen = truth.observed[index]
        kelvinless = {"units": "degree_C", "long_name": "Sea Surface Temperature"}
        quality = np.where(np.isfinite(seen), 0, 255).astype("uint8")
        variables = {
            **axes(truth),
            "sst": packed(seen - 273.15, kelvinless, dims=MAP[1:], scale=0.005, offset=0.0),
            "qual_sst": Var(MAP[1:], quality, {"long_name": "Quality Levels", "_FillValue": np.uint8(255)}),
            "palette": Var(("rgb", "eightbitcolor"), np.zeros((3, 256), "uint8")),
        }
        told = {"time_coverage_start": f"{day}T00:20:01.000Z", "time_coverage_end": f"{day}T23:50:00.000Z"}
        files.append(flip(File(f"AQUA_MODIS.{stamp(day)}.L3m.DAY.SST.x_sst.nc", variables, told)))
    return Inputs("modis", truth, files, "sst", time=None)


def colour(seed: int) -> Inputs:
    """Chlorophyll, which is no temperature: positive, skewed, over two orders of magnitude."""
    truth = make_truth(seed, lat=ATLANTIC[0], lon=ATLANTIC[1])
    truth.water = None
    truth.units = "mg m-3"
    truth.field = np.exp(0.4 * (truth.field - 292))
    truth.observed = np.where(np.isfinite(truth.observed), truth.field, np.nan)
    files = []
    name = "mass_concentration_of_chlorophyll_a_in_sea_water"
    for index, day in enumerate(truth.days):
        seen = truth.observed[index : index + 1].astype("float32")
        told = {"units": "mg m-3", "standard_name": name, "_FillValue": np.float32(9.96921e36)}
        variables = {
            **axes(truth),
            "time": clock(truth.days[index : index + 1], "days since 1970-01-01 00:00:00"),
            "chlor_a": Var(MAP, np.where(np.isfinite(seen), seen, np.float32(9.96921e36)), told),
        }
        files.append(flip(File(f"ESACCI-OC-L3S-CHLOR_A-MERGED-1D-{stamp(day)}-fv6.0.nc", variables, {})))
    return Inputs("colour", truth, files, "chlor_a", options=["--variable", "chlor_a"])


def dineof(seed: int) -> Inputs:
    truth = make_truth(seed, lat=ATLANTIC[0], lon=ATLANTIC[1])
    assert truth.water is not None
    celsius = np.where(np.isfinite(truth.observed), truth.observed - 273.15, 9999.0).astype("float32")
    variables = {
        **axes(truth),
        "time": clock(truth.days, "days since 2018-01-01 00:00:00", dtype="float64"),
        "SST": Var(MAP, celsius, {"units": "degree Celsius", "_FillValue": np.float32(9999)}),
        "mask": Var(MAP[1:], truth.water.astype("float32")),
    }
    return Inputs("dineof", truth, [File("small_example.nc", variables)], "SST", mask="mask")


def plain(seed: int) -> Inputs:
    """A variable that only its standard name tells, no mask, coordinates in double precision."""
    truth = make_truth(seed, lat=ATLANTIC[0], lon=ATLANTIC[1])
    truth.water = None
    told = {"units": "K", "standard_name": "sea_surface_skin_temperature", "_FillValue": np.float64(np.nan)}
    variables = {
        **axes(truth, lat="latitude", lon="longitude", dtype="float64"),
        "time": clock(truth.days, "hours since 1950-01-01 00:00:00"),
        "temp": Var(("time", "latitude", "longitude"), truth.observed.copy(), told),
    }
    return Inputs(
        "plain", truth, [File("cf.nc", variables, {"Conventions": "CF-1.8"})], "temp", "latitude", "longitude"
    )


def zarr2(seed: int) -> Inputs:
    inputs = ostia(seed)
    inputs.layout, inputs.files[0].name, inputs.files[0].format = "zarr2", "sst.zarr", "zarr2"
    return inputs


def zarr3(seed: int) -> Inputs:
    inputs = plain(seed)
    inputs.layout, inputs.files[0].name, inputs.files[0].format = "zarr3", "sst.zarr", "zarr3"
    return inputs


def classic(seed: int) -> Inputs:
    """NetCDF 3, packed shorts with a valid range, a mask of 0 and 1 named for the land."""
    truth = make_truth(seed, lat=ATLANTIC[0], lon=ATLANTIC[1])
    assert truth.water is not None
    told = {"units": "degrees_C", "valid_range": np.array([-300, 4500], "int16"), "long_name": "SST"}
    variables = {
        **axes(truth),
        "time": clock(truth.days, "days since 1900-01-01 00:00:00"),
        "sst": packed(truth.observed - 273.15, told, offset=0.0, fill=-9999),
        "land_mask": Var(MAP[1:], (~truth.water).astype("int8"), {"long_name": "1 on land"}),
    }
    return Inputs("classic", truth, [File("sst.nc", variables, {}, "NETCDF3_CLASSIC")], "sst", mask="land_mask")


LAYOUTS: dict[str, Callable[[int], Inputs]] = {
    made.__name__: made
    for made in (
        copernicus, acspo, imos, oisst, ostia, mur, modis, colour, dineof, plain, zarr2, zarr3, classic,
    )
}  # fmt: skip
