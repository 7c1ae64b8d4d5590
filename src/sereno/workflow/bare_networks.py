"""Networks without a climatology, and the tiles they are trained on: the layout of the thesis, files of Keras.

A bare network has only weights. Climatology and uncertainty are fitted on the first cube that it is used on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr

from sereno.climatology import fit_climatology
from sereno.config import ConvLSTM, RunConfig, parse_config
from sereno.cube import select_period, validate
from sereno.errors import InputError
from sereno.gaps.hiding import visible_part
from sereno.io.inputs.static_maps import climatology_table, require_climatology
from sereno.io.models.keras import read_keras
from sereno.methods import State, method_named
from sereno.progress import Progress, reporter
from sereno.training.archive import Archive
from sereno.training.windows import Tiles, plan_tiles
from sereno.workflow.tile_files import read_tiles, split_tiles, write_tiles


@dataclass(frozen=True, repr=False)
class BareNetwork:
    """A network that was trained on tiles or with Keras, and has neither climatology nor uncertainty.

    `resolve` completes it on a cube, as it fits a method given by name.

    Attributes
    ----------
    config
        Its architecture, and how a cube is converted to anomalies for it.
    state
        Its weights, and ``scale`` (0 where not known) and ``history``.
    origin
        What it was trained on.
    period
        First and last day of its training, as ``A:B``; empty where not known.
    """

    config: RunConfig
    state: State
    origin: str
    period: str = ""

    def __repr__(self) -> str:
        return f"<sereno.BareNetwork {self.config.model.method}: weights from {self.origin}>"


def fit_tiles(
    source: str | Path,
    config: RunConfig,
    *,
    folder: Path | None = None,
    resume: bool = False,
    progress: Progress | bool = False,
) -> BareNetwork:
    """Train a network on a folder of tiles, in the layout of `tiles` and of the thesis.

    Parameters
    ----------
    source
        The folder.
    config
        Of a network, with a window as long as the tiles' sequences. Tile size and mask are taken from the files.
    folder, resume
        As for `fit`.

    Raises
    ------
    InputError
        If the folder holds no tiles, or tiles of several shapes, or tiles that do not fit the configuration.
    """
    tiles, row = read_tiles(source), method_named(config.model.method)
    if not row.trains_on_tiles:
        raise InputError(
            f"{source}: tiles train a network (convlstm or a network of the thesis), not {config.model.method}"
        )
    assert isinstance(config.model, ConvLSTM)
    if tiles.shape[0] != config.model.window:
        raise InputError(
            f"{source}: the tiles have {tiles.shape[0]} days, the network model.window = {config.model.window}; "
            f"set model.window={tiles.shape[0]}"
        )
    if config.train or config.valid:
        raise InputError(f"{source}: tiles are split by their own days; leave train and valid out")
    network = replace(config.model, windows="tiles", tile=tiles.shape[1:], mask="state" if tiles.land else "observed")
    training, validation = split_tiles(tiles, network, seed=config.seed)
    state = row.tile_network().train_on_samples(
        training,
        validation,
        network,
        scale=tiles.scale,
        seed=config.seed,
        folder=folder,
        resume=resume,
        max_minutes=config.max_minutes,
        progress=reporter(progress),
    )
    origin = f"{len(training)} tiles of {source}"
    return BareNetwork(replace(config, model=network), state, origin, tiles.period)


def export_tiles(
    cube: xr.Dataset, config: RunConfig, folder: str | Path, *, progress: Progress | bool = False
) -> tuple[tuple[int, ...], float]:
    """Write training tiles in the layout of the thesis: every tile of every day, the central day wholly hidden.

    Parameters
    ----------
    config
        Of a network: ``window``, ``tile``, ``overlap``, ``smallest_coverage``, ``most_tiles`` say how tiles are cut,
        ``train`` of which days; the climatology is fitted on those days, or read from ``climatology.file``.

    Returns
    -------
    tuple of int, float
        How many tiles, of how many days, rows and columns; and ``max_std_seq``.

    Raises
    ------
    InputError
        If no tile has enough observations, or the target cannot be written.
    """
    assert isinstance(config.model, ConvLSTM)
    validate(cube)
    part = select_period(visible_part(cube), config.train)
    climatology = fit_climatology(part, config.climatology, table=climatology_table(config.climatology, part))
    archive = Archive.of(climatology.anomalies(part))
    network = replace(config.model, windows="tiles", hidden_day_fraction=1.0)
    places = plan_tiles(archive, network, seed=config.seed)
    if not len(places):
        raise InputError(
            f"no tile of {network.tile[0]} × {network.tile[1]} cells shows {network.smallest_coverage:.0%} on the "
            f"central day of {network.window} days; lower the coverage, the tile or the window"
        )
    scale = write_tiles(
        Tiles(archive, network, config.seed, places, shuffle=False), folder, progress=reporter(progress)
    )
    size = np.minimum(network.tile, archive.water.shape).tolist()
    return (len(places), network.window, *size), scale


def import_keras(
    path: str | Path, *, scale: float = 0.0, climatology: str | None = None, seed: int = 0
) -> BareNetwork:
    """Import a network that was trained and saved with Keras.

    Parameters
    ----------
    path
        A ``.keras`` or ``.h5`` file of a network of the thesis.
    scale
        ``max_std_seq`` of its training; with 0, the standard deviation of the anomalies that it is first used on.
    climatology
        File of the climatology that its anomalies were taken from; fitted on the cube where not given.
    """
    if climatology is not None:
        require_climatology(Path(climatology))
    network = read_keras(path)
    model = {"method": "convlstm", "mask": "state", "hidden_day_fraction": 1.0, **network.settings}
    values = {"recent_days": 0} | ({} if climatology is None else {"file": climatology})
    config = parse_config({"model": model, "climatology": values, "seed": seed}, origin=str(path))
    return BareNetwork(config, State({"scale": scale, "history": []}, network.tensors), f"Keras, {Path(path).name}")
