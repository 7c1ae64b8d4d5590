"""What is right: a complete, finite, plausible output and exit 0, or one clear error, exit 2 and nothing left."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fuzz.cases import Case
from fuzz.children import HUNG, Outcome
from fuzz.sea import Expect

COUNT = 0.0111
"""Kelvin of a packed count, and a rounding."""
PLAUSIBLE = {"kelvin": (268.0, 312.0), "mg m-3": (-1e-6, 200.0)}
AWAY = {"kelvin": 5.0, "mg m-3": 6.0}
"""The most by which an analysis may be away from the truth at any pixel."""
UNUSED = "is not used as a mask of water"
"""What is said of a mask whose flags tell nothing; then the water is a guess, and said to be one."""
NOISE = re.compile(r"Warning|warnings\.warn|Exception ignored|Traceback")


@dataclass
class Failure:
    """What was wrong, by its kind."""

    kind: str
    detail: str


@dataclass
class Maps:
    """Maps that a command has written, (days, lat, lon)."""

    days: np.ndarray
    lat: np.ndarray
    lon: np.ndarray
    mean: np.ndarray
    std: np.ndarray | None
    water: np.ndarray


def tree(root: Path) -> set[str]:
    """Return the names of all that lies in a folder."""
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def judge(case: Case, outcome: Outcome, root: Path, before: set[str], same: Maps | None) -> list[Failure]:
    """Return all that is wrong with how a command ended."""
    if outcome.code == HUNG:
        return [Failure("hang", "not ended after its time")]
    if outcome.code < 0:
        return [Failure("crash", f"signal {-outcome.code}")]
    if "Traceback" in outcome.err:
        return [Failure("traceback", outcome.err.strip().splitlines()[-1][:300])]
    if outcome.code not in ((0, 2, 3) if case.skips else (0, 2)):
        return [Failure("exit code", f"{outcome.code}: {outcome.err.strip()[-300:]}")]
    found = [*_noise(outcome), *_litter(case, outcome, root, before)]
    if outcome.code == 2:
        return [*found, *_refusal(case, outcome)]
    if outcome.code == 3:
        case.expect = min(case.expect, Expect.ANY)
        found += _skipped(case, outcome)
    if case.expect is Expect.REFUSE:
        return [*found, Failure("bad input accepted", _last(outcome.out))]
    try:
        return [*found, *_output(case, outcome, root, same)]
    except Exception as error:
        return [*found, Failure("output cannot be read", f"{type(error).__name__}: {error}")]


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:300] if lines else ""


def _noise(outcome: Outcome) -> list[Failure]:
    """Find what libraries print on standard error."""
    lines = [line for line in outcome.err.splitlines() if NOISE.search(line)]
    return [Failure("noise", lines[0][:300])] if lines else []


def _litter(case: Case, outcome: Outcome, root: Path, before: set[str]) -> list[Failure]:
    new = tree(root) - before
    if outcome.code in (0, 3) and case.output:
        books = {f"{case.output}.filling.zarr"} if "--update" in case.arguments else set()  # for the next night
        books |= {f"{case.output}.model"} if case.verb == "fill" else set()  # for another fill of them
        new = {name for name in new if Path(name).parts[0] not in {case.output, *books}}
    return [Failure("litter", ", ".join(sorted(new)[:5]))] if new else []


def _refusal(case: Case, outcome: Outcome) -> list[Failure]:
    skipping = "--skip-bad" in case.arguments and case.expect is not Expect.ANY
    if case.expect < Expect.EITHER or skipping:
        return [Failure("good input refused", _error(outcome)[:500])]
    if outcome.err.startswith("Usage"):  # an error of usage, which names the option
        return []
    errors = [line for line in outcome.err.splitlines() if line.startswith("error:")]
    if len(errors) != 1:
        return [Failure("not one error", outcome.err.strip()[-300:])]
    names = [*(file.name for file in case.inputs.files), case.inputs.source, *case.inputs.names]
    if not any(name in _error(outcome) for name in names):
        return [Failure("error names no input", _error(outcome)[:300])]
    return []


def _skipped(case: Case, outcome: Outcome) -> list[Failure]:
    """Make sure that the files which were left out are named; the record ends where they leave it."""
    _shorten(case, outcome)
    names = [case.inputs.files[index].name for index in case.inputs.bad]
    unnamed = [name for name in names if name not in outcome.err]
    return [Failure("bad file not named", ", ".join(unnamed))] if unnamed and len(unnamed) == len(names) else []


def _shorten(case: Case, outcome: Outcome) -> None:
    """Take from both ends of the truth the days whose only file was left out: no other file speaks of them."""
    truth, files = case.inputs.truth, case.inputs.files
    if len(files) != truth.days.size:
        return
    told = [line for line in outcome.err.splitlines() if "skipped" in line]
    kept = [n for n, file in enumerate(files) if not any(file.name in line for line in told)]
    if kept:
        truth.keep((np.arange(len(files)) >= kept[0]) & (np.arange(len(files)) <= kept[-1]))


def _error(outcome: Outcome) -> str:
    return outcome.err[outcome.err.find("error:") :] if "error:" in outcome.err else outcome.err[-500:]


def _output(case: Case, outcome: Outcome, root: Path, same: Maps | None) -> list[Failure]:
    verb, output = case.verb, root / case.output
    if verb == "check":
        return _check(case, outcome.out)
    if not output.exists():
        return [Failure("no output", _last(outcome.out))]
    if verb in ("fill", "model"):
        return _analysis(case, read_maps(output), same, outcome)
    if verb == "prepare":
        return _cube(case, read_maps(output), outcome)
    if verb == "climatology":
        return _climatology(case, output)
    if verb == "describe":
        return _description(case, output)
    if verb == "evaluate":
        return _scores(output)
    return [] if (output / "model.json").exists() else [Failure("no output", "no model.json")]


def read_maps(path: Path) -> Maps:
    """Read an analysis or a cube: a file, a store, or a folder of daily files."""
    if path.suffix == ".zarr":
        dataset = xr.open_zarr(path).load()
    elif path.is_dir():
        parts = [xr.open_dataset(part).load() for part in sorted(path.rglob("*.nc"))]
        dataset = xr.concat(parts, "time", data_vars="all").sortby("time")
    else:
        dataset = xr.open_dataset(path).load()
    if "water" in dataset:
        name = dataset.attrs["field"]
        water, std = dataset["water"].values.astype(bool), None
    else:
        name = next(n for n in dataset.data_vars if f"{n}_error" in dataset or n == "analysed_sst")
        water = (dataset["mask"].values[0].astype(int) & 1) == 1
        std = dataset["analysis_error" if name == "analysed_sst" else f"{name}_error"].values
    time = dataset["time"].values.astype("datetime64[D]")
    return Maps(time, dataset["lat"].values, dataset["lon"].values, dataset[name].values, std, water)


def _grid(case: Case, maps: Maps) -> list[Failure]:
    """Compare days and coordinates with the truth, a turn of the globe apart."""
    truth = case.inputs.truth
    if maps.days.shape != truth.days.shape or (maps.days != truth.days).any():
        return [Failure("wrong days", f"{maps.days[0]} to {maps.days[-1]}, {maps.days.size} days")]
    lat, lon = truth.lat, truth.lon
    if maps.lat.shape != lat.shape or not np.allclose(maps.lat, lat, atol=1e-3):
        return [Failure("wrong place", f"latitude {maps.lat[0]:.3f} to {maps.lat[-1]:.3f}, {maps.lat.size}")]
    order = columns(maps.lon, lon)
    if order is None or (np.diff(maps.lon) <= 0).any():
        return [Failure("wrong place", f"longitude {maps.lon[0]:.3f} to {maps.lon[-1]:.3f}, {maps.lon.size}")]
    return []


def columns(lon: np.ndarray, wanted: np.ndarray) -> np.ndarray | None:
    """Return the columns of `lon` that stand for `wanted`, a turn apart or not; None where they are others."""
    apart = np.abs((lon[None] - wanted[:, None] + 180) % 360 - 180)
    return None if lon.size != wanted.size or apart.min(1).max() > 1e-3 else apart.argmin(1)


def _analysis(case: Case, maps: Maps, same: Maps | None, outcome: Outcome) -> list[Failure]:
    assert maps.std is not None
    water = np.broadcast_to(maps.water, maps.mean.shape)
    holes = int((~np.isfinite(maps.mean) & water).sum())
    spread = int((~(np.isfinite(maps.std) & (maps.std > 0)) & water).sum())
    if holes or spread or not water.any():
        return [Failure("not complete", f"{holes} of {water.sum()} pixels without a value, {spread} without a std")]
    low, high = PLAUSIBLE[case.inputs.truth.units]
    values = maps.mean[water]
    if values.min() < low or values.max() > high:
        return [Failure("not plausible", f"{values.min():.2f} to {values.max():.2f}")]
    if np.isfinite(maps.mean[~water]).any():
        return [Failure("land filled", f"{np.isfinite(maps.mean[~water]).sum()} values off the water")]
    if case.expect is Expect.ANY:
        return []
    wrong = _grid(case, maps)
    if wrong:
        return wrong
    return [*_water(case, maps, outcome), *_near(case, maps), *_like(maps, same, case.expect)]


def _water(case: Case, maps: Maps, outcome: Outcome) -> list[Failure]:
    truth = case.inputs.truth
    wanted, told = truth.water, UNUSED in " ".join(outcome.err.split())
    if wanted is None or (told and case.expect is Expect.EITHER):
        return []
    order = columns(maps.lon, truth.lon)
    wrong = int((maps.water[:, order] != wanted).sum())
    return [Failure("wrong water", f"{wrong} cells: {maps.water.sum()} are water, {wanted.sum()} should be")] * (
        wrong > 0
    )


def _near(case: Case, maps: Maps) -> list[Failure]:
    """Compare with the truth: observed pixels, which are kept, to a rounding; all others to a few kelvin."""
    truth = case.inputs.truth
    mean = maps.mean[..., columns(maps.lon, truth.lon)]
    away = np.abs(mean - truth.field)
    seen = np.isfinite(truth.observed) & np.isfinite(mean)
    limit = COUNT if truth.units == "kelvin" else 1e-3 * np.abs(truth.field)
    kept = float((away <= limit)[seen].mean()) if seen.any() else 1.0
    found = []
    if np.nanmax(np.where(np.isfinite(mean), away, 0)) > AWAY[truth.units]:
        found.append(Failure("wrong values", f"up to {np.nanmax(away):.2f} away from the truth"))
    if kept < (0.5 if case.expect is Expect.EITHER else 1.0):
        found.append(Failure("wrong values", f"{100 * kept:.0f} % of the observations are what was observed"))
    return found


def _like(maps: Maps, same: Maps | None, expect: Expect) -> list[Failure]:
    """Compare with the output of the input without the change."""
    if same is None or expect is not Expect.SAME:
        return []
    order = columns(maps.lon, same.lon)
    for name, ours, theirs in (("values", maps.mean, same.mean), ("std", maps.std, same.std)):
        if ours is None or theirs is None:
            continue
        if order is None or ours.shape != theirs.shape or (maps.days != same.days).any():
            return [Failure("not the same", "another grid or other days")]
        limit = COUNT if name == "values" else 0.0211
        if not np.allclose(ours[..., order], theirs, rtol=1e-3, atol=limit, equal_nan=True):
            apart = np.nanmax(np.abs(ours[..., order] - theirs))
            return [Failure("not the same", f"{name} up to {apart:.3f} apart")]
    return []


def _cube(case: Case, maps: Maps, outcome: Outcome) -> list[Failure]:
    """A prepared store holds what netCDF4 reads, to the last count."""
    truth = case.inputs.truth
    low, high = PLAUSIBLE[truth.units]
    seen = np.isfinite(maps.mean)
    if not seen.any():
        return [Failure("not complete", "not one observation")]
    if maps.mean[seen].min() < low or maps.mean[seen].max() > high:
        return [Failure("not plausible", f"{maps.mean[seen].min():.2f} to {maps.mean[seen].max():.2f}")]
    if case.expect is Expect.ANY:
        return []
    wrong = _grid(case, maps)
    if wrong:
        return wrong
    mean = maps.mean[..., columns(maps.lon, truth.lon)]
    wanted = np.where(truth.water, truth.observed, np.nan) if truth.water is not None else truth.observed
    both = np.isfinite(mean) & np.isfinite(wanted)
    limit = 0.006 if truth.units == "kelvin" else 1e-3
    found = _water(case, maps, outcome)
    if both.any() and np.abs(mean - wanted)[both].max() > limit:
        found.append(Failure("wrong values", f"up to {np.abs(mean - wanted)[both].max():.3f} from what was observed"))
    water = maps.water[:, columns(maps.lon, truth.lon)]
    invented = int((np.isfinite(mean) & ~np.isfinite(wanted) & water).sum())
    lost = int((~np.isfinite(mean) & np.isfinite(wanted)).sum())
    if invented:
        found.append(Failure("wrong values", f"{invented} values where nothing was observed"))
    if lost and (case.expect < Expect.EITHER or "note:" not in outcome.err):
        found.append(Failure("silent loss", f"{lost} of {np.isfinite(wanted).sum()} observations"))
    return found


def _check(case: Case, text: str) -> list[Failure]:
    """The summary says what is there."""
    flat = " ".join(text.split())
    truth = case.inputs.truth
    good = "no problem found" in flat
    found = [] if good or "taken as missing:" in flat else [Failure("no output", "no summary")]
    if case.expect is Expect.ANY or found:
        return found
    if case.expect < Expect.EITHER and not good:
        found.append(Failure("silent loss", flat[flat.find("taken as") :][:300]))
    period = f"{truth.days[0]}:{truth.days[-1]}, {truth.days.size} days"
    grid = f"{truth.lat.size} × {truth.lon.size}"
    found += [Failure("wrong summary", f"not said: {told}") for told in (period, grid) if told not in flat]
    values = re.search(r"values (-?[\d.]+) to (-?[\d.]+), median (-?[\d.]+)", flat)
    if values is None:
        return [*found, Failure("wrong summary", "no values")]
    low, high, median = map(float, values.groups())
    seen = truth.observed[np.isfinite(truth.observed)]
    if low < seen.min() - 0.02 or high > seen.max() + 0.02 or abs(median - np.median(seen)) > 0.5:
        found.append(Failure("wrong summary", f"values {low} to {high}, not {seen.min():.2f} to {seen.max():.2f}"))
    return found


def _within(case: Case, name: str, values: np.ndarray) -> list[Failure]:
    low, high = PLAUSIBLE[case.inputs.truth.units]
    if not values.size or values.min() < low or values.max() > high:
        return [Failure("not plausible", f"{name}: {values.min(initial=0):.3g} to {values.max(initial=0):.3g}")]
    return []


def _climatology(case: Case, path: Path) -> list[Failure]:
    opened = xr.open_zarr(path) if path.suffix == ".zarr" else xr.open_dataset(path)
    values = opened["climatology"].values
    if not np.isfinite(values).any(0).any():
        return [Failure("not complete", "an empty climatology")]
    return _within(case, "climatology", values[np.isfinite(values)])


def _description(case: Case, folder: Path) -> list[Failure]:
    opened = xr.open_dataset(folder / "describe.nc")
    cover = opened["cloud_cover"].values
    means = np.atleast_1d([v.values for n, v in opened.items() if str(n).endswith("_mean") and v.ndim == 0])
    if np.nanmin(cover) < 0 or np.nanmax(cover) > 100 or not np.isfinite(np.asarray(means, float)).all():
        return [Failure("not plausible", "description")]
    return []


def _scores(folder: Path) -> list[Failure]:
    scores = json.loads((folder / "scores.json").read_text())
    numbers = _rmse(scores)
    if not numbers or not all(np.isfinite(n) and 0 <= n < 20 for n in numbers):
        return [Failure("not plausible", f"scores: {numbers[:4]}")]
    return []


def _rmse(tree: Any) -> list[float]:  # noqa: ANN401
    if isinstance(tree, dict):
        own = [tree["rmse"]] if isinstance(tree.get("rmse"), int | float) else []
        return own + [n for value in tree.values() for n in _rmse(value)]
    return [n for value in tree for n in _rmse(value)] if isinstance(tree, list) else []
