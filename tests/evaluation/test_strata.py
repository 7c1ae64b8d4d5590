"""Strata: bins against brute force, and what they are made of."""

import math
from dataclasses import astuple

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from sereno.cube import OBSERVED, make_cube
from sereno.evaluation.metrics import Sums, sums, sums_by_bin
from sereno.evaluation.strata import COUNTS, STRATA, bins, tabulate
from sereno.gaps.hiding import hide
from sereno.gaps.nearest import days_to_observation
from sereno.grids.cells import KM_PER_DEGREE, cell_size
from sereno.grids.coast import distance_to
from sereno.reconstruct.day_blocks import by_block

WINDOW = 7


@pytest.fixture
def cube() -> xr.Dataset:
    """Thirty days of a small sea with an island; the third is without an observation."""
    rng = np.random.default_rng(0)
    values = rng.normal(290, 1, (30, 7, 9)).astype("float32")
    values[rng.random(values.shape) < 0.75] = np.nan
    values[2] = np.nan
    water = np.ones((7, 9), bool)
    water[2:4, 3] = False
    time = pd.date_range("2019-02-20", periods=30)
    return make_cube(values, time=time, lat=40 + 0.1 * np.arange(7), lon=0.15 * np.arange(9), water=water)


@pytest.fixture
def withheld(cube: xr.Dataset) -> xr.DataArray:
    """A third of the observations of five days, two of them neighbours, and all of one."""
    chosen = cube["sst"].isel(time=[0, 8, 9, 15, 29]).notnull() & cube["water"]
    rng = np.random.default_rng(1)
    mask = chosen.values & (rng.random(chosen.shape) < 0.33)
    mask[3] = chosen.values[3]
    return chosen.copy(data=mask).rename("withheld")


def heatwave(cube: xr.Dataset, days: np.ndarray) -> np.ndarray:
    """A wave that covers the western half on every other day."""
    hot = np.zeros((len(days), *cube["water"].shape), bool)
    hot[::2, :, :4] = True
    return hot


def found_bins(cube: xr.Dataset, withheld: xr.DataArray) -> dict[str, np.ndarray]:
    days = withheld["time"].values
    near = by_block(hide(cube, withheld), days, window=WINDOW, reconstruct_block=days_to_observation).compute()
    size, water = cell_size(cube), cube["water"].values
    return bins(
        near["source"].values == OBSERVED,
        near["mean"].values,
        near["std"].values,
        withheld.values,
        time=days,
        water=water,
        coast=distance_to(~water, size),
        size=size,
        heatwave=heatwave(cube, days),
    )


def label_of(stratum: str, value: float) -> str:
    """Return the label of the bin, told from the labels' own words."""
    for label in STRATA[stratum].labels:
        number = label.split(" ")[0]
        if not number[0].isdigit():
            continue
        low, _, high = number.partition("-")
        if label.endswith("more"):
            inside = float(low) <= value < np.inf
        elif stratum.startswith("days"):
            inside = float(low) <= value <= float(high or low)
        elif high:
            inside = float(low) <= value < float(high)
        else:
            inside = value == float(low)
        if inside:
            return label
    return STRATA[stratum].labels[-1]


def test_bins_are_those_of_brute_force(cube: xr.Dataset, withheld: xr.DataArray) -> None:
    found = found_bins(cube, withheld)
    everywhere = withheld.reindex(time=cube["time"], fill_value=False).values
    water = cube["water"].values
    visible = np.isfinite(cube["sst"].values) & water & ~everywhere
    height, width = cell_size(cube)
    rows, columns = np.indices(water.shape)
    compared = 0
    for index, row, column in np.argwhere(withheld.values):
        day = int(cube.indexes["time"].get_loc(withheld["time"].values[index]))
        apart = np.hypot((rows - row) * height, (columns - column) * width)
        lags = [day - other for other in range(len(visible)) if visible[other, row, column]]
        half = WINDOW // 2
        expected = {
            "cloud_cover": 100 * (1 - visible[day].sum() / water.sum()),
            "distance_to_observation": apart[visible[day]].min(initial=np.inf),
            "days_since_observation": min((lag for lag in lags if 0 < lag <= half), default=np.inf),
            "days_to_nearest_observation": min((abs(lag) for lag in lags if 0 < abs(lag) <= half), default=np.inf),
            "distance_to_coast": apart[~water].min(),
        }
        for name, value in expected.items():
            assert STRATA[name].labels[found[name][index, row, column]] == label_of(name, float(value)), (name, value)
        month = int(withheld["time"].dt.month[index])
        season = STRATA["season"].labels[found["season"][index, row, column]]
        assert "JFMAMJJASOND"[month - 1] in season
        assert season == ("DJF" if month in (12, 1, 2) else "MAM")
        hot = STRATA["marine_heatwave"].labels[found["marine_heatwave"][index, row, column]]
        assert hot == ("heatwave" if index % 2 == 0 and column < 4 else "none")
        compared += 1
    assert compared == int(withheld.sum()) > 20
    varied = ("cloud_cover", "distance_to_observation", "days_since_observation", "distance_to_coast", "season")
    assert all(len(np.unique(found[name][withheld.values])) > 1 for name in varied)


