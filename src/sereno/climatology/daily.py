"""The daily climatology, its spread, and the basin-mean anomaly; anomalies from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import dask.array as da
import numpy as np
import xarray as xr
from dask.base import compute
from scipy.ndimage import convolve1d

from sereno.climatology.calendar import DAYS_PER_YEAR, leap_day_of_year
from sereno.climatology.regression import pooled_std, regress, terms
from sereno.climatology.window import mean_terms, regression_table, window_table
from sereno.config import ClimatologyConfig
from sereno.cube import DIMS, days_per_block, field_name, field_of, parse_period, select_period, span
from sereno.errors import InputError
from sereno.saved import LARGEST, LEAST, whole

TREND_YEARS = 5.0
"""Shortest record, in years, that a trend is fitted to."""
HARMONIC_YEARS = (0.75, 1.5)
"""Shortest record, in years, for the annual cycle and for the harmonics above it."""
WINDOW_DAYS = 365
"""Shortest record, in days, for a window of days of the year: each must have been there once."""


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
        Half-width in days of the basin-mean anomaly; 0 leaves it out.
    base_period
        First and last day, as ``A:B``, of what the climatology was made from; None where it is not known.
    """

    fields: xr.Dataset
    harmonics: int = 0
    trend: bool = False
    recent_days: int = 0
    base_period: str | None = None

    @classmethod
    def from_saved(cls, fields: xr.Dataset, values: Mapping[str, Any]) -> Self:
        """Rebuild from saved fields and values.

        Raises
        ------
        KeyError, ValueError
            If one is missing, has other dims or an impossible value.
        """
        # Earlier models have neither the basin-mean anomaly nor the base period.
        values = {"recent_days": 0, "base_period": None, **values}
        harmonics, trend, period = whole(values, "harmonics", 0, 6), values["trend"], values["base_period"]
        if type(trend) is not bool:
            raise ValueError(f"trend is {trend!r}, it must be true or false")
        if period is not None:
            parse_period(period)
        centre = "table" if "table" in fields else "coefficients"
        if {str(name) for name in fields} != {centre, "std"}:
            raise ValueError(f"the climatology has the fields {', '.join(map(str, fields))}, not {centre} and std")
        first = {"table": ("dayofyear", 366), "coefficients": ("term", 1 + 2 * harmonics + trend)}
        _require_map(fields, centre, first)
        _require_map(fields, "std", {})
        return cls(fields, harmonics, trend, whole(values, "recent_days", 0, 366), period)

    def at(self, time: xr.DataArray) -> xr.DataArray:
        """Return the climatology without the basin-mean anomaly at `time`, float32 (time, lat, lon), lazy if long."""
        if "table" in self.fields:
            table = self.fields["table"].transpose("dayofyear", "lat", "lon").values
            return self._maps(time, leap_day_of_year(time.values)[:, None] - 1, lambda day: table[day[:, 0]])
        coefficients = self.fields["coefficients"].transpose("term", "lat", "lon").values
        regressors = terms(time.values, self.harmonics, trend=self.trend)
        # Not `tensordot`: several threads do this at once, in which OpenBLAS, with threads of its own, may never end.
        return self._maps(time, regressors, lambda basis: np.einsum("dk,kij->dij", basis, coefficients))

    def _maps(self, time: xr.DataArray, known: np.ndarray, maps: Callable[[np.ndarray], np.ndarray]) -> xr.DataArray:
        """Return the maps of what is known of each day, `known` (time, …); more than a block of days lazily."""
        shape = self.fields["lat"].size, self.fields["lon"].size
        days = days_per_block(shape[0] * shape[1])
        values = (
            maps(known).astype(np.float32)
            if len(known) <= days
            else da.map_blocks(
                lambda block: maps(block[:, :, 0]).astype(np.float32),
                da.from_array(known[:, :, None], chunks=(days, -1, 1)),
                dtype=np.float32,
                chunks=(da.core.normalize_chunks(days, (len(known),))[0], *shape),
            )
        )
        coords = {"time": time, "lat": self.fields["lat"], "lon": self.fields["lon"]}
        return xr.DataArray(values, dims=DIMS, coords=coords)

    def baseline(self, cube: xr.Dataset, days: np.ndarray | None = None) -> xr.DataArray:
        """Return climatology plus basin-mean anomaly at `days` (the cube's own where not given), lazily.

        The basin-mean anomaly is taken from what the cube shows: hide a pixel there, and it is hidden from the
        baseline.
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
        """Return the anomaly cube: ``anomaly`` lazily, ``water`` and ``climatology_std``.

        Where the cube states the errors of its observations, they are ``anomaly_error``.
        """
        field = field_of(cube)
        data = (field - self.baseline(cube)).where(cube["water"]).astype("float32").transpose(*DIMS)
        data.attrs["units"] = field.attrs.get("units", "")
        anomaly_cube = xr.Dataset(
            {"anomaly": data, "water": cube["water"], "climatology_std": self.fields["std"]},
            attrs={"field": "anomaly"},
        )
        if (error := cube.get(f"{field_name(cube)}_error")) is not None:
            anomaly_cube["anomaly_error"] = error.astype("float32").transpose(*DIMS)
        return anomaly_cube.assign_coords(lat=cube["lat"], lon=cube["lon"])


def _require_map(fields: xr.Dataset, name: str, first: Mapping[str, tuple[str, int]]) -> None:
    """Raise a ValueError for a saved map of other dims, or with an impossible value."""
    dims = dict([first[name]]) if name in first else {}
    wanted = dims | {dim: fields[dim].size for dim in ("lat", "lon")}
    if dict(fields[name].sizes) != wanted or fields[name].dtype.kind != "f":
        raise ValueError(f"{name} is {fields[name].dtype} {dict(fields[name].sizes)}, it must be real {wanted}")
    values = fields[name].values
    right = (values >= (LEAST if name == "std" else -LARGEST)) & (values <= LARGEST)
    if name == "table":  # which may have no values on land
        right |= np.isnan(values).all(axis=fields[name].dims.index("dayofyear"), keepdims=True)
    if not right.all():
        raise ValueError(f"the climatology's {name} has {(~right).sum()} values that are missing or impossible")


def fit_climatology(cube: xr.Dataset, config: ClimatologyConfig, *, table: xr.DataArray | None = None) -> Climatology:
    """Fit the daily climatology of a cube with gaps.

    Parameters
    ----------
    cube
        The training cube. Nothing outside it is seen.
    config
        The kind of climatology and its settings, and how strongly poorly observed pixels depend on their neighbours.
        Records shorter than nine months get a mean alone, shorter than eighteen months no semi-annual cycle, shorter
        than five years no trend. Where ``period`` is given, only the spread is fitted on the whole cube.
    table
        A climatology read from a file, (dayofyear, lat, lon) on the cube's grid: then only the spread is fitted.
        Its attributes ``base_period_start`` and ``base_period_end`` say what it was made from.

    Raises
    ------
    InputError
        If the table leaves water without a value, the base period reaches beyond the cube or holds no observation,
        or it is shorter than a year and the climatology is one of windows.
    """
    centre = _centre(_base(cube, config), config)[0] if table is None else _centre_of(table, cube)
    return _with_spread(replace(centre, recent_days=config.recent_days), cube, config)[0]


def daily_climatology(cube: xr.Dataset, config: ClimatologyConfig) -> xr.Dataset:
    """Make the climatology of each day of the year of a base period, to be kept in a file.

    The trend of harmonics stands at its mean over the base period, and no basin-mean anomaly is added.

    Returns
    -------
    xr.Dataset
        ``climatology(dayofyear, lat, lon)``, ``climatology_std(lat, lon)``, the spread of the anomalies from it, and
        ``count(lat, lon)``, the observations of the base period; for windows ``window_count(dayofyear, lat, lon)``.
        NaN, or zero for counts, on land. Attributes: ``base_period_start``, ``base_period_end``, ``harmonics``,
        ``trend``.

    Raises
    ------
    InputError
        As `fit_climatology`.
    """
    base = _base(cube, config)
    centre, window_count = _centre(base, config)
    if "table" not in centre.fields:
        means = mean_terms(base["time"].values, centre.harmonics, trend=centre.trend)
        table = regression_table(means, centre.fields["coefficients"])
        centre = replace(centre, fields=xr.Dataset({"table": table}))
    centre, count = _with_spread(centre, base, config)
    table, std = (centre.fields[name] for name in ("table", "std"))
    table.values[:, ~cube["water"].values] = np.nan  # in place: a copy of it is large
    result = xr.Dataset(
        {
            "climatology": table,
            "climatology_std": std.where(cube["water"]),
            "count": count.astype("int32"),
        }
    )
    if window_count is not None:
        window_count.values[:, ~cube["water"].values] = 0
        result["window_count"] = window_count
    first, last = span(base).split(":")
    result.attrs = {"base_period_start": first, "base_period_end": last}
    result.attrs |= {"harmonics": centre.harmonics, "trend": int(centre.trend)}
    return result.assign_coords(dayofyear=np.arange(1, 367), lat=cube["lat"], lon=cube["lon"])


def _base(cube: xr.Dataset, config: ClimatologyConfig) -> xr.Dataset:
    """Cut out the base period and refuse one that the cube does not hold, or too short for windows."""
    base = cube
    if config.period is not None:
        period, (first, last) = parse_period(config.period), span(cube).split(":")
        if (period.start or first) < first or (period.stop or last) > last:
            raise InputError(
                f"the base period {config.period} of the climatology reaches beyond the days it may be made from, "
                f"{span(cube)}; choose one within them"
            )
        base = select_period(cube, config.period)
    if config.kind == "window" and base.sizes["time"] < WINDOW_DAYS:
        raise InputError(
            f"a climatology by windows of days of the year needs a year at least, and {span(base)} has "
            f"{base.sizes['time']} days; use harmonics, or a climatology made from a longer record"
        )
    return base


def _centre(base: xr.Dataset, config: ClimatologyConfig) -> tuple[Climatology, xr.DataArray | None]:
    """Fit the climatology itself on the base period; for windows, also return the observations in each."""
    years = base.sizes["time"] / DAYS_PER_YEAR
    allowed = sum(years >= shortest for shortest in HARMONIC_YEARS)
    harmonics = config.harmonics if allowed == len(HARMONIC_YEARS) else min(config.harmonics, allowed)
    trend = config.trend and bool(years >= TREND_YEARS)
    coefficients = regress(base, config, harmonics, trend=trend)
    if config.kind == "harmonics":
        fields = xr.Dataset({"coefficients": coefficients})
        return Climatology(fields, harmonics, trend, base_period=span(base)), None
    table, count = window_table(base, config, coefficients, harmonics=harmonics, trend=trend)
    return Climatology(xr.Dataset({"table": table}), harmonics, trend, base_period=span(base)), count


def _centre_of(table: xr.DataArray, cube: xr.Dataset) -> Climatology:
    """Take the climatology from a table, and refuse one that leaves water without a value."""
    unknown = (table.isnull().any("dayofyear").values & cube["water"].values).sum()
    if unknown:
        raise InputError(
            f"the climatology has no value on {unknown} of {int(cube['water'].sum())} water pixels; "
            f"give one that covers the sea of the input"
        )
    ends = [table.attrs.get(f"base_period_{end}") for end in ("start", "end")]
    fields = xr.Dataset({"table": table.transpose("dayofyear", "lat", "lon").astype("float32").drop_attrs()})
    return Climatology(fields, base_period=":".join(map(str, ends)) if all(ends) else None)


def _with_spread(
    centre: Climatology, cube: xr.Dataset, config: ClimatologyConfig
) -> tuple[Climatology, xr.DataArray]:
    """Add the standard deviation of the anomalies of a cube, (lat, lon), and return how many they are."""
    anomaly = (field_of(cube) - centre.baseline(cube)).where(cube["water"])
    squares, count = compute((anomaly**2).sum("time"), anomaly.notnull().sum("time"))
    spread = pooled_std(squares.values, count.values, cube["water"].values, config)
    fields = centre.fields.assign(std=(("lat", "lon"), spread.astype(np.float32)))
    return replace(centre, fields=fields.assign_coords(lat=cube["lat"], lon=cube["lon"])), count


def recent_mean(anomaly: xr.DataArray, water: xr.DataArray, half_width: int) -> xr.DataArray:
    """Return the mean anomaly of the basin in the days around each day, (time,), in memory.

    Days weigh by a triangle of `half_width`; a basin of which little was seen is drawn towards zero.
    """
    anomalies_at_sea = anomaly.where(water)
    total, count = compute(anomalies_at_sea.sum(("lat", "lon")), anomalies_at_sea.notnull().sum(("lat", "lon")))
    mean = _recent(total.values, count.values, int(water.sum()), half_width)
    return xr.DataArray(mean, dims="time", coords={"time": anomaly["time"]})


def mean_of_days(anomaly: np.ndarray, water: np.ndarray, half_width: int) -> np.ndarray:
    """Return the same of arrays in memory: `anomaly` (time, lat, lon), NaN where missing, and `water` (lat, lon)."""
    anomalies_at_sea = anomaly[:, water]
    return _recent(
        np.nansum(anomalies_at_sea, axis=1), np.isfinite(anomalies_at_sea).sum(axis=1), int(water.sum()), half_width
    )


def _recent(total: np.ndarray, count: np.ndarray, cells: int, half_width: int) -> np.ndarray:
    """Return the basin-mean anomaly from the sums and the numbers of the anomalies of each day, float32 (time,)."""
    weights = 1 - np.abs(np.arange(-half_width, half_width + 1)) / (half_width + 1)
    sums, numbers = (convolve1d(part.astype(float), weights, mode="constant") for part in (total, count))
    return np.asarray(sums / (numbers + 0.05 * cells), dtype=np.float32)
