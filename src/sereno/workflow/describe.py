"""Describe a cube: its gaps, its cloud cover, its distributions."""

from __future__ import annotations

from dataclasses import replace

import xarray as xr

from sereno.climatology import Climatology, fit_climatology
from sereno.climatology.distributions import distributions
from sereno.config import RunConfig, configure, to_toml
from sereno.cube import Period, field_name, field_of, period_text, select_period, span, validate
from sereno.errors import InputError
from sereno.gaps.hiding import visible_part
from sereno.gaps.statistics import coverage, gap_statistics
from sereno.io.inputs.static_maps import climatology_table
from sereno.progress import Progress, reporter


def describe(
    cube: xr.Dataset,
    config: RunConfig | None = None,
    *,
    days: Period | None = None,
    progress: Progress | bool = False,
) -> xr.Dataset:
    """Describe a cube: its gaps, its coverage, the distributions of its field and of the anomalies.

    The record is read six times, a few blocks of days at a time.

    Parameters
    ----------
    cube
        A valid cube.
    config
        Its climatology is what anomalies are taken from, without the basin-mean anomaly, and is fitted on the
        very days described. The default configuration where not given.
    days
        The days to describe: text ``A:B``, a slice, or consecutive days; every day of the cube where not given.
    progress
        True for bars, or a function of a stage (``"gaps"``, ``"climatology"``, ``"distributions"``) and a fraction.

    Returns
    -------
    xr.Dataset
        In memory: what `sereno.gaps.statistics.gap_statistics` returns; ``coverage`` (time,), ``coverage_monthly``
        (month,) and ``coverage_by_month_of_year`` (month_of_year,), % of the water; what
        `sereno.climatology.distributions.distributions` returns of the field and of ``anomaly``; ``water``.
        Attributes: ``field``, ``variable``, ``period``, ``climatology`` (what it is made of) and ``sereno_config``.

    Raises
    ------
    InputError
        If the cube is not valid, the period holds no day, or no water pixel is ever observed.

    Examples
    --------
    >>> import sereno
    >>> from sereno.synthetic import TwinSeaConfig, twin_sea
    >>> cube = twin_sea(TwinSeaConfig(days=40, shape=(24, 32)))
    >>> described = sereno.describe(cube, days="2019-01")
    >>> described["coverage"].sizes["time"], described.attrs["period"]
    (31, '2019-01-01:2019-01-31')
    """
    progress = reporter(progress)
    config = configure("climatology") if config is None else config
    if not isinstance(config, RunConfig):
        raise InputError(f"`config`: give a sereno.RunConfig (got {config!r:.60})")
    visible = visible_part(select_period(validate(cube), period_text(cube, days)))
    name, field = field_name(visible), field_of(visible)
    if name == "anomaly":
        raise InputError("the field is an anomaly already; describe the field that it was taken from")
    gaps = gap_statistics(visible, progress=progress)
    if not bool((gaps["gap_longest"] < visible.sizes["time"]).any()):
        raise InputError(f"{name}: not one observation over water in {span(visible)}; choose other days")
    progress("climatology", 0.0)
    settings = replace(config.climatology, recent_days=0)
    climatology = fit_climatology(visible, settings, table=climatology_table(settings, visible))
    anomaly = climatology.anomalies(visible)["anomaly"]
    progress("climatology", 1.0)
    progress("distributions", 0.0)
    spread = distributions({name: field.where(visible["water"]).assign_attrs(field.attrs), "anomaly": anomaly})
    progress("distributions", 1.0)
    described = gaps.merge(spread).merge(_coverages(coverage(visible))).assign(water=visible["water"])
    return described.assign_attrs(
        title=f"Gaps, coverage and distributions of {name}, {span(visible)}",
        field=name,
        variable=str(cube.attrs.get("variable", name)),
        period=span(visible),
        climatology=settings.file or _terms_of(climatology),
        sereno_config=to_toml(config),
    )


def _terms_of(climatology: Climatology) -> str:
    """Return the terms of a fitted climatology, as text."""
    if not climatology.harmonics:
        return "the mean alone: no seasonal cycle"
    harmonics = f"{climatology.harmonics} harmonic{'s' * (climatology.harmonics > 1)} of the year"
    return f"mean, {harmonics}, trend" if climatology.trend else f"mean, {harmonics}"


def _coverages(share: xr.DataArray) -> xr.Dataset:
    """Return coverage in % of the water by day, by month, and by month of the year, each the mean of its days."""
    daily = 100 * share
    monthly = daily.resample(time="MS").mean().rename(time="month")
    of_year = daily.groupby("time.month").mean().rename(month="month_of_year")
    means = {"coverage": daily, "coverage_monthly": monthly, "coverage_by_month_of_year": of_year}
    names = ("on each day", "mean of each calendar month", "mean of each month of the year")
    coverages = xr.Dataset(
        {
            key: values.assign_attrs(long_name=f"share of the water observed, {long_name}", units="%")
            for (key, values), long_name in zip(means.items(), names, strict=True)
        }
    )
    coverages["month"].attrs = {"long_name": "first day of the calendar month"}
    coverages["month_of_year"].attrs = {"long_name": "month of the year, 1 January to 12 December", "units": "1"}
    return coverages
