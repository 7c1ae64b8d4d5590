"""Writing an analysis as NetCDF, Zarr or daily files in the layout of GHRSST."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from sereno.errors import InputError
from sereno.io.outputs.atomic import atomic_files, refuse_folder, require_place, write_dataset
from sereno.io.outputs.level4 import PARTS, identifier, level4
from sereno.io.outputs.provenance import Product
from sereno.progress import Progress, reporter, silent


def write_analysis(
    analysis: xr.Dataset,
    path: str | Path,
    *,
    product: Product | None = None,
    packed: bool = True,
    progress: Progress | bool = False,
) -> list[Path]:
    """Write an analysis, with a few blocks of days in memory at a time. A file that is not complete is never left.

    Parameters
    ----------
    analysis
        ``mean`` and ``std`` (time, lat, lon), NaN on land; ``source`` int8 (0 land, 1 observed, 2 filled, 3 beyond
        support); ``data_age``, days since the last observation, NaN where there is none; ``water`` bool (lat, lon).
        Other variables are left out. ``attrs["field"]`` names the field, ``sst`` where it says nothing;
        ``mean.attrs["units"]`` its unit.
    path
        ``OUT.nc``, ``OUT.zarr``, or a folder, which gets one file a day with a name in the style of GHRSST.
    product
        What the attributes of the files say; where not given, what `sereno.fill` recorded in the attributes of the
        analysis: the model, its configuration, and the input.
    packed
        Store temperatures as 16-bit counts of 0.01 K (GDS 2.1); otherwise as float32, exactly.
    progress
        True for a bar, or a function of the stage ``"write"`` and the fraction done.

    Returns
    -------
    list of Path
        The files or the store written.

    Raises
    ------
    InputError
        If a variable is missing, the target cannot be written, or a value on water is not finite, is impossible for
        the field, or has no positive standard deviation (`sereno.io.outputs.final_checks.guarded`).

    Examples
    --------
    >>> import sereno, tempfile, xarray
    >>> from sereno.synthetic import TwinSeaConfig, twin_sea
    >>> cube = twin_sea(TwinSeaConfig(days=40, shape=(24, 32)))
    >>> analysis = sereno.fill(cube, "climatology", days="2019-01-20")
    >>> [path] = sereno.write_analysis(analysis, tempfile.mkdtemp() + "/analysis.nc")
    >>> with xarray.open_dataset(path) as written:
    ...     sorted(written)[:3], written.attrs["sereno_config"] == analysis.attrs["sereno_config"]
    (['analysed_sst', 'analysis_error', 'data_age'], True)
    """
    product, path, progress = product or Product.of(analysis), Path(path), reporter(progress)
    missing = [name for name in PARTS if name not in analysis]
    if missing:
        raise InputError(f"{path}: the analysis has no {', '.join(missing)}")
    if (np.diff(analysis["time"].values.astype("datetime64[D]")).astype(int) <= 0).any():
        raise InputError(f"{path}: the days of the analysis do not ascend, or a day comes twice; sort them")
    analysis = analysis[list(PARTS)]  # or a climatology next to them would be computed for nothing
    require_place_for_analysis(path)
    if path.suffix in (".nc", ".zarr"):
        dataset, encoding = level4(analysis, product, packed, output=path)
        return [write_dataset(dataset, path, encoding=encoding, progress=progress)]
    with atomic_files(path) as folder:
        files = write_days(analysis, folder, output=path, product=product, packed=packed, progress=progress)
    return [path / file.name for file in files]


def require_place_for_analysis(path: Path) -> None:
    """Raise an InputError, before any work is done, if `write_analysis` could not write there."""
    if path.suffix in (".nc", ".zarr"):
        require_place(path)
    elif path.suffix and not path.is_dir():
        raise InputError(f"{path}: write to a name in .nc or .zarr, or to a folder for daily files")
    elif path.name in ("", ".."):  # what stands next to it until it is complete is named after it
        raise InputError(f"{path}: give the folder of daily files by its own name, such as ../maps")
    else:
        refuse_folder(path)
        foreign = sorted(file.name for file in path.glob("*.nc") if "-SERENO-L4" not in file.name)
        if foreign:
            raise InputError(f"{path}: holds {foreign[0]}, which is no analysis; choose a folder of its own")


def day_file(folder: Path, analysis: xr.Dataset, product: Product, day: np.datetime64) -> Path:
    """Return the path of the file of a day."""
    return folder / f"{identifier(analysis, product, day)}.nc"


def write_days(
    analysis: xr.Dataset, folder: Path, *, output: Path, product: Product, packed: bool, progress: Progress = silent
) -> list[Path]:
    """Write one file a day into an existing folder; each is atomic, and other files of the folder are not changed.

    `output` is their final place, for messages.
    """
    total = analysis.sizes["time"]
    block = max(analysis["mean"].chunksizes.get("time", (1,)))
    paths = []
    progress("write", 0.0)
    for first in range(0, total, block):
        days = analysis.isel(time=slice(first, first + block)).compute(scheduler="threads")
        for position in range(days.sizes["time"]):
            day = days.isel(time=[position])
            dataset, encoding = level4(day, product, packed, output=output)
            paths.append(
                write_dataset(dataset, day_file(folder, day, product, day["time"].values[0]), encoding=encoding)
            )
        progress("write", len(paths) / total)
    return paths
