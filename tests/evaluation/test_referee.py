"""A leak test of the referee itself: methods that cheat, through every path a method has, score no better for it.

Under every withheld pixel, and in every place that no method may see, lies a secret: a temperature of 1000 K. Each
cheater is an honest method that first looks for it along one path, and notes where it found it. The referee is sound
where none does, and where all score as the honest method does. A cheater that is shown everything must find it, or
the test could not fail.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import xarray as xr

import sereno
from sereno.config import RunConfig, configure
from sereno.cube import DIMS
from sereno.errors import InputError
from sereno.evaluation import evaluate as referee
from sereno.gaps.hiding import hide
from sereno.gaps.withholding import withhold
from sereno.io.stores.prepared import write_cube
from sereno.methods import METHODS
from sereno.reconstruct.anomaly import AnomalyReconstructor
from sereno.reconstruct.climatology import ZeroAnomaly
from sereno.workflow.models import Model

DAYS = {"clouds": "2019-03-10:2019-03-19", "hidden-day": "2019-03-20"}
"""Under hidden-day the scored days may see each other, so a single one is scored."""
SHARE, SECRET = 0.5, 1000.0
QUICK = configure("climatology", calibration_days=8)


class Cheater(ZeroAnomaly):
    """The climatology, which looks for the secret before it answers."""

    found: ClassVar[list[str]] = []

    @classmethod
    def fit(cls, cube: xr.Dataset, *args: Any, **kwargs: Any) -> Cheater:  # noqa: ANN401
        cls.look("fit", cube)
        return super().fit(cube, *args, **kwargs)

    def reconstruct(self, cube: xr.Dataset, days: np.ndarray) -> xr.Dataset:
        self.look("reconstruct", cube)
        analysis = super().reconstruct(cube.copy(deep=True), days.copy())
        self.spoil(cube)
        return analysis

    @classmethod
    def look(cls, where: str, cube: xr.Dataset) -> None:
        """Note where a value is the secret, in kelvin or as an anomaly."""
        for value in cls.find(cube):
            array = np.asarray(value)
            if array.dtype.kind in "fi" and (np.abs(array.astype(float) - SECRET) < SECRET / 2).any():
                cls.found.append(where)

    @classmethod
    def find(cls, cube: xr.Dataset) -> Iterator[Any]:
        """Yield what can be got hold of."""
        raise NotImplementedError

    def spoil(self, cube: xr.Dataset) -> None:
        """Change what was handed over."""


class Reader(Cheater):
    """Reads all that the dataset holds: variables, coordinates, attributes."""

    @classmethod
    def find(cls, cube: xr.Dataset) -> Iterator[Any]:
        for variable in cube.variables.values():
            yield variable.values
            yield from (value for value in variable.attrs.values() if not isinstance(value, str))
        yield from (value for value in cube.attrs.values() if not isinstance(value, str))


class Opener(Cheater):
    """Opens every file that an encoding or an attribute names."""

    @classmethod
    def find(cls, cube: xr.Dataset) -> Iterator[Any]:
        holders = [cube, *cube.variables.values()]
        texts = [v for one in holders for d in (one.attrs, one.encoding) for v in d.values() if isinstance(v, str)]
        for text in filter(lambda text: Path(text).exists(), texts):
            yield from (variable.values for variable in xr.open_dataset(text, engine="zarr").variables.values())


class Digger(Cheater):
    """Digs in memory: what arrays are views of, and all that hangs on the graph of tasks."""

    @classmethod
    def find(cls, cube: xr.Dataset) -> Iterator[Any]:
        heap: list[Any] = [v.data if isinstance(v.data, np.ndarray) else v.data.dask for v in cube.variables.values()]
        seen: set[int] = set()
        while heap:
            one = heap.pop()
            if id(one) in seen or isinstance(one, type) or type(one).__name__ in ("module", "function", "frame"):
                continue
            seen.add(id(one))
            if isinstance(one, np.ndarray):
                yield one
                heap.append(one.base)
            elif len(seen) < 20_000:
                heap += gc.get_referents(one)


class Redrawer(Cheater):
    """Knows the seed, draws the withheld pixels itself, and looks under them."""

    @classmethod
    def find(cls, cube: xr.Dataset) -> Iterator[Any]:
        for protocol, days in DAYS.items():
            period = slice(*(days.split(":") * 2)[:2])
            try:
                mask = withhold(cube, protocol=protocol, days=period, share=SHARE, seed=0)
            except InputError:  # the day is gone
                continue
            yield cube[cube.attrs["field"]].sel(time=mask["time"]).where(mask).values


class Vandal(Cheater):
    """Writes into all that it is handed, so that its own errors vanish or others' grow."""

    @classmethod
    def find(cls, cube: xr.Dataset) -> Iterator[Any]:
        yield from ()

    def spoil(self, cube: xr.Dataset) -> None:
        for variable in cube.variables.values():
            if isinstance(variable.data, np.ndarray) and variable.data.flags.writeable:
                variable.data[...] = True if variable.dtype == bool else np.array(np.nan).astype(variable.dtype)
        cube.attrs["field"] = "water"


