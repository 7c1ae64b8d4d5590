"""A method of one's own: by its class, by an entry point, and what is refused."""

from __future__ import annotations

import shutil
import sys
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import pytest
import xarray as xr

import sereno
from sereno.cli import main
from sereno.config import as_mapping, parse_config
from sereno.errors import InputError
from sereno.methods import METHODS, State, own_method
from sereno.reconstruct.day_blocks import by_block
from sereno.workflow.models import Model

DAYS = "2019-03-10:2019-03-12"


@dataclass(frozen=True)
class Settings:
    method: str = "day-mean"
    window: int = 5
    share: float = 0.5


class DayMean:
    """A share of the mean anomaly of the day, everywhere."""

    settings = Settings

    def __init__(self, config: Settings, scale: float) -> None:
        self.config, self.scale = config, scale

    @classmethod
    def fit(cls, cube: xr.Dataset, config: Settings, **_: object) -> Self:
        return cls(config, float(cube["climatology_std"].mean()))

    @property
    def reach(self) -> int:
        return self.config.window // 2

    def reconstruct(self, cube: xr.Dataset, days: np.ndarray) -> xr.Dataset:
        def block(values: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            seen = values[self.reach : self.reach + len(block)]
            count = np.maximum(np.isfinite(seen).sum((1, 2)), 1)
            mean = self.config.share * np.nansum(seen, (1, 2)) / count
            full = np.broadcast_to(mean[:, None, None], seen.shape).astype(np.float32)
            return full, np.full(seen.shape, self.scale, np.float32)

        return by_block(cube, days, window=self.config.window, reconstruct_block=block)

    def state(self) -> State:
        return State({"scale": self.scale})

    @classmethod
    def from_state(cls, config: Settings, state: State) -> Self:
        return cls(config, state.values["scale"])


@pytest.fixture(scope="module")
def model(sea: xr.Dataset) -> Model:
    return sereno.fit(sea, DayMean, train=":2019-02-28", calibration_days=8, share=0.8)


def test_a_class_is_fitted_with_settings_and_fills(sea: xr.Dataset, model: Model) -> None:
    assert (model.name, model.config.model.window, model.config.train) == ("day-mean", 5, ":2019-02-28")
    assert model.config.model == Settings(share=0.8)
    analysis = model.fill(sea, days=DAYS).compute()
    assert np.isfinite(analysis["mean"].values[:, sea["water"].values]).all()
    other = sereno.fit(sea, DayMean, train=":2019-02-28", calibration_days=8, share=0.1)
    assert not np.allclose(analysis["mean"], other.fill(sea, days=DAYS)["mean"], equal_nan=True)


def test_its_model_is_saved_and_loaded_with_the_class(sea: xr.Dataset, model: Model, tmp_path: Path) -> None:
    folder = model.save(tmp_path / "model")
    again = sereno.load(folder, DayMean)
    assert isinstance(again, Model)
    xr.testing.assert_identical(again.fill(sea, days=DAYS).compute(), model.fill(sea, days=DAYS).compute())
    with pytest.raises(
        InputError, match=r"unknown method 'day-mean'.*give the class to load, or install the package"
    ):
        sereno.load(folder)


def test_it_is_scored_beside_those_of_the_package(sea: xr.Dataset, model: Model) -> None:
    scores = sereno.evaluate(sea, ["climatology", DayMean], days=DAYS, share=1.0).scores
    assert list(scores["methods"]) == ["climatology", "day-mean"]
    assert scores["fitted"]["day-mean"]["config"]["model"] == {"method": "day-mean", "window": 5, "share": 0.5}


def test_it_is_filled_on_the_fly_and_to_a_file(sea: xr.Dataset, tmp_path: Path) -> None:
    assert sereno.fill(sea, DayMean, days=DAYS).sizes["time"] == 3
    sereno.fill_to(sea, DayMean, tmp_path / "out.nc", days=DAYS)
    with xr.open_dataset(tmp_path / "out.nc") as written:
        assert 'method = "day-mean"' in written.attrs["sereno_config"]


def without(name: str) -> type:
    members = {key: value for key, value in vars(DayMean).items() if key not in (name, "__dict__", "__weakref__")}
    return type("Lacking", (), members)


@pytest.mark.parametrize("name", ["settings", "fit", "reach", "reconstruct", "state", "from_state"])
def test_a_class_that_lacks_something_is_refused_by_name(sea: xr.Dataset, name: str) -> None:
    with pytest.raises(InputError, match=f"Lacking: is no method: it has no {name};"):
        sereno.fit(sea, without(name))


@dataclass(frozen=True)
class OfSereno:
    method: str = "oi"
    window: int = 5


@dataclass(frozen=True)
class WithoutWindow:
    method: str = "mine"


@pytest.mark.parametrize(
    ("settings", "told"),
    [(OfSereno, "called 'oi'"), (WithoutWindow, "'window'"), (3, "dataclass"), (Settings(), "dataclass")],
)
def test_settings_that_are_none_are_refused(settings: object, told: str) -> None:
    with pytest.raises(InputError, match=told):
        own_method(type("Mine", (DayMean,), {"settings": settings}))


@pytest.mark.parametrize(
    ("settings", "told"),
    [({"shar": 1}, "model.shar: unknown key; did you mean 'share'"), ({"window": "x"}, "model.window: .*got 'x'")],
)
def test_faults_of_its_settings_are_told_as_those_of_all_methods(
    sea: xr.Dataset, settings: dict[str, object], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        sereno.fit(sea, DayMean, **settings)


def test_an_analysis_that_lacks_a_variable_is_refused(sea: xr.Dataset, model: Model) -> None:
    class Bare(DayMean):
        def reconstruct(self, cube: xr.Dataset, days: np.ndarray) -> xr.Dataset:
            return super().reconstruct(cube, days)[["mean", "std"]]

    inner = Bare(Settings(), 1.0)
    broken = replace(model, reconstructor=replace(model.reconstructor, inner=inner))
    with pytest.raises(InputError, match="no source, data_age"):
        broken.fill(sea, days=DAYS)


def test_every_row_says_what_its_class_offers() -> None:
    for row in METHODS.values():
        cls = row.load()
        assert row.is_network == (hasattr(cls, "weights") and hasattr(cls, "portable")), row
        assert row.trains_on_tiles == hasattr(cls, "train_on_samples"), row
        settings = parse_config({"model": {"method": row.name}}).model
        assert row.has_members == hasattr(settings, "members"), row
        assert not row.has_packaged_weights or parse_config({"model": {"method": row.name, "weights": "packaged"}})


EXAMPLE = Path(__file__).parents[1] / "examples" / "own-method"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the example package is installed, and registers two more names that cannot be used."""
    site = tmp_path_factory.mktemp("site")
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    points = project["entry-points"]["sereno.methods"]
    points |= {"broken": "no_such_module:Method", "misnamed": points["window-mean"]}
    about = site / "sereno_window_mean-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0.1\n")
    lines = "\n".join(f"{name} = {home}" for name, home in points.items())
    (about / "entry_points.txt").write_text(f"[sereno.methods]\n{lines}\n")
    shutil.copy(EXAMPLE / "window_mean.py", site)
    return site


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(site)  # where packages and their entry points are looked for


@pytest.mark.usefixtures("installed")
def test_a_package_registers_its_methods(sea: xr.Dataset, tmp_path: Path) -> None:
    model = sereno.fit(sea, "window-mean", prior=3, train=":2019-02-28", calibration_days=8)
    assert as_mapping(model.config)["model"] == {"method": "window-mean", "window": 15, "prior": 3.0}
    again = sereno.load(model.save(tmp_path / "model"))
    assert isinstance(again, Model)
    xr.testing.assert_identical(again.fill(sea, days=DAYS).compute(), model.fill(sea, days=DAYS).compute())


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("broken", "'broken', registered by sereno-window-mean as no_such_module:Method: cannot be imported"),
        ("misnamed", "its settings call it 'window-mean'"),
        ("unheard-of", r"unknown method 'unheard-of'.*window-mean"),
    ],
)
def test_a_registered_name_that_cannot_be_used_is_refused(sea: xr.Dataset, name: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        sereno.fit(sea, name)


@pytest.mark.usefixtures("installed")
def test_the_command_line_knows_a_registered_method(
    sea: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cube, output = sereno.write_cube(sea.isel(time=slice(40)), tmp_path / "cube.nc"), tmp_path / "out.nc"
    words = ["sereno", "fill", cube, "-m", "window-mean", "-o", output, "--days", "2019-01-20"]
    monkeypatch.setattr(sys, "argv", list(map(str, words)))
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    with xr.open_dataset(output) as written:
        assert 'method = "window-mean"' in written.attrs["sereno_config"]
