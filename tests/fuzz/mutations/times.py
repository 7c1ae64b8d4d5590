"""Times: units, calendars, gaps, doubles, dates that no satellite has seen."""

from __future__ import annotations

from copy import deepcopy

import numpy as np

from fuzz.sea import Expect, File, Inputs, NotApplicableError, Var

KEYS = ("time_coverage_start", "start_time", "start_date")


def _times(inputs: Inputs, files: list[File] | None = None) -> list[Var]:
    if inputs.time is None:
        raise NotApplicableError
    return [file.variables[inputs.time] for file in files or inputs.files]


def _instants(inputs: Inputs, hours: float = 12.0) -> list[np.ndarray]:
    """Return the seconds since 1970 of the images of each file."""
    seconds = inputs.truth.days.astype("datetime64[s]").astype("int64") + round(3600 * hours)
    return [seconds[i : i + 1] for i in range(len(seconds))] if inputs.daily else [seconds]


def _retell(
    inputs: Inputs, unit: str, seconds: float, since: str = "1970-01-01", *, dtype: str = "float64"
) -> Expect:
    for var, instants in zip(_times(inputs), _instants(inputs), strict=True):
        var.values = (instants / seconds).astype(dtype)
        var.attrs = {"units": f"{unit} since {since}", "standard_name": "time"}
    return Expect.ACCEPT


def other_units(inputs: Inputs, rng: np.random.Generator) -> Expect:
    unit, seconds = [
        ("seconds", 1.0), ("minutes", 60.0), ("hours", 3600.0), ("days", 86400.0), ("milliseconds", 1e-3),
        ("hour", 3600.0), ("day", 86400.0), ("sec", 1.0), ("h", 3600.0), ("d", 86400.0),
    ][rng.integers(10)]  # fmt: skip
    since = ["1970-01-01", "1970-1-1", "1970-01-01 00:00:0.0", "1970-01-01T00:00:00Z", "1970-01-01 00:00:00 UTC"]
    return _retell(inputs, unit, seconds, str(rng.choice(since)))


def units_in_capitals(inputs: Inputs, rng: np.random.Generator) -> Expect:
    _retell(inputs, "Days", 86400.0)
    return Expect.EITHER