@dataclass(frozen=True)
class Case:
    """A sea full of secrets, and what the honest climatology scores on it."""

    cube: xr.Dataset
    told: dict[str, Any]
    honest: dict[str, Any]


@pytest.fixture(scope="module")
def case_of(sea: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Case]:
    """Return the case of a protocol, in near real time or not."""
    folder = tmp_path_factory.mktemp("secret")

    @cache
    def made(protocol: str, nrt: bool) -> Case:
        cube = with_secrets(sea, protocol, folder / f"{protocol}.zarr")
        told = {"protocol": protocol, "nrt": nrt, "days": DAYS[protocol], "share": SHARE}
        return Case(cube, told, scored(cube, QUICK, **told))

    return made


def with_secrets(sea: xr.Dataset, protocol: str, store: Path) -> xr.Dataset:
    """Hide the secret wherever a method should not look; the pixels that will be withheld are known beforehand."""
    period = slice(*(DAYS[protocol].split(":") * 2)[:2])
    mask = withhold(sea, protocol=protocol, days=period, share=SHARE, seed=0).reindex(
        time=sea["time"], fill_value=False
    )
    rich = sea.assign(truth=xr.full_like(sea["truth"], SECRET)).copy(deep=True)
    rich["sst"] = rich["sst"].where(~mask, np.float32(SECRET))
    rich["sst_error"] = (0 * sea["sst"] + 0.2).where(~mask, np.float32(SECRET)).assign_attrs(units="kelvin")
    rich.attrs["path"] = rich["sst"].attrs["path"] = str(write_cube(rich, store))
    rich.encoding["source"] = rich["sst"].encoding["source"] = rich["time"].encoding["source"] = str(store)
    rich.attrs["peek"] = rich["sst"].attrs["peek"] = rich["lat"].attrs["peek"] = SECRET
    return rich.assign_coords(
        peek=(DIMS, np.full(sea["sst"].shape, SECRET)), there=(("lat",), sea["lat"].values + SECRET)
    )