def test_a_day_without_an_observation_and_a_sea_without_a_coast_have_bins_of_their_own(cube: xr.Dataset) -> None:
    open_sea = cube.assign(water=xr.ones_like(cube["water"]))
    withheld = (open_sea["sst"].isel(time=[15]).notnull()).rename("withheld")
    found = found_bins(open_sea, withheld)
    scored = withheld.values
    names = {"cloud_cover": "100 %", "distance_to_observation": "nothing visible", "distance_to_coast": "no land"}
    for name, label in names.items():
        assert {STRATA[name].labels[i] for i in np.unique(found[name][scored])} == {label}


def test_distances_are_in_kilometres() -> None:
    cells = np.zeros((5, 6), bool)
    cells[1, 2] = True
    apart = distance_to(cells, (10.0, 7.0))
    assert apart[1, 2] == 0
    assert apart[4, 2] == pytest.approx(30)
    assert apart[1, 5] == pytest.approx(21)
    assert apart[3, 0] == pytest.approx(math.hypot(20, 14))
    assert np.isinf(distance_to(np.zeros((2, 2), bool), (1.0, 1.0))).all()


def test_days_beyond_the_record_and_the_day_itself_do_not_count() -> None:
    values = np.full((7, 1, 1), np.nan, np.float32)
    values[[1, 3, 6]] = 290
    since, nearest = days_to_observation(values, np.arange(3))
    assert since.ravel().tolist() == [1, 2, 1]  # the day itself, number 3, is observed, and does not count
    assert nearest.ravel().tolist() == [1, 2, 1]
    since, nearest = days_to_observation(values[2:], np.arange(1))
    assert since.ravel().tolist() == [1]
    since, nearest = days_to_observation(np.full((5, 2, 2), np.nan, np.float32), np.arange(1))
    assert np.isinf(since).all()
    assert np.isinf(nearest).all()


@pytest.mark.parametrize("name", STRATA)
def test_every_bin_has_a_label_and_edges_ascend(name: str) -> None:
    stratum = STRATA[name]
    assert len(stratum.labels) == len(stratum.edges) + 1 == len(set(stratum.labels)) == COUNTS[name]
    assert np.all(np.diff(stratum.edges) > 0)


def test_the_bins_of_a_stratum_add_up_to_the_whole(cube: xr.Dataset, withheld: xr.DataArray) -> None:
    rng = np.random.default_rng(2)
    reference = cube["sst"].sel(time=withheld["time"]).values
    mean = reference + rng.normal(0, 0.3, reference.shape)
    std = rng.uniform(0.2, 0.5, reference.shape)
    scored = withheld.values
    where = found_bins(cube, withheld)
    daily, strata = sums_by_bin(mean, std, reference, scored, where, COUNTS, noise_variance=0.01)
    whole = Sums(*daily.sum(axis=0))
    assert whole == sums(mean, std, reference, scored, noise_variance=0.01)
    parts_of_images = [list(Sums.__match_args__).index(name) for name in ("images", "image_rmse")]
    for name, binned in strata.items():
        assert len(binned) == COUNTS[name]
        together, expected = astuple(sum(binned, Sums())), astuple(whole)
        for index, (one, other) in enumerate(zip(together, expected, strict=True)):
            if index not in parts_of_images or name in ("cloud_cover", "season"):  # an image lies whole in a bin
                assert one == pytest.approx(other, rel=1e-9, abs=1e-9), (name, index)


def test_each_bin_holds_the_sums_of_its_pixels(cube: xr.Dataset, withheld: xr.DataArray) -> None:
    rng = np.random.default_rng(3)
    reference = cube["sst"].sel(time=withheld["time"]).values.astype(float)
    mean, std = reference + rng.normal(0, 0.3, reference.shape), np.full(reference.shape, 0.3)
    where, scored = found_bins(cube, withheld), withheld.values
    strata = sums_by_bin(mean, std, reference, scored, where, COUNTS)[1]
    for name, binned in strata.items():
        for index, total in enumerate(binned):
            alone = sums(mean, std, reference, scored & (where[name] == index))
            assert astuple(total) == pytest.approx(astuple(alone), rel=1e-9, abs=1e-9)
    table = tabulate({"one": strata, "other": strata})
    for name, rows in table.items():
        assert sum(row["one"].n_pixels for row in rows.values()) == int(scored.sum())
        assert list(rows) == [label for label in STRATA[name].labels if label in rows]
        for row in rows.values():
            assert row["one"] == row["other"]


def test_a_cell_of_a_single_row_has_a_size() -> None:
    row = make_cube(
        np.full((1, 1, 4), 290.0), time=["2020-01-01"], lat=[60.0], lon=np.arange(4.0), water=[[True] * 4]
    )
    assert cell_size(row) == pytest.approx((KM_PER_DEGREE, KM_PER_DEGREE / 2))
    cell = row.isel(lon=[0])
    assert cell_size(cell) == pytest.approx((KM_PER_DEGREE, KM_PER_DEGREE / 2))
