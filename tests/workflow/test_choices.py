"""What may stand for a method and for a period, and which arguments are refused."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import sereno
from sereno.config import ClimatologyConfig, OptimalInterpolation, RunConfig, UNet, configure
from sereno.cube import period_text, select_period
from sereno.errors import InputError
from sereno.methods import State
from sereno.workflow.bare_networks import BareNetwork
from sereno.workflow.choices import by_label, choice_of, settings_of
from sereno.workflow.models import Model


@pytest.fixture(scope="module")
def model(sea: xr.Dataset) -> Model:
    return sereno.fit(sea, "climatology", window=7, train=slice("2019-01", "2019-02"), calibration_days=8, seed=4)


def test_arguments_of_fit_become_the_configuration(model: Model) -> None:
    assert (model.config.model.window, model.config.train, model.config.seed) == (7, "2019-01:2019-02", 4)
    assert model.description.training_period == "2019-01-01:2019-02-28"


def test_all_that_stands_for_a_method_is_the_same_method() -> None:
    whole = configure("oi").model
    for method in ("oi", OptimalInterpolation, OptimalInterpolation(), RunConfig(model=OptimalInterpolation())):
        assert choice_of(method).config.model == whole
    for choice in (choice_of("oi", {"window": 11}), choice_of(OptimalInterpolation, {"window": 11})):
        assert choice.config.model == OptimalInterpolation(window=11)


def test_on_the_fly_a_network_is_that_of_the_package() -> None:
    assert settings_of("unet").weights == "packaged"
    assert choice_of("unet").config.weights == "fine-tuned"
    assert settings_of(UNet()).weights == "fine-tuned"
    with pytest.raises(InputError, match="convlstm needs training"):
        settings_of("convlstm")


@pytest.mark.parametrize("method", [3, None, 1.5, ["oi"], {"method": "oi"}, int, object()])
def test_what_stands_for_no_method_is_refused(sea: xr.Dataset, method: Any) -> None:  # noqa: ANN401
    for verb in (sereno.fit, sereno.fill):
        with pytest.raises(InputError, match=r"method|is no method"):
            verb(sea, method)


@pytest.mark.parametrize(
    ("method", "settings", "told"),
    [
        ("oi", {"windw": 11}, "model.windw: unknown key; did you mean 'window'"),
        ("oi", {"window": 4}, "window must be an odd number"),
        ("oi", {"train": 2013}, "period '2013'"),
        ("oi", {"folder": "here"}, "`folder`: is for the training of a network, and oi is no network"),
        ("linear", {"resume": True}, "`resume`: is for the training"),
        ("linear", {"max_minutes": 3}, "`max_minutes`: is for the training"),
        ("linear", {"calibration_days": 1}, "calibration_days"),
        ("linear", {"seed": "one"}, "seed"),
        ("convlstm", {"resume": True}, "`resume`: give the `folder`"),
        ("linear", {"progress": 3}, "`progress`: give True, or a function"),
        (OptimalInterpolation(), {"window": 11}, "`window`: settings go with the name or the class"),
        (configure("oi"), {"window": 11}, "the RunConfig holds them already"),
        (UNet(weights="packaged"), {"folder": "here"}, "unet is not trained"),
        ("linear", {"train": pd.DatetimeIndex(["2019-01-01", "2019-01-05"])}, "must follow each other"),
    ],
)
def test_an_argument_that_would_be_ignored_or_is_wrong_is_refused(
    sea: xr.Dataset,
    method: Any,  # noqa: ANN401
    settings: dict[str, Any],
    told: str,
) -> None:
    with pytest.raises(InputError) as refused:
        sereno.fit(sea, method, **settings)
    assert told in str(refused.value)


def test_a_model_is_fitted_already(sea: xr.Dataset, model: Model) -> None:
    with pytest.raises(InputError, match="fitted already"):
        sereno.fit(sea, model)  # type: ignore[arg-type]


@pytest.mark.parametrize("cube", [np.zeros((3, 4, 5)), "cube.nc", None, xr.Dataset(), xr.DataArray(np.zeros(3))])
def test_what_is_no_cube_is_refused_with_the_way_to_make_one(cube: Any) -> None:  # noqa: ANN401
    for verb in (sereno.fit, sereno.fill, sereno.evaluate):
        with pytest.raises(InputError, match="cube_from"):
            verb(cube, "linear")
    with pytest.raises(InputError, match="cube_from"):
        sereno.describe(cube)


def test_what_is_no_path_and_no_configuration_is_refused(sea: xr.Dataset, tmp_path: Path) -> None:
    for given in (sea, sea["sst"], sea["sst"].values, 3, None):
        with pytest.raises(InputError, match="cube_from"):
            sereno.open_cube(given)
    with pytest.raises(InputError, match="ClimatologyConfig"):
        sereno.make_climatology(sea, tmp_path / "clim.nc", "window")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="RunConfig"):
        sereno.describe(sea, "climatology")  # type: ignore[arg-type]


def test_methods_have_their_own_names_or_given_ones(model: Model) -> None:
    assert list(by_label(["linear", OptimalInterpolation(), model])) == ["linear", "oi", "climatology"]
    assert list(by_label("linear")) == ["linear"]
    assert list(by_label({"mine": model})) == ["mine"]
    with pytest.raises(InputError, match="two of them are 'oi'"):
        by_label(["oi", OptimalInterpolation(window=11)])
    for nothing in ([], {}):
        with pytest.raises(InputError, match="one method at least"):
            by_label(nothing)


def test_each_thing_says_in_a_line_what_it_is(model: Model) -> None:
    bare = BareNetwork(configure("convlstm"), State(), "30 tiles of somewhere")
    assert repr(model) == (
        "<sereno.Model climatology: sst in kelvin, 24 × 32 cells, fitted on 2019-01-01:2019-02-28>"
    )
    for thing in (model, bare, OptimalInterpolation(), ClimatologyConfig()):
        assert "\n" not in repr(thing)


def test_a_model_fills_and_saves_as_the_functions_do(sea: xr.Dataset, model: Model, tmp_path: Path) -> None:
    days = sea["time"][60:62]
    again = sereno.load(model.save(tmp_path / "model"))
    assert isinstance(again, Model)
    xr.testing.assert_identical(model.fill(sea, days=days).compute(), sereno.fill(sea, again, days=days).compute())


def test_progress_is_shown_where_asked(sea: xr.Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    sereno.fit(sea, "climatology", calibration_days=8, progress=True)
    assert "climatology" in capsys.readouterr().err
    told: list[str] = []
    sereno.fit(sea, "climatology", calibration_days=8, progress=lambda stage, fraction: told.append(stage))
    assert "climatology" in told
    assert not capsys.readouterr().err


# periods


@pytest.mark.parametrize(
    ("period", "days"),
    [
        ("2019-02", 28),
        ("2019-03-30:", 32),
        (slice("2019-02", "2019-03"), 59),
        (slice(None, np.datetime64("2019-01-03")), 3),
        (date(2019, 3, 1), 1),
        (pd.Timestamp("2019-03-01 12:00"), 1),
        (np.datetime64("2019-03-01"), 1),
        (["2019-01-01", "2019-01-05"], 2),
        ([date(2019, 1, 1), date(2019, 1, 5)], 2),
        (pd.date_range("2019-01-04", periods=4, tz="UTC"), 4),
        (None, 120),
    ],
)
def test_a_period_is_what_sel_takes(sea: xr.Dataset, period: Any, days: int) -> None:  # noqa: ANN401
    chosen = select_period(sea, period)
    assert chosen.sizes["time"] == days
    if not isinstance(period, str | date | np.datetime64) and period is not None:
        naive = period if isinstance(period, slice) else pd.to_datetime(np.asarray(period)).tz_localize(None)
        xr.testing.assert_identical(chosen["time"], sea["time"].sel(time=naive))


def test_the_days_of_another_dataset_are_a_period(sea: xr.Dataset) -> None:
    some = sea.isel(time=[3, 4, 9])
    for period in (some["time"], some["time"].values, some.indexes["time"], list(some["time"].values)):
        np.testing.assert_array_equal(select_period(sea, period)["time"], some["time"])
    assert period_text(sea, sea["time"][3:6]) == "2019-01-04:2019-01-06"


@pytest.mark.parametrize(
    "period",
    [
        *(3, 1.5, True, [], {}, b"2019", [1, 2], [None], [pd.NaT], ["yesterday"], ["01/02/2019"], "01/02/2019"),
        *(["2019-01-05", "2019-01-01"], ["2019-01-01", "2019-01-01"], slice(1, 5), slice("2019", "2018")),
        *(slice("2019-01-01", "2019-02-01", 2), np.array([["2019-01-01"]]), date(2018, 1, 1), "2018"),
    ],
)
def test_what_is_no_period_of_the_cube_is_refused(sea: xr.Dataset, period: Any) -> None:  # noqa: ANN401
    with pytest.raises(InputError, match=r"period|the input has no"):
        select_period(sea, period)
