"""Quality levels: which retrievals of an image are good enough to be observations."""

from __future__ import annotations

import xarray as xr

from sereno.errors import InputError
from sereno.io.inputs.ancillary import unlike

NAMES = ("quality_level", "qual_sst")


def quality_of(dataset: xr.Dataset, source: str, level: int, *, origin: str) -> int | None:
    """Return the lowest quality level that counts, None where the file has none.

    Raises
    ------
    InputError
        If the quality is in a variable that cannot be applied to the field, unless every level counts.
    """
    name = next((name for name in NAMES if name in dataset.variables), None)
    fault = None if name is None else unlike(dataset[name], dataset[source])
    if fault is not None and level > 0:
        raise InputError(
            f"{origin}: {name} cannot be used: {fault}; mend it, or take every pixel whatever its quality with "
            "`quality_level` 0"
        )
    return level if name is not None and fault is None else None


def good_quality(dataset: xr.Dataset, level: int) -> xr.DataArray | None:
    """Return where the retrieval is of GHRSST quality `level` or better, or None where the file does not say.

    Ocean-colour L3m files count the other way (``qual_sst``, 0 best): 0 represents level 5, 1 for level 4.
    """
    if "quality_level" in dataset:
        return dataset["quality_level"] >= level
    if "qual_sst" in dataset:
        return dataset["qual_sst"] <= 5 - level
    return None
