"""Water that is followed: images carried along a flow, the covariance there, and the mean of both answers."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from scipy.ndimage import gaussian_filter

from sereno.config import UNet
from sereno.cube import make_cube
from sereno.nets.corrector import corrector
from sereno.reconstruct.oi_grid.regions import Region
from sereno.reconstruct.oi_grid.solver import Term
from sereno.reconstruct.unet.answers import Answers, Window, along
from sereno.reconstruct.unet.first_guess import FirstGuess
from sereno.reconstruct.unet.following import followed_guess
from sereno.reconstruct.unet.method import UNetReconstructor

SIDE, DAYS, SPEED = 40, 160, 1.5
CONFIG = UNet(window=9, widths=(4, 8), network="all-days", weights="fresh")
GUESS = FirstGuess((Term(1.0, 20.0, 3.0), Term(0.01, 60.0, 0.0, False)), 0.1)


def sea(speed: float, *, memory: float = 40.0, seed: int = 0) -> xr.Dataset:
    """Return an anomaly cube under clouds: a pattern that the water takes eastward, and that it slowly forgets."""
    rng = np.random.default_rng(seed)
    wide = 2 * SIDE + int(speed * DAYS)
    keep = np.exp(-1 / memory)

    def fresh() -> np.ndarray:
        field = gaussian_filter(rng.normal(size=(SIDE, wide)), 2.5, mode="wrap")
        return np.asarray(field / field.std())

    pattern, maps = fresh(), []
    for day in range(DAYS):
        start = int(speed * (DAYS - day))
        maps.append(pattern[:, start : start + SIDE])
        pattern = keep * pattern + np.sqrt(1 - keep**2) * fresh()
    values = np.stack(maps) + 0.05 * rng.normal(size=(DAYS, SIDE, SIDE))
    clouds = gaussian_filter(rng.normal(size=values.shape), (0, 3, 3))
    values[clouds > 0] = np.nan
    cube = make_cube(
        values.astype(np.float32),
        time=pd.date_range("2015-01-01", periods=DAYS),
        lat=np.linspace(-1, 1, SIDE),
        lon=np.linspace(0, 2, SIDE),
        water=np.ones((SIDE, SIDE), bool),
        field="anomaly",
    )
    return cube.assign(climatology_std=(("lat", "lon"), np.ones((SIDE, SIDE), np.float32)))


def knowing(flow: float) -> Answers:
    """Return answers of a network that corrects nothing and takes the water to move eastward, cells a day."""

    def engine(values: np.ndarray, guess: np.ndarray, *_: np.ndarray) -> tuple[np.ndarray, ...]:
        moves = np.zeros((len(guess), 2, *guess.shape[1:]), np.float32)
        moves[:, 0] = flow
        return guess, np.ones_like(guess), moves

    return Answers(CONFIG, engine, GUESS)


def test_images_are_carried_to_where_the_water_is_on_the_reference_day() -> None:
    pattern = gaussian_filter(np.random.default_rng(1).normal(size=(12, 60)), 1.0).astype(np.float32)
    images = np.stack([pattern[:, 20 - 2 * day : 44 - 2 * day] for day in range(5)])
    images[3, 4, 10] = np.nan
    flow = np.zeros((5, 2, 12, 24), np.float32)
    flow[:, 0] = 2
    carried = along(images, flow, 2)
    np.testing.assert_array_equal(carried[2], images[2])
    np.testing.assert_allclose(carried[1][:, 2:], images[2][:, 2:], atol=1e-6)
    np.testing.assert_allclose(carried[4][:, :-4], images[2][:, :-4], atol=1e-6)
    assert np.isnan(carried[1][:, :2]).all()  # came from beyond the map
    missing = np.isnan(carried[3])
    assert missing[:, -2:].all()
    assert np.argwhere(missing[:, :-2]).tolist() == [[4, 8]]


def test_water_that_is_followed_remembers_longer() -> None:
    cube = sea(SPEED)
    followed = followed_guess([cube], Region.of(cube), knowing(SPEED))
    assert followed is not None

    def correlation(guess: FirstGuess, days: float) -> float:
        signal = [term for term in guess.terms if term.signal]
        lags = [np.sqrt(3) * days / float(term.time) for term in signal]
        parts = [float(t.variance) * (1 + lag) * np.exp(-lag) for t, lag in zip(signal, lags, strict=True)]
        return float(sum(parts) / sum(float(term.variance) for term in signal))

    assert correlation(followed, 5) == pytest.approx(np.exp(-5 / 40), abs=0.1)


@pytest.mark.parametrize("flow", [1.5, 0.0])
def test_water_that_rests_is_not_followed(flow: float) -> None:
    cube = sea(0.0)
    assert followed_guess([cube], Region.of(cube), knowing(flow)) is None


def test_a_record_shorter_than_a_window_is_not_followed() -> None:
    cube = sea(0.0).isel(time=slice(0, 8))
    assert followed_guess([cube], Region.of(cube), knowing(1.0)) is None


def test_a_followed_day_is_nearer_to_the_truth_where_the_water_moves() -> None:
    cube = sea(SPEED)
    region, answers = Region.of(cube), knowing(SPEED)
    followed = followed_guess([cube], region, answers)
    answers = replace(answers, followed=followed)
    assert followed is not None
    values = cube["anomaly"].values[60:79].copy()
    truth = cube["anomaly"].values[69]
    values[9] = np.nan  # the day that is asked for
    window = Window(region, slice(5, 14), cube["time"].values[69])
    guess = GUESS.analyse(GUESS.solver(region, 19), values, region)
    still, flow = answers.of_window(values, guess, window, np.array([4]))
    assert flow is not None
    carried = answers.of_followed_day(followed.solver(region, 19), values, None, flow, window, 4)
    seen = np.isfinite(truth)
    errors = [np.sqrt(np.mean((maps[seen] - truth[seen]) ** 2)) for maps in (still[0, 0], carried[0])]
    assert errors[1] < 0.7 * errors[0]


def untrained(followed: FirstGuess | None) -> UNetReconstructor:
    torch.manual_seed(0)
    return UNetReconstructor(CONFIG, GUESS, (corrector(CONFIG).eval(),), [], followed)


def test_both_answers_are_averaged_and_the_covariance_is_kept_with_the_model() -> None:
    cube = sea(0.0)
    days = cube["time"].values[60:66]
    slower = FirstGuess((Term(1.0, 20.0, 9.0), Term(0.01, 60.0, 0.0, False)), 0.1)
    # A fresh network corrects nothing and estimates no flow: the second answer is the other first guess.
    one, other, both = (
        made.reconstruct(cube, days).compute()
        for made in (untrained(None), replace(untrained(None), guess=slower), untrained(slower))
    )
    np.testing.assert_allclose(both["mean"], (one["mean"] + other["mean"]) / 2, atol=1e-5)
    again = UNetReconstructor.from_state(CONFIG, untrained(slower).state())
    xr.testing.assert_identical(again.reconstruct(cube, days).compute(), both)


def test_stated_errors_are_carried_with_their_observations() -> None:
    cube = sea(0.0)
    stated = cube.assign(anomaly_error=xr.full_like(cube["anomaly"], 0.1).where(cube["anomaly"].notnull()))
    guess = replace(GUESS, typical_error=0.1)
    made = replace(untrained(guess), guess=guess)
    days = cube["time"].values[60:61]
    same = made.reconstruct(stated, days).compute()
    xr.testing.assert_allclose(same["mean"], made.reconstruct(cube, days).compute()["mean"], atol=1e-5)
