"""The level-4 product: an analysis laid out as its files hold it.

Temperatures follow the GHRSST Data Specification (GDS) 2.1, level 4; every field carries the metadata of the CF-1.11
and ACDD-1.3 conventions, and the recorded model and configuration that made it.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import xarray as xr

from sereno.cube import BEYOND_SUPPORT, DESCRIPTION, DIMS, FILLED, OBSERVED
from sereno.errors import InputError
from sereno.io.outputs.final_checks import guarded
from sereno.io.outputs.provenance import SST_TYPES, Product

Variables = dict[str, xr.DataArray]
Encoding = dict[str, dict[str, Any]]

PARTS = ("mean", "std", "source", "data_age", "water")
"""Variables of an analysis that its files are made of."""
_ZERO_CELSIUS = 273.15
_STEP = 0.01
"""Kelvin of one packed count."""
_PACKING = {"dtype": "int16", "scale_factor": _STEP, "_FillValue": np.int16(-32768)}
_SST_COUNTS, _ERROR_COUNTS = (-300, 4500), (0, 32767)
"""Counts that readers take for valid, as `sereno.io.outputs.final_checks` does; others read as missing."""
_TIME_ENCODING = {"dtype": "int32", "units": "seconds since 1981-01-01 00:00:00", "calendar": "standard"}
_LAST_TIME = np.datetime64("1981-01-01", "ns") + np.timedelta64(2**31 - 1, "s")
_AGE_ENCODING = {"dtype": "int16", "_FillValue": np.int16(-1)}
_STANDARD_NAME_TABLE = "CF Standard Name Table v93"
ISO = "%Y-%m-%dT%H:%M:%SZ"


def level4(analysis: xr.Dataset, product: Product, packed: bool, *, output: Path) -> tuple[xr.Dataset, Encoding]:
    """Lay an analysis out as a level-4 product; returns the dataset, as lazy as it came, and its encoding.

    Raises
    ------
    InputError
        If a value on water is none that can be, at once or when it is computed: see
        `sereno.io.outputs.final_checks.guarded`.
    """
    if analysis["time"].size and (last := analysis["time"].values.max()) > _LAST_TIME:
        raise InputError(
            f"{last!s:.10}: GHRSST counts time in 32 bits of seconds, which end on {_LAST_TIME!s:.10}; "
            "fill days before it (`days`)"
        )
    is_sst = _is_sst(analysis)
    main, error = names_of(analysis)
    names = {"mean": main, "std": error, "source": "source_flag"}
    analysis = guarded(analysis, output=output, names=names, temperature=is_sst)
    variables, encoding = _temperature(analysis, product, packed) if is_sst else (_other_field(analysis), {})
    variables[main].attrs["ancillary_variables"] = f"{error} source_flag data_age mask"
    if is_sst:
        variables["sea_ice_fraction"] = xr.full_like(analysis["mean"].drop_attrs(), np.nan).assign_attrs(
            standard_name="sea_ice_area_fraction",
            long_name="sea ice area fraction",
            units="1",
            coverage_content_type="auxiliaryInformation",
            comment="Not estimated: every value is missing. The variable stands here because GDS 2.1 asks for it.",
        )
        encoding["sea_ice_fraction"] = {"dtype": "int8", "scale_factor": _STEP, "_FillValue": np.int8(-128)}
    dataset = xr.Dataset({**variables, **_flags(analysis), "data_age": _data_age(analysis)})
    dataset = (
        dataset.transpose(*DIMS).drop_vars(set(dataset.coords) - set(DIMS)).assign_coords(_coordinates(analysis))
    )
    dataset.attrs = _global_attributes(analysis, product)
    return dataset, {**encoding, "data_age": dict(_AGE_ENCODING), "time": dict(_TIME_ENCODING)}


def _field_name(analysis: xr.Dataset) -> str:
    return str(analysis.attrs.get("field", "sst"))


def names_of(analysis: xr.Dataset) -> tuple[str, str]:
    """Return what the mean and the standard deviation of an analysis are called in its files."""
    name = "analysed_sst" if _is_sst(analysis) else _field_name(analysis)
    return name, "analysis_error" if _is_sst(analysis) else f"{name}_error"


def _units(analysis: xr.Dataset) -> str:
    return str(analysis["mean"].attrs.get("units") or ("kelvin" if _field_name(analysis) == "sst" else "1"))


def _is_sst(analysis: xr.Dataset) -> bool:
    """Return whether the field is what GHRSST is about; a temperature in another unit is stored as it is."""
    return _field_name(analysis) == "sst" and _units(analysis) in ("kelvin", "K")


def _temperature(analysis: xr.Dataset, product: Product, packed: bool) -> tuple[Variables, Encoding]:
    """Return ``analysed_sst`` and ``analysis_error``, packed or not."""
    standard_name = SST_TYPES[product.sst_type][0]
    kind = "" if product.sst_type == "unknown" else f" ({product.sst_type})"
    mean = analysis["mean"].where(analysis["water"]).astype("float32")
    std = analysis["std"].where(analysis["water"]).astype("float32")
    mean.attrs = {
        "standard_name": standard_name,
        "long_name": f"analysed sea surface temperature{kind}",
        "units": "kelvin",
        "units_metadata": "temperature: on_scale",
        "coverage_content_type": "physicalMeasurement",
        "comment": "source_flag says which cells were observed that day.",
        **_given(analysis, "cell_methods"),
    }
    std.attrs = {
        "standard_name": f"{standard_name} standard_error",
        "long_name": "estimated error standard deviation of analysed_sst",
        "units": "kelvin",
        "units_metadata": "temperature: difference",
        "coverage_content_type": "qualityInformation",
        "comment": "Standard deviation of (truth - analysed_sst), in kelvin.",
    }
    if not packed:
        return {"analysed_sst": mean, "analysis_error": std}, {}
    for values, counts in ((mean, _SST_COUNTS), (std, _ERROR_COUNTS)):
        values.attrs |= {f"valid_{end}": np.int16(count) for end, count in zip(("min", "max"), counts, strict=True)}
    std = std.where(~(std < _STEP), np.float32(_STEP)).assign_attrs(std.attrs)  # or it would be rounded to 0
    encoding = {
        "analysed_sst": {**_PACKING, "add_offset": _ZERO_CELSIUS},
        "analysis_error": {**_PACKING, "add_offset": 0.0},
    }
    return {"analysed_sst": mean, "analysis_error": std}, encoding


def _given(analysis: xr.Dataset, *names: str) -> dict[str, Any]:
    """Return those of the attributes that the input gave its field."""
    return {name: analysis["mean"].attrs[name] for name in names if name in analysis["mean"].attrs}


def _other_field(analysis: xr.Dataset) -> Variables:
    """Return a field other than temperature and its error, float32, with the names that the input gave it."""
    name, error = names_of(analysis)
    mean = analysis["mean"].where(analysis["water"]).astype("float32")
    std = analysis["std"].where(analysis["water"]).astype("float32")
    mean.attrs = {
        "long_name": name,
        "coverage_content_type": "physicalMeasurement",
        **_given(analysis, *DESCRIPTION),
        "units": _units(analysis),
    }
    std.attrs = {
        "long_name": f"estimated error standard deviation of {name}",
        "coverage_content_type": "qualityInformation",
        "units": _units(analysis),
    }
    if "standard_name" in mean.attrs:
        std.attrs["standard_name"] = f"{mean.attrs['standard_name']} standard_error"
    return {name: mean, error: std}


def _flags(analysis: xr.Dataset) -> Variables:
    """Return ``mask`` and ``source_flag``, int8 (time, lat, lon)."""
    source = analysis["source"].where(analysis["water"], 0).astype("int8")
    mask = (xr.zeros_like(source) + xr.where(analysis["water"], 1, 2)).astype("int8")
    mask.attrs = {
        "long_name": "sea or land",
        "coverage_content_type": "auxiliaryInformation",
        "flag_masks": np.array([1, 2, 4, 8], dtype="int8"),
        "flag_meanings": "sea land lake ice",
        "comment": "Lakes count as sea or land as in the input; ice is not distinguished from open water.",
    }
    source.attrs = {
        "standard_name": "status_flag",
        "long_name": "where each value comes from",
        "coverage_content_type": "auxiliaryInformation",
        "flag_values": np.array([0, OBSERVED, FILLED, BEYOND_SUPPORT], dtype="int8"),
        "flag_meanings": "land observed filled beyond_support",
        "comment": "beyond_support: filled where nothing was observed within the window of the method.",
    }
    return {"mask": mask, "source_flag": source}


def _data_age(analysis: xr.Dataset) -> xr.DataArray:
    """Return ``data_age``, whole days with NaN where missing."""
    age: xr.DataArray = analysis["data_age"].where(analysis["water"]).astype("float32")
    return age.assign_attrs(
        long_name="days since the last observation",
        units="day",  # not days, which readers take for a time difference
        valid_min=np.int16(0),
        coverage_content_type="auxiliaryInformation",
        comment="0 where observed on the day itself; missing where nothing was observed within the window before it.",
    )


def _coordinates(analysis: xr.Dataset) -> Variables:
    """Return the coordinates with CF attributes; values and type are kept."""
    attributes = {
        "time": {
            "standard_name": "time",
            "long_name": "reference time of the daily field",
            "axis": "T",
            "units_metadata": "leap_seconds: none",
        },
        "lat": {"standard_name": "latitude", "long_name": "latitude", "units": "degrees_north", "axis": "Y"},
        "lon": {"standard_name": "longitude", "long_name": "longitude", "units": "degrees_east", "axis": "X"},
    }
    return {dim: xr.DataArray(analysis[dim].values, dims=dim, attrs=attrs) for dim, attrs in attributes.items()}


def _global_attributes(analysis: xr.Dataset, product: Product) -> dict[str, Any]:
    """Return the global attributes: CF, ACDD-1.3, what GDS 2.1 adds, and the record of the run."""
    now = pd.Timestamp.now("UTC").strftime(ISO)
    sereno = version("sereno")
    is_sst = _is_sst(analysis)
    what = "sea surface temperature" if is_sst else _field_name(analysis)
    defaults = {
        "title": f"Gap-free daily {what}",
        "summary": f"Daily satellite images of {what}, level 3, with the gaps that clouds leave filled by the method "
        f"'{product.method}' of sereno, and the standard deviation of the error of every value.",
        "keywords": f"EARTH SCIENCE > OCEANS{' > OCEAN TEMPERATURE > SEA SURFACE TEMPERATURE' if is_sst else ''}",
        "keywords_vocabulary": "NASA Global Change Master Directory (GCMD) Science Keywords",
        "naming_authority": "sereno",
        "id": identifier(analysis, product, analysis["time"].values[0]),
        "source": "Level-3 satellite observations",
        "product_version": "1.0",
        "license": "The terms of the input product hold for what is derived from it.",
        "comment": "Estimates are statistical; use them together with their standard deviation.",
        "references": "See the documentation of sereno.",
        "acknowledgement": "Please acknowledge the producers of the input product.",
        "institution": "unknown",
        "project": "sereno",
        "creator_name": f"sereno {sereno}",
    }
    history = f"{product.attributes.get('history', '')}\n{now} sereno {sereno}: gaps filled by {product.method}"
    history += ", in near real time (from no day after each)" if product.model.get("nrt") else ""
    history += ", observed values kept" if product.model.get("keep_observed") else ""
    record = {
        "Conventions": "CF-1.11, ACDD-1.3",
        "standard_name_vocabulary": _STANDARD_NAME_TABLE,
        "processing_level": "L4",
        "cdm_data_type": "Grid",
        "netcdf_version_id": "4",
        # GDS 2.1; quality level 0 is "unknown": nobody has examined the file yet.
        **({"gds_version_id": "2.1", "file_quality_level": np.int32(0)} if is_sst else {}),
        **_extent(analysis),
        "uuid": str(uuid4()),
        "date_created": now,
        "history": history.strip(),
        "sereno_version": sereno,
        **product.record,
    }
    return {**defaults, **product.attributes, **record}


def identifier(analysis: xr.Dataset, product: Product, day: np.datetime64) -> str:
    """Name a product after the manner of GDS 2.1: first day, centre, level, kind of SST, method, versions."""
    first = pd.Timestamp(day).strftime("%Y%m%d000000")
    if _is_sst(analysis):
        return f"{first}-SERENO-L4_GHRSST-{SST_TYPES[product.sst_type][1]}-{product.method}-v02.1-fv01.0"
    return f"{first}-SERENO-L4-{_field_name(analysis)}-{product.method}-fv01.0"


def _extent(analysis: xr.Dataset) -> dict[str, Any]:
    """Return the attributes that say where and when, from the centres of the cells and whole days."""
    first, last = (pd.Timestamp(value) for value in analysis["time"].values[[0, -1]])
    start, stop = first.floor("D"), last.floor("D") + pd.Timedelta(days=1)
    lat, lon = analysis["lat"].values, analysis["lon"].values
    south, north, west, east = (float(value) for value in (lat[0], lat[-1], lon[0], lon[-1]))
    attributes: dict[str, Any] = {
        "geospatial_bounds": _outline(south, north, west, east),
        "geospatial_bounds_crs": "EPSG:4326",
        "geospatial_vertical_min": 0.0,
        "geospatial_vertical_max": 0.0,
        "geospatial_vertical_units": "m",
        "geospatial_vertical_positive": "down",
        "geospatial_bounds_vertical_crs": "EPSG:5831",
        # GDS 2.1 has the coverage of ACDD identical with start and stop: the ends of what the file represents.
        "time_coverage_start": start.strftime(ISO),
        "time_coverage_end": stop.strftime(ISO),
        "time_coverage_duration": f"P{(stop - start).days}D",
        "time_coverage_resolution": "P1D",
        "start_time": start.strftime(ISO),
        "stop_time": stop.strftime(ISO),
    }
    for axis, values, units in (("lat", lat, "degrees_north"), ("lon", lon, "degrees_east")):
        attributes[f"geospatial_{axis}_min"] = _within_180(float(values[0]))
        attributes[f"geospatial_{axis}_max"] = _within_180(float(values[-1]))
        attributes[f"geospatial_{axis}_units"] = units
        if values.size > 1:
            attributes[f"geospatial_{axis}_resolution"] = f"{float(np.median(np.diff(values))):.6g} degrees"
    return attributes


def _within_180(degrees: float) -> float:
    """Return a longitude as ACDD wants it: of an area across 180° the easternmost is less than the westernmost."""
    return degrees - 360 if degrees > 180 else degrees


def _outline(south: float, north: float, west: float, east: float) -> str:
    """Return a box as well-known text, latitude first, in two where it lies across 180°."""
    boxes = [(west, east)] if east <= 180 else [(west, 180.0), (-180.0, east - 360)]
    rings = []
    for left, right in boxes:
        corners = [(south, left), (north, left), (north, right), (south, right), (south, left)]
        rings.append(f"(({', '.join(f'{y:.5f} {x:.5f}' for y, x in corners)}))")
    return f"POLYGON {rings[0]}" if len(rings) == 1 else f"MULTIPOLYGON ({', '.join(rings)})"
