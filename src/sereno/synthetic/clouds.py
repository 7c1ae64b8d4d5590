"""Clouds over the twin sea: a moving field of many scales, cut at a level that follows the weather.

The field is Gaussian with a red spectrum, because clouds have no scale of their own between 1 and 1000 km (Lovejoy
1982, Science 216, 185–187). Each wave keeps part of itself to the next day, the larger the more, and drifts with the
wind, along which clouds are long. It is cloudy where the field passes the level of the day, set by a cover that
wanders between nearly clear and overcast (a first-order autoregression of its logit) and is higher in winter than in
summer. A fixed pattern makes some places cloudier.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import special

from sereno.progress import Progress, silent
from sereno.synthetic.config import TwinSeaConfig
from sereno.synthetic.spectral import PeriodicGrid

OUTER_SCALE = 1200e3
"""Wavelength of weather systems, metres; the spectrum is flat beyond it."""
DOMAIN = 2.5
"""Length of the periodic domain in windows: room for weather systems larger than the window."""
POWER_SLOPE = 2.85
"""Fall of the two-dimensional power with the wavenumber; a random field's edges are then fractal."""
STRETCH = 2.5
"""Clouds are this many times longer along the wind than across it."""
LIFETIME = 1.5
"""Days in which a wave of the outer scale loses all but 1/e of itself; shorter waves are shorter-lived."""
WIND, WIND_GUSTS, WIND_MEMORY = (2.5, 0.5), 3.5, 0.5
"""Mean steering wind (m/s, eastward and northward), its standard deviation, its correlation from day to day."""
WEATHER_SPREAD, WEATHER_MEMORY = 1.4, 0.5
"""Standard deviation of the cover's logit, and its correlation from day to day."""
WINTER_CLOUDS, CLEAREST_DAY = 0.5, 205
"""Seasonal part of the cover's logit, and the day of the year with the fewest clouds."""
PLACES = 0.4
"""Standard deviation of the fixed pattern, in standard deviations of the cloud field."""
DAY = 86_400.0


def cloud_masks(config: TwinSeaConfig, *, progress: Progress = silent) -> np.ndarray:
    """Return where clouds hide the surface, over land as well.

    Returns
    -------
    numpy.ndarray
        Boolean, shape (days, lat, lon).
    """
    north, east = config.shape
    cloudy = np.empty((config.days, north, east), dtype=bool)
    for day, (field, level) in enumerate(zip(_fields(config), _levels(config), strict=False)):
        cloudy[day] = field[:north, :east] > level
        progress("clouds", (day + 1) / config.days)
    return cloudy


def _fields(config: TwinSeaConfig) -> Iterator[np.ndarray]:
    """Yield the cloud field of each day on the periodic domain, of unit variance, without end."""
    grid = PeriodicGrid.around(config, margin=DOMAIN)
    rng = config.random("clouds")
    memory = np.exp(-(np.maximum(grid.k * OUTER_SCALE / (2 * np.pi), 1) ** (2 / 3)) / LIFETIME)
    mean_wind = np.array(WIND)
    shape = _streets(grid, mean_wind)
    places = PLACES * grid.inverse(shape * grid.noise(rng))
    places -= places[: config.shape[0], : config.shape[1]].mean()  # the mean cover stays the one asked for
    field = shape * grid.noise(rng)
    gust = rng.standard_normal(2)
    while True:
        yield (grid.inverse(field) + places) / np.hypot(1, PLACES)
        gust = WIND_MEMORY * gust + np.sqrt(1 - WIND_MEMORY**2) * rng.standard_normal(2)
        wind = mean_wind + WIND_GUSTS * gust
        carried = np.exp(-1j * DAY * (grid.kx * wind[0] + grid.ky * wind[1])) * field
        field = memory * carried + np.sqrt(1 - memory**2) * _streets(grid, wind) * grid.noise(rng)
        field = field.astype(np.complex64)


def _streets(grid: PeriodicGrid, wind: np.ndarray) -> np.ndarray:
    """Return the filter of a red spectrum, stretched along the wind."""
    east, north = wind / np.hypot(*wind)
    along, across = grid.kx * east + grid.ky * north, grid.ky * east - grid.kx * north
    outer = 2 * np.pi / OUTER_SCALE
    return grid.amplitude((outer**2 + STRETCH * along**2 + across**2 / STRETCH) ** (-POWER_SLOPE / 2))


def _levels(config: TwinSeaConfig) -> np.ndarray:
    """Return the level of each day that the cloud field must pass, in its standard deviations, shape (days,)."""
    rng = config.random("clouds").spawn(1)[0]
    weather = np.empty(config.days)
    weather[0] = rng.standard_normal()
    for day in range(1, config.days):
        weather[day] = WEATHER_MEMORY * weather[day - 1] + np.sqrt(1 - WEATHER_MEMORY**2) * rng.standard_normal()
    season = -WINTER_CLOUDS * np.cos(2 * np.pi * (config.time.day_of_year.to_numpy() - CLEAREST_DAY) / 365.25)
    spread = np.hypot(WEATHER_SPREAD, WINTER_CLOUDS / np.sqrt(2))
    # The logistic function is nearly the normal integral of √(π/8) times its argument, so that its mean over a normal
    # variable has a closed form: the centre is stretched such that the mean cover is the one asked for.
    centre = special.logit(config.cloud_cover) * np.sqrt(1 + np.pi * spread**2 / 8)
    cover = special.expit(centre + season + WEATHER_SPREAD * weather)
    level: np.ndarray = -special.ndtri(cover)
    return level
