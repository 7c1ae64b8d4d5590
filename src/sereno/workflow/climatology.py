"""Make the daily climatology of a long record."""

from __future__ import annotations

from pathlib import Path

import xarray as xr

from sereno.climatology import daily_climatology
from sereno.config import ClimatologyConfig
from sereno.cube import validate
from sereno.errors import InputError
from sereno.gaps.hiding import visible_part
from sereno.io.outputs.atomic import require_place, write_dataset
from sereno.io.outputs.climatology import describe_climatology
from sereno.progress import Progress, reporter


def make_climatology(
    cube: xr.Dataset,
    path: str | Path,
    config: ClimatologyConfig | None = None,
    *,
    progress: Progress | bool = False,
) -> xr.Dataset:
    """Make the daily climatology of a long record and write it to a NetCDF file or Zarr store.

    Parameters
    ----------
    cube
        A valid cube; only its field is used.
    path
        Where to write; `sereno.io.inputs.static_maps.read_climatology` and ``climatology.file`` of a run read it.
    config
        The kind of climatology, its settings and its base period; the defaults where not given.

    Returns
    -------
    xr.Dataset
        What was written, see `sereno.climatology.daily_climatology`; ``attrs["comment"]`` says what it lacks.

    Raises
    ------
    InputError
        If the base period reaches beyond the cube or is too short, or nothing can be written there.

    Examples
    --------
    >>> import sereno, tempfile
    >>> from sereno.synthetic import TwinSeaConfig, twin_sea
    >>> cube = twin_sea(TwinSeaConfig(days=400, shape=(16, 16)))
    >>> path = tempfile.mkdtemp() + "/climatology.nc"
    >>> made = sereno.make_climatology(cube, path)
    >>> made.sizes["dayofyear"]
    366
    """
    progress, config = reporter(progress), config or ClimatologyConfig()
    if not isinstance(config, ClimatologyConfig):
        raise InputError(f"`config`: give a sereno.ClimatologyConfig (got {config!r:.60})")
    validate(cube)
    require_place(path)
    progress("climatology", 0.0)
    made = daily_climatology(visible_part(cube), config)
    progress("climatology", 1.0)
    product = describe_climatology(made, cube, config)
    write_dataset(product, path, progress=progress)
    return product