def scored(cube: xr.Dataset, method: Model | RunConfig | str, **told: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return all scores but the time taken."""
    result = sereno.evaluate(cube, {"it": method}, **told).scores
    for part in (result, result["truth"]):
        part["methods"]["it"].pop("seconds")
    return result


def enter(monkeypatch: pytest.MonkeyPatch, cheater: type[ZeroAnomaly]) -> None:
    """Let a cheater take the place of the climatology in the table of methods."""
    monkeypatch.setattr(Cheater, "found", [])
    monkeypatch.setitem(METHODS, "climatology", replace(METHODS["climatology"], home=cheater))


CHEATERS = pytest.mark.parametrize("cheater", [Reader, Opener, Digger, Redrawer, Vandal])


@CHEATERS
@pytest.mark.parametrize(("protocol", "nrt"), [("clouds", False), ("clouds", True), ("hidden-day", False)])
def test_a_cheater_finds_nothing_and_scores_as_the_honest_method_it_is(
    case_of: Callable[..., Case],
    cheater: type[Cheater],
    protocol: str,
    nrt: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = case_of(protocol, nrt)
    enter(monkeypatch, cheater)
    np.testing.assert_equal(scored(case.cube, QUICK, **case.told), case.honest)
    assert not Cheater.found


@CHEATERS
def test_what_the_input_withholds_itself_is_out_of_reach_too(
    case_of: Callable[..., Case], cheater: type[Cheater], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = case_of("clouds", False)
    secret = case.cube["sst"] > SECRET / 2
    apart = case.cube.assign(sst_withheld=case.cube["sst"].where(secret), sst=case.cube["sst"].where(~secret))
    enter(monkeypatch, cheater)
    found = scored(apart, QUICK, **case.told)
    assert not Cheater.found
    for name in ("n_pixels", "methods", "strata", "reliability", "baselines"):
        np.testing.assert_equal(found[name], case.honest[name])


@pytest.mark.parametrize("cheater", [Reader, Opener, Redrawer, Vandal])
def test_a_cube_too_large_for_memory_gives_nothing_away_by_its_values(
    case_of: Callable[..., Case], cheater: type[Cheater], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Digging in the graph of tasks would find it there: see docs/decisions/0004-evaluation.md.
    case = case_of("clouds", False)
    monkeypatch.setattr(referee, "SMALL_BYTES", 0)
    enter(monkeypatch, cheater)
    found = scored(case.cube.chunk(time=20), QUICK, **case.told)
    assert not Cheater.found
    assert found["methods"]["it"]["rmse"] == pytest.approx(case.honest["methods"]["it"]["rmse"], rel=1e-6)
    assert found["n_pixels"] == case.honest["n_pixels"]


@pytest.mark.parametrize("cheater", [Reader, Opener, Digger, Redrawer])
@pytest.mark.parametrize("protocol", list(DAYS))
def test_a_cheater_that_is_shown_everything_finds_the_secret(
    case_of: Callable[..., Case], cheater: type[Cheater], protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cheater, "found", [])
    cheater.look("here", case_of(protocol, False).cube)
    assert Cheater.found


@pytest.mark.parametrize("cheater", [Reader, Opener, Digger, Redrawer])
@pytest.mark.parametrize("protocol", list(DAYS))
def test_what_is_handed_over_holds_no_secret(
    case_of: Callable[..., Case], cheater: type[Cheater], protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cheater, "found", [])
    case = case_of(protocol, False)
    withheld = sereno.evaluate(case.cube, {"it": QUICK}, **case.told).withheld
    handed = hide(case.cube, withheld)
    cheater.look("here", handed)
    assert not Cheater.found
    # And all else that a method needs is there.
    rest = ~withheld.reindex(time=case.cube["time"], fill_value=False)
    for name in ("sst", "sst_error"):
        np.testing.assert_array_equal(handed[name], case.cube[name].where(rest))
        assert handed[name].attrs == {"units": "kelvin"}
    np.testing.assert_array_equal(handed["water"], case.cube["water"])


def test_no_one_changes_the_cube_or_what_another_method_sees(
    case_of: Callable[..., Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = case_of("clouds", False)
    before = case.cube.copy(deep=True)
    alone = sereno.evaluate(case.cube, {"two": "linear"}, relative_to="two", **case.told).scores
    enter(monkeypatch, Vandal)
    both = {"one": QUICK, "two": "linear"}
    beside = sereno.evaluate(case.cube, both, relative_to="two", **case.told).scores
    xr.testing.assert_identical(case.cube, before)
    for part in (alone, beside):
        part["methods"]["two"].pop("seconds")
    np.testing.assert_equal(beside["methods"]["two"], alone["methods"]["two"])


class Shifter(ZeroAnomaly):
    """Answers for other days than it was asked for."""

    def reconstruct(self, cube: xr.Dataset, days: np.ndarray) -> xr.Dataset:
        days[...] = days[0]
        return super().reconstruct(cube, days)


def test_no_method_chooses_the_days_it_is_scored_on(
    case_of: Callable[..., Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = case_of("clouds", False)
    enter(monkeypatch, Shifter)
    with pytest.raises(InputError, match=r"^it: "):
        scored(case.cube, QUICK, **case.told)


class Rememberer(ZeroAnomaly):
    """Keeps all that it is shown, and answers a hidden day with what an earlier call showed of it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        object.__setattr__(self, "memory", {})

    def reconstruct(self, cube: xr.Dataset, days: np.ndarray) -> xr.Dataset:
        analysis = super().reconstruct(cube, days).compute()
        field = cube[cube.attrs["field"]].compute()
        memory: dict[np.datetime64, np.ndarray] = self.memory  # type: ignore[attr-defined]
        known = [memory.get(day, np.full(field.shape[1:], np.nan)) for day in days]
        mean = xr.where(np.isfinite(np.stack(known)), np.stack(known), analysis["mean"])
        for day in field["time"].values:
            image = field.sel(time=day).values
            memory[day] = np.where(np.isfinite(image), image, memory.get(day, np.nan))
        return analysis.assign(mean=mean).chunk(time=len(days))


@pytest.mark.parametrize(("protocol", "nrt"), [("hidden-day", False), ("hidden-day", True), ("clouds", True)])
def test_what_a_method_keeps_from_an_earlier_round_or_run_is_forgotten(
    sea: xr.Dataset, monkeypatch: pytest.MonkeyPatch, protocol: str, nrt: bool
) -> None:
    told: dict[str, Any] = {"protocol": protocol, "nrt": nrt, "share": 0.9, "days": DAYS["clouds"]}
    config = replace(configure("climatology"), train=":2019-02-28")
    config = replace(config, climatology=replace(config.climatology, recent_days=0))
    honest = scored(sea, config, **told)["methods"]["it"]
    enter(monkeypatch, Rememberer)
    fitted = sereno.fit(sea, config)
    assert isinstance(fitted.reconstructor.inner, Rememberer)
    for _ in range(2):
        found = scored(sea, fitted, **told)["methods"]["it"]
        assert found["rmse"] == pytest.approx(honest["rmse"], rel=1e-5)
    # Outside the referee it does remember, and gains by it.
    days = withhold(sea, protocol="hidden-day", days=slice(*DAYS["clouds"].split(":")), share=0.9, seed=0)
    fitted.reconstructor.reconstruct(sea, days["time"].values)
    again = fitted.reconstructor.reconstruct(hide(sea, days), days["time"].values)["mean"].compute()
    error = (again - sea["sst"].sel(time=days["time"])).where(days)
    assert float(np.sqrt((error**2).mean())) < 0.01 * honest["rmse"]


def test_a_wrapper_that_writes_into_everything_moves_neither_strata_nor_baseline_nor_the_model(
    sea: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = sereno.fit(sea, replace(configure("climatology"), train=":2019-02-28"))
    before = fitted.reconstructor.climatology.fields.copy(deep=True)
    told: dict[str, Any] = {"days": DAYS["clouds"], "share": 0.9, "protocol": "hidden-day"}
    honest, expected = AnomalyReconstructor.reconstruct, scored(sea, fitted, **told)

    def spoil(self: AnomalyReconstructor, cube: xr.Dataset, days: np.ndarray, *, nrt: bool = False) -> xr.Dataset:
        analysis = honest(self, cube, days, nrt=nrt)
        chunks = analysis.chunksizes
        analysis = analysis.compute().copy(deep=True).chunk(chunks)
        self.climatology.fields["std"].values[...] = 7.0
        cube["sst"].values[...] = 300.0  # as if every pixel had been seen
        cube["water"].values[...] = False
        return analysis

    monkeypatch.setattr(AnomalyReconstructor, "reconstruct", spoil)
    np.testing.assert_equal(scored(sea, fitted, **told), expected)
    xr.testing.assert_identical(fitted.reconstructor.climatology.fields, before)
