"""The daily climatology and the anomalies from it, by harmonics of the year or by a window of days of the year."""

from sereno.climatology.calendar import DAYS_PER_YEAR, leap_day_of_year
from sereno.climatology.daily import (
    HARMONIC_YEARS,
    Climatology,
    daily_climatology,
    fit_climatology,
    mean_of_days,
    recent_mean,
)

__all__ = [
    "DAYS_PER_YEAR",
    "HARMONIC_YEARS",
    "Climatology",
    "daily_climatology",
    "fit_climatology",
    "leap_day_of_year",
    "mean_of_days",
    "recent_mean",
]
