"""Values that no sea has, or that stand for missing ones without saying so."""

from __future__ import annotations

import numpy as np

from fuzz.sea import Expect, File, Inputs, NotApplicableError, to_float


def _floats(inputs: Inputs, files: list[File]) -> None:
    for var in inputs.fields(files):
        if var.values.dtype.kind != "f":
            to_float(var)


def _first_day(inputs: Inputs, file: File) -> int:
    return inputs.files.index(file) if inputs.daily else 0


def _spoil(inputs: Inputs, rng: np.random.Generator, value: float, *, share: float = 0.1) -> Expect:
    """Put a value, which is not declared, in place of a share of the pixels, observed or not."""
    files = inputs.some(rng)
    _floats(inputs, files)
    for file in files:
        images, first = inputs.images(file), _first_day(inputs, file)
        chosen = rng.random(images.shape) < share
        images[chosen] = value
        inputs.truth.observed[first : first + len(images)][chosen] = np.nan
    return Expect.EITHER


def minus_999(inputs: Inputs, rng: np.random.Generator) -> Expect:
    return _spoil(inputs, rng, float(rng.choice([-999, -9999, -99, -32768, 9999, 32767])))


def default_fill(inputs: Inputs, rng: np.random.Generator) -> Expect:
    return _spoil(inputs, rng, float(rng.choice([9.96921e36, 1e20, 3.4e38, -1e34])))


def infinite(inputs: Inputs, rng: np.random.Generator) -> Expect:
    return _spoil(inputs, rng, float(rng.choice([np.inf, -np.inf])))


def tiny(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Zeros and denormal numbers: for a temperature in °C a cold sea, for chlorophyll none, in kelvin nonsense."""
    _spoil(inputs, rng, float(rng.choice([0.0, -0.0, 1e-40, 1e-20])))
    return Expect.ANY


def one_spoilt_pixel(inputs: Inputs, rng: np.random.Generator) -> Expect:
    file = inputs.files[rng.integers(len(inputs.files))]
    _floats(inputs, [file])
    images = inputs.images(file)
    place = tuple(int(rng.integers(size)) for size in images.shape)
    images[place] = rng.choice([-1e30, np.inf] if inputs.truth.units != "kelvin" else [1e10, 500.0, -500.0, -1e30])
    inputs.truth.observed[_first_day(inputs, file) :][place] = np.nan
    return Expect.EITHER


def spoilt_image(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """One image of noise over ten orders of magnitude; a field that is no temperature has no bounds."""
    if inputs.truth.units != "kelvin":
        raise NotApplicableError
    file = inputs.files[rng.integers(len(inputs.files))]
    _floats(inputs, [file])
    images = inputs.images(file)
    day = int(rng.integers(len(images)))
    images[day] = rng.standard_normal(images[day].shape) * 10.0 ** rng.integers(3, 13, images[day].shape)
    inputs.truth.observed[_first_day(inputs, file) + day] = np.nan
    return Expect.EITHER


def another_scale_for_one_image(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """One image in °C among kelvin, or the reverse."""
    if inputs.truth.units != "kelvin":
        raise NotApplicableError
    file = inputs.files[rng.integers(len(inputs.files))]
    _floats(inputs, [file])
    images = inputs.images(file)
    day = int(rng.integers(len(images)))
    images[day] += -273.15 if np.nanmedian(images[day]) > 200 else 273.15
    return Expect.EITHER


def constant(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """The same value everywhere, in all images or in one: possible, if not likely."""
    for var in inputs.fields(inputs.some(rng)):
        fill = var.attrs.get("_FillValue")
        seen = np.isfinite(var.values) & (var.values != fill)
        var.values[seen] = np.median(var.values[seen]).astype(var.values.dtype)
    return Expect.ANY


def _hide(inputs: Inputs, day: int | None) -> None:
    """Take away all observations of a day, or of all."""
    days = range(len(inputs.truth.days)) if day is None else [day]
    for index in days:
        file = inputs.files[index if inputs.daily else 0]
        inputs.images(file)[0 if inputs.daily else index] = file.variables[inputs.field].attrs["_FillValue"]
        inputs.truth.observed[index] = np.nan


def all_missing(inputs: Inputs, rng: np.random.Generator) -> Expect:
    _hide(inputs, None)
    return Expect.REFUSE


def a_day_all_missing(inputs: Inputs, rng: np.random.Generator) -> Expect:
    _hide(inputs, int(rng.integers(len(inputs.truth.days))))
    return Expect.ACCEPT


def one_day_left(inputs: Inputs, rng: np.random.Generator) -> Expect:
    kept = int(rng.integers(len(inputs.truth.days)))
    for day in range(len(inputs.truth.days)):
        if day != kept:
            _hide(inputs, day)
    return Expect.ANY


def one_pixel_left(inputs: Inputs, rng: np.random.Generator) -> Expect:
    for file in inputs.files:
        images = inputs.images(file)
        kept = images[:, 3, 5].copy()
        images[...] = file.variables[inputs.field].attrs["_FillValue"]
        images[:, 3, 5] = kept
    return Expect.ANY


def hot_pixel(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """A value that a sea may have, but not this one."""
    file = inputs.files[rng.integers(len(inputs.files))]
    _floats(inputs, [file])
    images = inputs.images(file)
    images[0, 3, 5] = np.nanmax(images) + 12.0
    return Expect.ANY


def zero_on_land(inputs: Inputs, rng: np.random.Generator) -> Expect:
    """Land holds 0 °C, as products without a fill value have it."""
    if inputs.truth.units != "kelvin" or inputs.truth.water is None:
        raise NotApplicableError
    _floats(inputs, inputs.files)
    for file in inputs.files:
        images = inputs.images(file)
        images[:, ~inputs.truth.water] = 0.0 if np.nanmedian(images) < 200 else 273.15
    return Expect.EITHER