def absolute(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Dates as numbers, as CDO and others write them: 20190601.5."""
    for var, instants in zip(_times(inputs), _instants(inputs), strict=True):
        days = instants.astype("datetime64[s]").astype("datetime64[D]")
        var.values = np.array([float(str(day).replace("-", "")) + 0.5 for day in days])
        var.attrs = {"units": str(rng.choice(["day as %Y%m%d.%f", "YYYYMMDD", "yyyymmdd.f"]))}
    return Expect.EITHER


def no_units(inputs: Inputs, rng: np.random.Generator) -> Expect:
    _retell(inputs, "days", 86400.0)
    for var in _times(inputs):
        var.attrs.pop("units")
    return Expect.EITHER


def senseless_units(inputs: Inputs, rng: np.random.Generator) -> Expect:
    senseless = ["yesterday", "days since ", "days since never", "since", "fortnights since 1970-01-01", "m s-1",
                 "days since 0000-00-00", "days since 99999-01-01", "months since 1970-01-01"]  # fmt: skip
    for var in _times(inputs):
        var.attrs["units"] = str(rng.choice(senseless))
    return Expect.EITHER


def another_calendar(inputs: Inputs, rng: np.random.Generator) -> Expect:
    name = str(
        rng.choice(["standard", "proleptic_gregorian", "GREGORIAN", "noleap", "360_day", "julian", "none", "x"])
    )
    for var in _times(inputs):
        var.attrs["calendar"] = name
    return Expect.ACCEPT if name in ("standard", "proleptic_gregorian") else Expect.EITHER


def missing_time(inputs: Inputs, rng: np.random.Generator) -> Expect:
    files = inputs.some(rng)
    for var in _times(inputs, files):
        var.values = var.values.astype("float64")
        var.values[rng.integers(var.values.size)] = np.nan
    return Expect.REFUSE


def filled_time(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """A time that is its own fill value."""
    for var in _times(inputs, inputs.some(rng)):
        var.values = var.values.astype("float64")
        var.attrs["_FillValue"] = np.float64(-999.0)
        var.values[0] = -999.0
    return Expect.EITHER


def endless_time(inputs: Inputs, rng: np.random.Generator) -> Expect:
    for var in _times(inputs, inputs.some(rng)):
        var.values = var.values.astype("float64")
        var.values[-1] = rng.choice([np.inf, -np.inf, 9.96921e36, 1e300, -1e18])
    return Expect.REFUSE


def far_date(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """One image two centuries off, or thousands of years."""
    file = inputs.files[rng.integers(len(inputs.files))]
    (var,) = _times(inputs, [file])
    unit = {"s": 1, "h": 3600, "d": 86400}[var.attrs["units"][0]]
    var.values = var.values.astype("float64")
    var.values[-1] += rng.choice([200, -150, 5000, 20]) * 365.25 * 86400 / unit
    return Expect.REFUSE


def doubled_day(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Two images of one day."""
    if inputs.daily:
        copy = deepcopy(inputs.files[rng.integers(len(inputs.files))])
        copy.name = f"copy_{copy.name}"
        inputs.files.append(copy)
    else:
        (var,) = _times(inputs)
        var.values[1] = var.values[0]
        inputs.truth.observed[1] = np.nan
    return Expect.EITHER


def gap(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """A day without an image is an empty day."""
    day = int(rng.integers(1, len(inputs.truth.days) - 1))
    inputs.truth.observed[day] = np.nan
    if inputs.daily:
        del inputs.files[day]
        return Expect.ACCEPT
    for var in inputs.files[0].variables.values():
        if inputs.time in var.dims:
            var.values = np.delete(var.values, day, var.dims.index(inputs.time))
    return Expect.ACCEPT


def shuffled(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Images in any order."""
    if inputs.daily:
        rng.shuffle(inputs.files)
        return Expect.SAME
    order = rng.permutation(len(inputs.truth.days))
    for var in inputs.files[0].variables.values():
        if inputs.time in var.dims:
            var.values = np.take(var.values, order, var.dims.index(inputs.time))
    return Expect.ACCEPT


def a_rounding_before_midnight(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Midnight in days as floats, rounded down by one step."""
    for var, instants in zip(_times(inputs), _instants(inputs, hours=0.0), strict=True):
        var.values = np.nextafter(instants / 86400, 0)
        var.attrs = {"units": "days since 1970-01-01", "standard_name": "time"}
    return Expect.ACCEPT


def late_in_the_day(inputs: Inputs, rng: np.random.Generator) -> Expect:
    for var, instants in zip(_times(inputs), _instants(inputs, hours=23.9997), strict=True):
        var.values = instants.astype("int64")
        var.attrs = {"units": "seconds since 1970-01-01", "standard_name": "time"}
    return Expect.ACCEPT


def no_time(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """No time coordinate: days cannot be known, but for what a global attribute tells."""
    _times(inputs)
    for file in inputs.files:
        del file.variables[inputs.time]
    told = inputs.daily and any(key in inputs.files[0].attrs for key in KEYS)
    return Expect.ACCEPT if told else Expect.REFUSE


def time_by_another_name(inputs: Inputs, rng: np.random.Generator) -> Expect:
    _times(inputs)
    for file in inputs.files:
        var = file.variables.pop(inputs.time)
        var.attrs["standard_name"] = "time"
        file.variables[str(rng.choice(["date", "ocean_time", "t"]))] = var
    return Expect.EITHER


def start_attribute(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """What dates a file without a time: nonsense, a number, half of a date."""
    if inputs.time is not None:
        raise NotApplicableError
    told = ["yesterday", "00:00:00 UTC", "", "2019", 2019001000000000, 20190601.0, "NaT", "now", [1, 2], "13/13/2019"]
    value = told[rng.integers(len(told))]
    file = inputs.files[rng.integers(len(inputs.files))]
    file.attrs["time_coverage_start"] = value
    inputs.bad.add(inputs.files.index(file))
    return Expect.EITHER


def start_with_offset(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Noon in Sydney is two in the morning of the same day."""
    if inputs.time is not None:
        raise NotApplicableError
    for file, day in zip(inputs.files, inputs.truth.days, strict=True):
        file.attrs["time_coverage_start"] = f"{day}T12:00:00+10:00"
    return Expect.ACCEPT


def start_of_the_day_before(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Five in the morning in Sydney is the evening before by UTC."""
    if inputs.time is not None:
        raise NotApplicableError
    for file, day in zip(inputs.files, inputs.truth.days, strict=True):
        file.attrs["time_coverage_start"] = f"{day + 1}T05:00:00+10:00"
    return Expect.EITHER


def no_start_attribute(inputs: Inputs, rng: np.random.Generator) -> Expect:
    if inputs.time is not None:
        raise NotApplicableError
    for file in inputs.some(rng):
        for key in KEYS:
            file.attrs.pop(key, None)
    return Expect.REFUSE
