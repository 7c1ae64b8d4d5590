"""Hold the twin sea against real scenes: the spectrum of SST, and how clouds cover, last and cluster.

Usage: ``python benchmarks/twin_sea.py [DATA] [--figures FOLDER]`` with the folder that holds
``slstr_*.nc``, ``alboran_avhrr_l3_201705.nc`` and ``goes16_clouds_202212.nc``. Prints what it finds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import process_time

import cartopy.crs as ccrs
import cmocean
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from scipy import ndimage, signal

from sereno.grids.coast import land_polygons
from sereno.synthetic import TwinSeaConfig, twin_sea

KM_PER_DEGREE = 111.195
KELVIN = 273.15
SEGMENT_KM = 250.0
CLOUD_STEP_KM = 12.0
"""Masks of every source are compared at about this spacing, that of GOES-16 in these latitudes."""
SLOPE_BAND = (200.0, 30.0)


@dataclass(frozen=True)
class Masks:
    """Cloud masks of one source: cloudy (images, rows, columns), NaN over land, every `step` km along a row."""

    name: str
    cloudy: np.ndarray
    step: float
    day_pairs: tuple[np.ndarray, np.ndarray]
    """The same places on one day and on the next, each (windows, pairs, rows, columns)."""


def segments(images: np.ndarray, *, step: float, gap: int = 3) -> Iterator[np.ndarray]:
    """Yield pieces of rows, `SEGMENT_KM` long and seen throughout; holes of up to `gap` cells are bridged."""
    length = round(SEGMENT_KM / step)
    for row in images.reshape(-1, images.shape[-1]):
        seen = np.isfinite(row)
        bridged = ndimage.binary_closing(seen, np.ones(gap + 1)) | seen
        labels, _ = ndimage.label(bridged)
        for place in ndimage.find_objects(labels):
            start, stop = place[0].start, place[0].stop
            for first in range(start, stop - length + 1, length):
                cells = np.arange(first, first + length)
                yield np.interp(cells, cells[seen[cells]], row[cells[seen[cells]]])


def spectrum(images: np.ndarray, *, step: float) -> tuple[np.ndarray, np.ndarray, int]:
    """Return wavenumber (cycles/km), power density (K² km) of the clear segments, and how many there were."""
    pieces = np.array(list(segments(images, step=step)))
    wavenumber, power = signal.periodogram(pieces, fs=1 / step, window="hann", detrend="linear")
    return wavenumber[1:], power.mean(axis=0)[1:], len(pieces)


def slope(wavenumber: np.ndarray, power: np.ndarray, band: tuple[float, float] = SLOPE_BAND) -> float:
    """Return the slope of a spectrum in logarithms within a band of wavelengths (km, long to short)."""
    inside = (wavenumber > 1 / band[0]) & (wavenumber < 1 / band[1])
    return float(np.polyfit(np.log(wavenumber[inside]), np.log(power[inside]), 1)[0])


def cover(masks: Masks) -> np.ndarray:
    """Return the cloudy share of each image's water."""
    share: np.ndarray = np.nanmean(masks.cloudy, axis=(1, 2))
    return share


def decorrelation(masks: Masks, distances: np.ndarray) -> np.ndarray:
    """Return how often two points of a row differ, relative to points chosen at random in the same image.

    Zero where the mask is the same at both points, one where the one says nothing about the other; km along rows.
    """
    share = cover(masks)
    chance = np.sum(2 * share * (1 - share))
    lags = np.arange(1, int(distances.max() / masks.step) + 2)
    differ = [np.abs(masks.cloudy[..., lag:] - masks.cloudy[..., :-lag]) for lag in lags]
    measured = [np.sum(np.nanmean(image, axis=(1, 2))) / chance for image in differ]
    result: np.ndarray = np.interp(distances, lags * masks.step, measured)
    return result


def persistence(masks: Masks) -> tuple[float, float, float]:
    """Return how a place's cloudiness goes with the next day's.

    Returns
    -------
    tuple of float
        The correlation over all windows, the correlation about each window's own mean, and
        P(cloudy tomorrow | cloudy today).
    """
    today, tomorrow = masks.day_pairs
    both = np.concatenate(masks.day_pairs, axis=1)
    own_mean = np.nanmean(both, axis=(1, 2, 3), keepdims=True)
    known = np.isfinite(today) & np.isfinite(tomorrow)
    overall = np.corrcoef(today[known], tomorrow[known])[0, 1]
    within = np.corrcoef((today - own_mean)[known], (tomorrow - own_mean)[known])[0, 1]
    return float(overall), float(within), float(tomorrow[known & (today == 1)].mean())


