"""The daily climatology, its trend and spread, and the recent mean of the basin; anomalies from them.

Per pixel, the field is regressed on a mean, harmonics of the year and a linear trend. Where a pixel has few
observations its coefficients lean on those of ever wider neighbourhoods, each level being the prior of the next
finer one (empirical Bayes with normal equations that add up, so a record of any length is read once).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr
from dask.base import compute
from scipy.ndimage import convolve1d, gaussian_filter

from sereno.config import ClimatologyConfig
from sereno.cube import DIMS, days_per_block, field_of
from sereno.errors import InputError

DAYS_PER_YEAR = 365.2425
TREND_YEARS = 5.0
"""Shortest record, in years, that a trend is fitted to."""
HARMONIC_YEARS = (0.75, 1.5)
"""Shortest record, in years, for the annual cycle and for the harmonics above it."""
WIDENING = 4.0
"""Each level of neighbourhood is so many times as wide as the next finer one."""
_RIDGE = 1e-6
_FLOOR = 1e-3


@dataclass(frozen=True)
class Climatology:
    """A climatology that can be taken at any day.

    Attributes
    ----------
    fields
        ``std(lat, lon)``, the standard deviation of the anomalies, and either ``coefficients(term, lat, lon)`` or
        ``table(dayofyear, lat, lon)`` with dayofyear 1 to 366 of a leap year.
    harmonics, trend
        Which terms the coefficients are of.
    recent_days
        Half-width in days of the recent mean of the basin; 0 leaves it out.
    """

    fields: xr.Dataset
    harmonics: int = 0
    trend: bool = False
    recent_days: int = 0

    def at(self, time: xr.DataArray) -> xr.DataArray:
        """Return the climatology without the recent mean at `time`, float32 (time, lat, lon), lazily."""
        if "table" in self.fields:
            day = xr.DataArray(leap_day_of_year(time.values) - 1, dims="time", coords={"time": time})
            return self.fields["table"].chunk().isel(dayofyear=day).drop_vars("dayofyear", errors="ignore")
        coefficients = self.fields["coefficients"].transpose("term", "lat", "lon").values
        terms = _terms(time.values, self.harmonics, trend=self.trend)
        days = days_per_block(coefficients[0].size)
        values = da.map_blocks(
            lambda block: np.tensordot(block[:, :, 0], coefficients, axes=1).astype(np.float32),
            da.from_array(terms[:, :, None], chunks=(days, -1, 1)),
            dtype=np.float32,
            chunks=(da.core.normalize_chunks(days, (len(terms),))[0], *coefficients.shape[1:]),
        )
        coords = {"time": time, "lat": self.fields["lat"], "lon": self.fields["lon"]}
        return xr.DataArray(values, dims=DIMS, coords=coords)

    def baseline(self, cube: xr.Dataset, days: np.ndarray | None = None) -> xr.DataArray:
        """Return climatology plus recent mean at `days` (the cube's own where not given), lazily.

        The recent mean is taken from what the cube shows: hide a pixel there, and it is hidden from the baseline.
        """
        wanted = cube["time"] if days is None else cube["time"].sel(time=days)
        around = cube
        if self.recent_days and days is not None:
            reach = np.timedelta64(self.recent_days, "D")
            around = cube.sel(time=slice(wanted.values.min() - reach, wanted.values.max() + reach))
        if not self.recent_days:
            return self.at(wanted)
        recent = recent_mean(field_of(around) - self.at(around["time"]), cube["water"], self.recent_days)
        return self.at(wanted) + recent.sel(time=wanted)

    def anomalies(self, cube: xr.Dataset) -> xr.Dataset:
        """Return the anomaly cube: ``anomaly`` lazily, ``water`` and ``climatology_std``."""
        field = field_of(cube)
        data = (field - self.baseline(cube)).where(cube["water"]).astype("float32").transpose(*DIMS)
        data.attrs["units"] = field.attrs.get("units", "")
        anomaly_cube = xr.Dataset(
            {"anomaly": data, "water": cube["water"], "climatology_std": self.fields["std"]},
            attrs={"field": "anomaly"},
        )
        return anomaly_cube.assign_coords(lat=cube["lat"], lon=cube["lon"])


def fit_climatology(cube: xr.Dataset, config: ClimatologyConfig, *, table: xr.DataArray | None = None) -> Climatology:
    """Fit the daily climatology of a gappy cube.

    Parameters
    ----------
    cube
        The training cube. Nothing outside it is seen.
    config
        Which terms, and how strongly poorly observed pixels lean on their neighbours. Records shorter than nine
        months get a mean alone, shorter than eighteen months no semi-annual cycle, shorter than five years no
        trend.
    table
        A climatology read from a file, (dayofyear, lat, lon) on the cube's grid: then only the spread is fitted.

    Raises
    ------
    InputError
        If the table leaves water without a value.
    """
    if table is None:
        time = cube["time"].values
        years = (time[-1] - time[0]) / np.timedelta64(1, "D") / DAYS_PER_YEAR
        allowed = sum(years >= shortest for shortest in HARMONIC_YEARS)
        harmonics = config.harmonics if allowed == len(HARMONIC_YEARS) else min(config.harmonics, allowed)
        trend = config.trend and bool(years >= TREND_YEARS)
        coefficients = _coefficients(cube, config, harmonics, trend=trend)
        centre = Climatology(xr.Dataset({"coefficients": coefficients}), harmonics, trend, config.recent_days)
    else:
        table = table.transpose("dayofyear", "lat", "lon").astype("float32")
        unknown = (table.isnull().any("dayofyear").values & cube["water"].values).sum()
        if unknown:
            raise InputError(
                f"the climatology has no value on {unknown} of {int(cube['water'].sum())} water pixels; "
                f"give one that covers the sea of the input"
            )
        centre = Climatology(xr.Dataset({"table": table}), recent_days=config.recent_days)
    anomaly = (field_of(cube) - centre.baseline(cube)).where(cube["water"])
    squares, count = compute((anomaly**2).sum("time"), anomaly.notnull().sum("time"))
    spread = _pooled_std(squares.values, count.values, cube["water"].values, config)
    fields = centre.fields.assign(std=(("lat", "lon"), spread.astype(np.float32)))
    return replace(centre, fields=fields.assign_coords(lat=cube["lat"], lon=cube["lon"]))


def recent_mean(anomaly: xr.DataArray, water: xr.DataArray, half_width: int) -> xr.DataArray:
    """Return the mean anomaly of the basin in the days around each day, (time,), in memory.

    Days weigh by a triangle of `half_width`; a basin of which little was seen is drawn towards zero.
    """
    seen = anomaly.where(water)
    total, count = compute(seen.sum(("lat", "lon")), seen.notnull().sum(("lat", "lon")))
    weights = 1 - np.abs(np.arange(-half_width, half_width + 1)) / (half_width + 1)
    prior = 0.05 * float(water.sum())
    mean = convolve1d(total.values.astype(float), weights, mode="constant") / (
        convolve1d(count.values.astype(float), weights, mode="constant") + prior
    )
    return xr.DataArray(mean.astype(np.float32), dims="time", coords={"time": anomaly["time"]})


def leap_day_of_year(time: np.ndarray) -> np.ndarray:
    """Return the day of a leap year, 1 to 366, of each date: 1 March is always day 61."""
    index = pd.DatetimeIndex(time)
    return np.asarray(index.day_of_year + (~index.is_leap_year & (index.month > 2)))


def _terms(time: np.ndarray, harmonics: int, *, trend: bool) -> np.ndarray:
    """Return the regressors (time, term): one, cosines and sines of the year, decades since 2000."""
    days = (time - np.datetime64("2000-01-01")) / np.timedelta64(1, "D")
    phase = 2 * np.pi * days / DAYS_PER_YEAR
    columns = [np.ones_like(phase)]
    for order in range(1, harmonics + 1):
        columns += [np.cos(order * phase), np.sin(order * phase)]
    if trend:
        columns.append(days / (10 * DAYS_PER_YEAR))
    return np.stack(columns, axis=-1)


def _coefficients(cube: xr.Dataset, config: ClimatologyConfig, harmonics: int, *, trend: bool) -> xr.DataArray:
    """Regress each pixel on the terms, from the widest neighbourhood to the pixel itself."""
    water = cube["water"].values
    gram, moment, offset = _normal_equations(cube, _terms(cube["time"].values, harmonics, trend=trend))
    total = max(float(gram[0, 0].sum()), 1.0)
    unit = gram.sum(axis=(-2, -1)) / total
    unit += _RIDGE * np.trace(unit) * np.eye(len(unit))
    whole = np.linalg.solve(unit, moment.sum(axis=(-2, -1)) / total)
    solution = np.broadcast_to(whole[:, None, None], moment.shape)
    for scale in _scales(water, config):
        near_gram, near_moment = (_neighbourhood(part, water, scale) for part in (gram, moment))
        prior = config.strength * np.einsum("kl,lyx->kyx", unit, solution)
        left = np.moveaxis(near_gram + config.strength * unit[:, :, None, None], (0, 1), (-2, -1))
        right = np.moveaxis(near_moment + prior, 0, -1)[..., None]
        solution = np.moveaxis(np.linalg.solve(left, right)[..., 0], -1, 0)
    solution = np.array(solution)
    solution[0] += offset
    return xr.DataArray(solution, dims=("term", "lat", "lon"), coords={"lat": cube["lat"], "lon": cube["lon"]})


def _normal_equations(cube: xr.Dataset, terms: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Add up Σφφᵀ (term, term, lat, lon) and Σφ(y − offset) (term, lat, lon) a chunk of days at a time."""
    field = field_of(cube).where(cube["water"])
    size = terms.shape[1]
    gram = np.zeros((size, size, *cube["water"].shape))
    moment = np.zeros((size, *cube["water"].shape))
    offset: float | None = None
    start = 0
    for length in field.chunksizes.get("time", (field.sizes["time"],)):
        values = field.isel(time=slice(start, start + length)).values.astype(np.float64)
        basis = terms[start : start + length]
        start += length
        seen = np.isfinite(values)
        if offset is None and seen.any():
            offset = float(values[seen].mean())
        values = np.where(seen, values - (offset or 0.0), 0.0)
        products = (basis[:, :, None] * basis[:, None, :]).reshape(length, -1)
        gram += np.tensordot(products, seen.astype(np.float64), axes=(0, 0)).reshape(gram.shape)
        moment += np.tensordot(basis, values, axes=(0, 0))
    return gram, moment, offset or 0.0


def _pooled_std(squares: np.ndarray, count: np.ndarray, water: np.ndarray, config: ClimatologyConfig) -> np.ndarray:
    """Return the standard deviation (lat, lon) of anomalies, leaning on neighbours like the coefficients do."""
    variance = np.full(water.shape, max(squares.sum() / max(count.sum(), 1), _FLOOR))
    for scale in _scales(water, config):
        near_squares, near_count = (_neighbourhood(part.astype(float), water, scale) for part in (squares, count))
        variance = (near_squares + config.strength * variance) / (near_count + config.strength)
    return np.asarray(np.sqrt(variance))


def _scales(water: np.ndarray, config: ClimatologyConfig) -> list[float]:
    """Return the widths of the neighbourhoods in cells, from a quarter of the grid down to the pixel itself, 0."""
    levels = int(np.log(max(water.shape) / 4 / config.neighbours) / np.log(WIDENING)) if max(water.shape) > 8 else 0
    return [config.neighbours * WIDENING**level for level in range(max(levels, 0), -1, -1)] + [0.0]


def _neighbourhood(values: np.ndarray, water: np.ndarray, scale: float) -> np.ndarray:
    """Return the Gaussian-weighted mean over water around each cell; `scale` in cells, 0 leaves values alone."""
    if scale == 0:
        return values
    axes = (-2, -1)
    sea = gaussian_filter(water.astype(float), scale, mode="constant", truncate=3)
    smooth = gaussian_filter(np.where(water, values, 0.0), scale, axes=axes, mode="constant", truncate=3)
    return np.asarray(smooth / np.maximum(sea, 1e-6))
