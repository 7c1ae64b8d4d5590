"""Variables next to a field in its file: the error of each observation, a withheld set, a truth."""

from __future__ import annotations

import xarray as xr

from sereno.io.inputs import lexicon


def side_variables(dataset: xr.Dataset, field: str, source: str) -> tuple[dict[str, str], list[str]]:
    """Return the variables to read next to a field, by their names in the cube, and notes on those that are left out.

    Parameters
    ----------
    field
        Name of the field in the cube.
    source
        Its name in the file.
    """
    of_temperature = field == "sst"
    wanted = [(name, name) for name in (f"{field}_withheld", "truth") if name in dataset.variables]
    errors = dict.fromkeys((*(lexicon.ERROR_NAMES if of_temperature else ()), f"{field}_error"))
    wanted += [(f"{field}_error", name) for name in errors if name in dataset.variables]
    chosen: dict[str, str] = {}
    notes = []
    for target, name in wanted:
        if target in chosen or name == source:
            continue
        fault = unlike(dataset[name], dataset[source]) or _other_units(dataset[name], dataset[source])
        if fault is None:
            chosen[target] = name
        else:
            notes.append(f"{name} is left out: {fault}")
    return chosen, notes


def unlike(side: xr.DataArray, field: xr.DataArray) -> str | None:
    """Return why a variable cannot be applied to a field, cell by cell, or None where it can."""
    if side.dtype.kind not in "biuf":
        return f"its type is {side.dtype}, not a number"
    others = [str(dim) for dim in side.dims if dim not in field.dims and side.sizes[dim] > 1]
    lacking = [str(dim) for dim in field.dims if dim not in side.dims and field.sizes[dim] > 1]
    if others or lacking:
        return f"it has dimensions {side.dims}, {field.name} {field.dims}"
    return None


def _other_units(side: xr.DataArray, field: xr.DataArray) -> str | None:
    """Return how the units of a variable differ from a field's, None where they do not or are not stated."""
    if not lexicon.normal_units(side) or not lexicon.normal_units(field):
        return None
    if lexicon.scale_of(side) in ("kelvin", "Celsius") and lexicon.scale_of(field) is not None:
        return None
    if lexicon.normal_units(side) == lexicon.normal_units(field):
        return None
    return f"its units are {side.attrs['units']!r}, those of {field.name} {field.attrs['units']!r}"
