"""Marine heatwaves: the definition by brute force, and cases by hand."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sereno.climatology import heatwaves
from sereno.climatology.heatwaves import events, heatwave_days, thresholds


def series(years: int = 6, pixels: int = 4) -> tuple[np.ndarray, np.ndarray]:
    time = pd.date_range("2001-01-01", periods=years * 365 + years // 4)
    rng = np.random.default_rng(0)
    slow = np.zeros((len(time), pixels))
    for day in range(1, len(time)):
        slow[day] = 0.9 * slow[day - 1] + rng.normal(0, 0.4, pixels)
    return (slow + 290 + 5 * np.cos(2 * np.pi * time.day_of_year.values / 365.25)[:, None]), time.values


def run_lengths(text: str) -> str:
    found = events(np.array([[c == "#"] for c in text]))[:, 0]
    return "".join("#" if hot else "." for hot in found)


@pytest.mark.parametrize(
    ("above", "expected"),
    [
        ("..####....", ".........."),  # four days are too short
        ("..#####...", "..#####..."),
        ("#####.....", "#####....."),  # at the ends of the record too
        (".....#####", ".....#####"),
        ("#####..#####", "############"),  # two days apart: one
        ("#####...#####", "#####...#####"),  # three: two
        ("#####..####", "#####......"),  # what is too short itself is not joined
    ],
)
def test_events(above: str, expected: str) -> None:
    assert run_lengths(above) == expected


def test_thresholds_are_those_of_brute_force() -> None:
    values, time = series()
    found = thresholds(values, time)
    dates = pd.DatetimeIndex(time)
    leap_year = pd.date_range("2020-01-01", "2020-12-31")
    place = {(day.month, day.day): number for number, day in enumerate(leap_year)}
    number = np.array([place[day.month, day.day] for day in dates])
    plain = np.empty((366, values.shape[1]))
    for day in range(366):
        apart = np.minimum((number - day) % 366, (day - number) % 366)
        plain[day] = np.percentile(values[apart <= 5], 90, axis=0)
    plain[59] = (plain[58] + plain[60]) / 2
    smooth = np.stack([plain[(day + np.arange(-15, 16)) % 366].mean(axis=0) for day in range(366)])
    np.testing.assert_allclose(found, smooth)


def test_maps_are_told_a_band_at_a_time_on_the_days_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    values, time = series(pixels=12)
    truth = xr.DataArray(
        values.reshape(-1, 4, 3).astype(np.float32), dims=("time", "lat", "lon"), coords={"time": time}
    )
    days = time[[3, 700, 701, 1500]]
    whole = heatwave_days(truth, days)
    every = heatwave_days(truth, time)
    assert whole is not None
    assert every is not None
    np.testing.assert_array_equal(whole, every[[3, 700, 701, 1500]])
    assert 0.03 < every.mean() < 0.1  # a tenth of days are above, and some spells too short
    monkeypatch.setattr(heatwaves, "BAND_BYTES", 1)
    np.testing.assert_array_equal(heatwave_days(truth.chunk(time=100), time), every)


def test_a_gap_leaves_a_cell_out_and_a_short_record_everything() -> None:
    values, time = series(pixels=4)
    truth = xr.DataArray(values.reshape(-1, 2, 2), dims=("time", "lat", "lon"), coords={"time": time})
    every = heatwave_days(truth, time)
    gap = truth.copy()
    gap[100, 0, 1] = np.nan
    found = heatwave_days(gap, time)
    assert every is not None
    assert found is not None
    assert not found[:, 0, 1].any()
    assert every[:, 0, 1].any()
    found[:, 0, 1] = every[:, 0, 1]
    np.testing.assert_array_equal(found, every)
    assert heatwave_days(truth.isel(time=slice(0, 4 * 365)), time[:3]) is None
