"""The twin sea as files: daily images in the Copernicus L3S layout, the truth, and a land mask.

The only place outside `sereno.io` that writes NetCDF, because `sereno.io` does not write layouts of an *input*.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from sereno.compute.netcdf_lock import HDF5
from sereno.progress import Progress, silent
from sereno.synthetic.config import TwinSeaConfig
from sereno.synthetic.satellite import SENSOR_BIAS, SENSOR_HOUR, SENSOR_NOISE, SENSORS
from sereno.synthetic.twin import TwinSea, make_twin_sea

EPOCH = np.datetime64("1981-01-01", "ns")
TIME_UNITS = "seconds since 1981-01-01 00:00:00"
FILE_NAME = "{day:%Y%m%d}000000-GOS-L3S_GHRSST-SSTsubskin-night_SST_HR_NRT-MED-v02.0-fv01.0.nc"
_TEMPERATURE = {"dtype": "int16", "scale_factor": 0.01, "add_offset": 273.15, "_FillValue": np.int16(-32768)}
_DIFFERENCE = {"dtype": "int8", "scale_factor": 0.01, "add_offset": 0.0, "_FillValue": np.int8(-128)}
_FLAG = {"dtype": "int8", "_FillValue": np.int8(-128)}
_SECONDS = {"dtype": "int32", "_FillValue": np.int32(-2147483648)}
_COMMON: dict[str, dict[str, Any]] = {"lat": {"_FillValue": None}, "lon": {"_FillValue": None}}


def write_l3s(config: TwinSeaConfig, folder: str | Path, *, progress: Progress = silent) -> list[Path]:
    """Write the twin sea into a folder.

    Parameters
    ----------
    folder
        Receives ``l3s/`` with one file a day, ``truth.nc`` and ``mask.nc``. The truth is outside ``l3s/``, so that
        reading that folder does not read it.

    Returns
    -------
    list of pathlib.Path
        The daily files, by date.
    """
    folder = Path(folder)
    images = folder / "l3s"
    images.mkdir(parents=True, exist_ok=True)
    sea = make_twin_sea(config, progress=progress)
    paths = []
    for index, day in enumerate(config.time):
        paths.append(_write(*_image(sea, index), images / FILE_NAME.format(day=day)))
        progress("files", (index + 1) / config.days)
    _write(*_truth(sea), folder / "truth.nc")
    _write(*_mask(config), folder / "mask.nc")
    return paths


def _image(sea: TwinSea, index: int) -> tuple[xr.Dataset, dict[str, dict[str, Any]]]:
    """Return the dataset of one day and how its variables are packed."""
    images, config = sea.images, sea.config
    sensor = images.sensor[index]
    observed = sensor >= 0
    bias = np.where(observed, np.take(SENSOR_BIAS, sensor), np.nan)
    noise = np.hypot(config.white_noise, config.correlated_noise) * np.take(SENSOR_NOISE, sensor)
    hours = np.where(observed, np.take(SENSOR_HOUR, sensor), np.nan)
    sea_skin = {"units": "kelvin", "standard_name": "sea_surface_subskin_temperature"}
    quality_meanings = "no_data bad_data worst_quality low_quality acceptable_quality best_quality"
    flags = {"flag_values": np.arange(6, dtype=np.int8), "flag_meanings": quality_meanings}
    sources = {"flag_values": np.arange(1, len(SENSORS) + 1, dtype=np.int8), "flag_meanings": " ".join(SENSORS)}
    fields: dict[str, tuple[np.ndarray, dict[str, Any], dict[str, Any]]] = {
        "sea_surface_temperature": (
            images.adjusted[index] + bias,
            sea_skin | {"long_name": "sea surface subskin temperature", "ancillary_variables": "quality_level"},
            _TEMPERATURE,
        ),
        "adjusted_sea_surface_temperature": (
            images.adjusted[index],
            sea_skin | {"long_name": "adjusted collated sea surface temperature"},
            _TEMPERATURE,
        ),
        "quality_level": (images.quality[index], {"long_name": "quality level of SST pixel"} | flags, _FLAG),
        "sses_bias": (bias, {"long_name": "SSES bias estimate", "units": "kelvin"}, _DIFFERENCE),
        "sses_standard_deviation": (
            np.where(observed, noise, np.nan),
            {"long_name": "SSES standard deviation", "units": "kelvin"},
            _DIFFERENCE,
        ),
        "sources_of_sst": (
            np.where(observed, sensor + 1.0, np.nan),
            {"long_name": "sources of sea surface temperature"} | sources,
            _FLAG,
        ),
        "sst_dtime": (
            hours * 3600,
            {"long_name": "time difference from reference time", "units": "seconds"},
            _SECONDS,
        ),
    }
    day = config.time[index]
    dataset = _frame(config, slice(index, index + 1), title="Twin sea, night-time L3S").assign(
        {name: (("time", "lat", "lon"), values[None], attrs) for name, (values, attrs, _) in fields.items()}
    )
    dataset.attrs |= {
        "processing_level": "L3S",
        "start_time": f"{day:%Y%m%d}T000000Z",
        "stop_time": f"{day:%Y%m%d}T235959Z",
    }
    return dataset, {name: {**packing, "zlib": True} for name, (_, _, packing) in fields.items()}


def _truth(sea: TwinSea) -> tuple[xr.Dataset, dict[str, dict[str, Any]]]:
    attrs = {"units": "kelvin", "standard_name": "sea_surface_subskin_temperature", "long_name": "true SST"}
    dataset = _frame(sea.config, slice(None), title="Twin sea, truth").assign(
        truth=(("time", "lat", "lon"), sea.truth, attrs)
    )
    packing = {"dtype": "int16", "scale_factor": 0.001, "add_offset": 290.0, "_FillValue": np.int16(-32768)}
    return dataset, {"truth": {**packing, "zlib": True}}


def _mask(config: TwinSeaConfig) -> tuple[xr.Dataset, dict[str, dict[str, Any]]]:
    attrs = {
        "long_name": "sea/land/lake/ice field composite mask",
        "flag_masks": np.array([1, 2, 4, 8], dtype=np.int8),
        "flag_meanings": "sea land lake ice",
    }
    values = np.where(config.water, 1, 2).astype(np.int8)[None]
    dataset = _frame(config, slice(0, 1), title="Twin sea, land mask").assign(
        mask=(("time", "lat", "lon"), values, attrs)
    )
    return dataset, {"mask": {"dtype": "int8"}}


def _frame(config: TwinSeaConfig, days: slice, *, title: str) -> xr.Dataset:
    """Return a dataset with the coordinates and the global attributes that all files share."""
    seconds = ((config.time[days].to_numpy() - EPOCH) / np.timedelta64(1, "s")).astype(np.int32)
    axes = {
        "time": (seconds, {"units": TIME_UNITS, "calendar": "standard", "standard_name": "time", "axis": "T"}),
        "lat": (config.lat, {"units": "degrees_north", "standard_name": "latitude", "axis": "Y"}),
        "lon": (config.lon, {"units": "degrees_east", "standard_name": "longitude", "axis": "X"}),
    }
    return xr.Dataset(
        coords={
            name: (name, values, {"long_name": str(attrs["standard_name"])} | attrs)
            for name, (values, attrs) in axes.items()
        },
        attrs={
            "Conventions": "CF-1.7",
            "title": title,
            "summary": "A synthetic sea whose truth is known, made by sereno; not an observation of the real one.",
            "institution": "none: synthetic",
            "source": "surface quasi-geostrophic simulation",
            "history": "made by sereno.synthetic",
            "comment": f"{config}",
        },
    )


def _write(dataset: xr.Dataset, encoding: dict[str, dict[str, Any]], path: Path) -> Path:
    """Write a file under another name first, so that a file of the right name is always whole."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with HDF5:  # nothing of it is lazy
            dataset.to_netcdf(unfinished, engine="netcdf4", encoding=_COMMON | encoding)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path