def goes_masks(path: Path, *, side: int = 64) -> Masks:
    """Cut the full disk into windows of some 700 km, mostly sea, of the subtropics and middle latitudes."""
    with xr.open_dataset(path) as disk:
        lat, lon, ocean = disk["lat"].values, disk["lon"].values, disk["ocean"].values == 1
        condition, time = disk["cloud_condition"].values, disk["time"].values
    cloudy = np.where(ocean & (condition != 255), condition >= 2, np.nan).astype(np.float32)
    windows = []
    for row in range(0, lat.shape[0] - side, side):
        for column in range(0, lat.shape[1] - side, side):
            window = (slice(row, row + side), slice(column, column + side))
            centre = row + side // 2, column + side // 2
            seen_well = 20 < abs(lat[centre]) < 45 and -115 < lon[centre] < -35
            if seen_well and ocean[window].mean() > 0.75:
                windows.append(window)
    day = np.timedelta64(24, "h")
    today = np.flatnonzero(np.isin(time + day, time))
    tomorrow = np.searchsorted(time, time[today] + day)
    pairs = [np.stack([cloudy[(frames, *window)] for window in windows]) for frames in (today, tomorrow)]
    images = np.concatenate([cloudy[(slice(None, None, 6), *window)] for window in windows])
    eastward = [np.diff(lon[window], axis=1).mean() * np.cos(np.deg2rad(lat[window].mean())) for window in windows]
    step = float(np.mean(eastward)) * KM_PER_DEGREE
    return Masks("GOES-16, 20–45° N and S", images, step, (pairs[0], pairs[1]))


def alboran_masks(path: Path) -> Masks:
    """Return the masks of the ten AVHRR images."""
    with xr.open_dataset(path, decode_times=False) as dataset:
        sst, water, time = dataset["SST"].values, dataset["mask"].values == 1, dataset["time"].values
    cloudy = np.where(water, np.isnan(sst), np.nan)
    step = 0.02 * KM_PER_DEGREE * np.cos(np.deg2rad(36))
    thin = round(CLOUD_STEP_KM / step)
    cloudy = cloudy[:, ::thin, ::thin]
    follows = np.flatnonzero(np.diff(time) == 1)
    return Masks("AVHRR, Alboran Sea", cloudy, thin * step, (cloudy[None, follows], cloudy[None, follows + 1]))


def twin_masks(cube: xr.Dataset, *, step: float) -> Masks:
    """Return the masks of the twin sea."""
    cloudy = np.where(cube["water"], cube["sst"].isnull(), np.nan)
    thin = round(CLOUD_STEP_KM / step)
    cloudy = cloudy[:, ::thin, ::thin]
    return Masks("twin sea", cloudy, thin * step, (cloudy[None, :-1], cloudy[None, 1:]))


def draw_spectra(spectra: dict[str, tuple[np.ndarray, np.ndarray, int]], path: Path) -> None:
    """Draw power against wavelength."""
    figure, axes = plt.subplots(figsize=(7, 5), layout="constrained")
    for name, (wavenumber, power, number) in spectra.items():
        shown = wavenumber < 1 / 4
        style = {"linewidth": 2.2, "color": "black"} if name.startswith("twin sea, truth") else {"linewidth": 1.3}
        axes.loglog(1 / wavenumber[shown], power[shown], label=f"{name} ({number} segments)", **style)
    wavelength = np.array([20.0, 200.0])
    axes.loglog(wavelength, 0.5 * (wavelength / 60) ** 2, "k--", linewidth=0.8, label="k⁻²")
    axes.set(xlabel="wavelength / km", ylabel="power density of SST / K² km", xlim=(270, 4), ylim=(3e-4, 60))
    axes.xaxis.set_major_formatter(mpl.ticker.ScalarFormatter())
    axes.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    axes.set_xticks([200, 100, 50, 20, 10, 5])
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def draw_clouds(sources: list[Masks], path: Path) -> None:
    """Draw the distribution of cover, the decorrelation with distance, and masks of the twin and of GOES."""
    figure = plt.figure(figsize=(11, 7), layout="constrained")
    grid = figure.add_gridspec(3, 8, height_ratios=[2.2, 1, 1.3])
    left, right = figure.add_subplot(grid[0, :4]), figure.add_subplot(grid[0, 4:])
    distances = np.arange(CLOUD_STEP_KM, 320, 6)
    for masks, colour in zip(sources, ("black", "C0", "C1"), strict=True):
        share = np.sort(cover(masks))
        left.step(share, np.arange(1, share.size + 1) / share.size, color=colour, label=masks.name)
        right.plot(distances, decorrelation(masks, distances), color=colour, label=masks.name)
    left.set(xlabel="cloud cover of an image", ylabel="share of images with less", xlim=(0, 1), ylim=(0, 1))
    right.set(xlabel="distance / km", ylabel="two points differ, 1 = by chance", xlim=(0, None), ylim=(0, 1.2))
    left.legend(fontsize=8)
    for row, masks in enumerate(sources[:2], start=1):
        share = cover(masks)
        for column, wanted in enumerate(np.linspace(0.2, 0.9, 8)):
            axes = figure.add_subplot(grid[row, column])
            image = masks.cloudy[np.argmin(np.abs(share - wanted))]
            axes.imshow(image, cmap="gray", vmin=-0.3, vmax=1, interpolation="nearest", origin="lower")
            axes.set_facecolor("burlywood")
            axes.set(xticks=[], yticks=[], title=f"{wanted:.0%}")
            if column == 0:
                axes.set_ylabel(masks.name.split(",")[0])
    figure.savefig(path, dpi=110)


def draw_maps(cube: xr.Dataset, path: Path) -> None:
    """Draw truth and observations of three spells of the year, two days of each, three days apart."""
    lon, lat = cube["lon"].values, cube["lat"].values
    half = float(lat[1] - lat[0]) / 2
    west, south, east, north = lon[0] - half, lat[0] - half, lon[-1] + half, lat[-1] + half
    plain = ccrs.PlateCarree()
    figure, rows = plt.subplots(4, 3, figsize=(11, 11.2), layout="constrained", subplot_kw={"projection": plain})
    for column, first in zip(rows.T, (30, 140, 230), strict=True):
        spell = cube.isel(time=[first, first + 3]) - KELVIN
        low, high = np.nanpercentile(spell["truth"], [1, 99])
        for row, axes in enumerate(column):
            what = ("truth", "sst")[row % 2]
            field = spell[what].isel(time=row // 2)
            image = axes.pcolormesh(lon, lat, field, cmap=cmocean.cm.thermal, vmin=low, vmax=high)
            axes.set_facecolor("gainsboro")
            land = [land_polygons(west, south, east, north)]
            axes.add_geometries(land, crs=plain, facecolor="tan", edgecolor="0.3", linewidth=0.5)
            axes.set_extent((west, east, south, north), crs=plain)
            day = str(field["time"].values)[:10]
            axes.set_title(f"{day}, {'truth' if what == 'truth' else 'observed'}", fontsize=9)
        figure.colorbar(image, ax=column, location="bottom", aspect=30, pad=0.01, label="°C")
    figure.savefig(path, dpi=100)


def compare_spectra(cube: xr.Dataset, data: Path, *, step: float) -> dict[str, tuple[np.ndarray, np.ndarray, int]]:
    """Return the spectra of the twin and of the real scenes, and print them."""
    every_fifth = cube.isel(time=slice(None, None, 5))
    spectra = {
        "twin sea, truth": spectrum(every_fifth["truth"].values, step=step),
        "twin sea, observed": spectrum(every_fifth["sst"].values, step=step),
    }
    for path in sorted(data.glob("slstr_*.nc")):
        with xr.open_dataset(path) as scene:
            sst = scene["sst_skin"].values[0]
            degrees = float(scene["lon"].diff("lon").mean() * np.cos(np.deg2rad(scene["lat"].mean())))
        spectra[f"SLSTR, {path.stem.removeprefix('slstr_')}"] = spectrum(sst, step=degrees * KM_PER_DEGREE)
    print(f"{'spectrum of SST':28s} slope   power at 100, 50, 25 km / K² km   segments")
    for name, (wavenumber, power, number) in spectra.items():
        at = np.exp(np.interp(np.log([1 / 100, 1 / 50, 1 / 25]), np.log(wavenumber), np.log(power)))
        print(f"{name:28s} {slope(wavenumber, power):5.2f}   {at[0]:8.2f} {at[1]:8.2f} {at[2]:8.2f} {number:16d}")
    return spectra


def compare_clouds(cube: xr.Dataset, data: Path, *, step: float) -> list[Masks]:
    """Return the masks of the twin and of the real images, and print what they have in common."""
    sources = [
        twin_masks(cube, step=step),
        goes_masks(data / "goes16_clouds_202212.nc"),
        alboran_masks(data / "alboran_avhrr_l3_201705.nc"),
    ]
    print("\nclouds: mean, std of cover, images below 0.15, above 0.95; points 12, 50, 150 km apart differ; next day")
    print("correlation over all windows, about each window's mean, P(cloudy | cloudy the day before); images")
    for masks in sources:
        share = cover(masks)
        of_cover = share.mean(), share.std(), (share < 0.15).mean(), (share > 0.95).mean()
        of_distance = decorrelation(masks, np.array([CLOUD_STEP_KM, 50.0, 150.0]))
        columns = ("".join(f"{value:6.2f}" for value in part) for part in (of_cover, of_distance, persistence(masks)))
        print(f"{masks.name:28s}", "  ".join(columns), f"{len(share):6d}")
    return sources


def main() -> None:
    """Compare, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, default=Path("../shared/data"))
    parser.add_argument("--figures", type=Path, default=Path("docs/figures"))
    options = parser.parse_args()
    options.figures.mkdir(parents=True, exist_ok=True)
    mpl.use("agg")

    config = TwinSeaConfig()
    started = process_time()
    cube = twin_sea(config)
    seconds = process_time() - started
    print(f"{config.days} days of {config.shape[0]} × {config.shape[1]} cells: {seconds:.1f} s of processor time\n")
    step = config.spacing * KM_PER_DEGREE * np.cos(np.deg2rad(config.centre[0]))
    draw_spectra(compare_spectra(cube, options.data, step=step), options.figures / "twin_sea_spectrum.png")
    draw_clouds(compare_clouds(cube, options.data, step=step), options.figures / "twin_sea_clouds.png")
    draw_maps(cube, options.figures / "twin_sea_maps.png")


if __name__ == "__main__":
    main()
