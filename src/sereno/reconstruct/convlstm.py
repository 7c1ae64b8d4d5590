"""The reference's recurrent network as a method of reconstruction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from sereno.compute.memory import kept_memory
from sereno.config import ConvLSTM
from sereno.errors import InputError
from sereno.grids.tiles import BlendedTile, blend, blended_tiles, sides
from sereno.methods import State
from sereno.nets.onnx_openvino import Input, Portable
from sereno.nets.precision import computing, device, filling_precision
from sereno.nets.thesis import CHANNELS, ThesisNetwork
from sereno.nets.weights import Shapes, checked, shapes_of
from sereno.progress import Progress, silent
from sereno.reconstruct.day_blocks import by_block
from sereno.reconstruct.uncertainty.spread import (
    SPREAD,
    ObservedPixels,
    Spread,
    data_density,
    learned_in,
    noise_variance,
    state_with,
)
from sereno.saved import LARGEST, LEAST, number
from sereno.training.archive import Archive
from sereno.training.encoding import denormalise, encode, land_channel
from sereno.training.result import TrainedNetwork
from sereno.training.samples import Samples
from sereno.training.windows import Drawn, Windows

CALIBRATION_WINDOWS = 64
"""Windows, about, that the spread is learned from."""


@dataclass(frozen=True, eq=False)
class ConvLSTMReconstructor:
    """A trained network with its normalisation and its spread.

    Attributes
    ----------
    config
        What the network was built and trained with.
    network
        The network, in evaluation mode.
    scale
        Standard deviation of the training anomalies, which the network's inputs are divided by.
    spread
        The standard deviation of the error as a function of data density.
    observed
        What an observation of the day itself is worth: the network is trained on hidden pixels alone, so its output
        says little of its own at a pixel that it sees.
    history
        Training and validation loss, in units of `scale` squared, of each epoch.
    """

    config: ConvLSTM
    network: ThesisNetwork
    scale: float
    spread: Spread
    observed: ObservedPixels
    history: list[dict[str, float]]

    @classmethod
    def fit(
        cls,
        cube: xr.Dataset,
        config: ConvLSTM,
        *,
        valid: xr.Dataset | None = None,
        seed: int = 0,
        progress: Progress = silent,
        folder: Path | None = None,
        resume: bool = False,
        max_minutes: float | None = None,
        trained: State | None = None,
    ) -> Self:
        """Train the network, then learn the spread from its residuals on the validation windows.

        Parameters
        ----------
        folder, resume, max_minutes
            Where checkpoints and ``metrics.csv`` are kept, whether to continue from there, and the time that
            training may take: see `sereno.training.train.train`.
        trained
            A network trained elsewhere, as `train_on_samples` returns it: it is taken as it is, and only its spread
            is learned here. Where its scale is not known (0), it is that of the anomalies of `cube`.

        Raises
        ------
        InputError
            If the record is too short or too empty to train and validate on.
        """
        if trained is None:
            from sereno.training.train import train  # with Lightning, for which whoever fills need not wait

            learned = train(
                cube,
                config,
                valid=valid,
                seed=seed,
                folder=folder,
                resume=resume,
                max_minutes=max_minutes,
                progress=progress,
            )
            assert learned.validation is not None
            windows = learned.validation
        else:
            learned = _learned(config, trained)
            learned = learned._replace(scale=learned.scale or Archive.of(cube).spread()[0] or 1.0)
            windows = Drawn(
                Archive.of(cube if valid is None else valid), config, seed, CALIBRATION_WINDOWS, fixed=True
            )
        network = _network(config, learned.weights)
        spread, observed = _fit_uncertainty(cube, network, learned.scale, config, windows)
        return cls(config, network, learned.scale, spread, observed, learned.history)

    @staticmethod
    def train_on_samples(
        training: Samples,
        validation: Samples,
        config: ConvLSTM,
        *,
        scale: float,
        **settings: Any,  # noqa: ANN401
    ) -> State:
        """Train the bare network on samples without a cube; `settings` as for `sereno.training.train.train_on`.

        Returns
        -------
        State
            The weights, and ``scale`` and ``history`` of the training: what `fit` takes as `trained`.
        """
        from sereno.training.train import train_on  # with Lightning, as above

        learned = train_on(training, validation, config, scale=scale, **settings)
        return State({"scale": scale, "history": learned.history}, _tensors(learned.weights))

    @property
    def reach(self) -> int:
        """Days either side that influence a day."""
        return self.config.window // 2

    def reconstruct(self, cube: xr.Dataset, days: np.ndarray) -> xr.Dataset:
        """Return the network's anomalies of `days` and their standard deviation, lazily.

        Where nothing was observed within the window and far around, the analysis falls back on the climatology.
        """
        window, water = self.config.window, cube["water"].values
        climatology_std = cube["climatology_std"].values.astype(np.float32)
        halo = self.config.halo
        tiles = blended_tiles(water.shape, tile=sides(water.shape, tile=self.config.tile, halo=halo), halo=halo)

        def reconstruct_block(values: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            # Each day by itself: a batch would change the last bits with the days that happen to share it.
            with kept_memory():
                mean = np.stack([self._map(values[day : day + window], water, tiles) for day in range(len(block))])
            density = data_density(values, window, water=water)
            std = np.where(density > 0, self.spread.std(density, climatology_std), climatology_std)
            return self.observed.weigh(mean, std, values[window // 2 : window // 2 + len(block)])

        return by_block(cube, days, window=window, reconstruct_block=reconstruct_block)

    def state(self) -> State:
        """Return the weights, the normalisation, the spread and the history of the losses."""
        values = {"scale": self.scale, "history": self.history}
        return state_with(self.spread, self.observed, values=values, tensors=_tensors(self.network.state_dict()))

    @classmethod
    def from_state(cls, config: ConvLSTM, state: State) -> Self:
        """Rebuild the method from its state."""
        learned = _learned(config, state, LEAST)
        network = _network(config, learned.weights)
        return cls(config, network, learned.scale, *learned_in(state), learned.history)

    @staticmethod
    def weights(config: ConvLSTM) -> Shapes:
        """Return the shapes of the network's weights, by the names under which a state holds them."""
        return shapes_of(lambda: ThesisNetwork(config))

    @staticmethod
    def portable(config: ConvLSTM, state: State) -> Portable:
        """Return the network for other programs: normalised maps in, the central day's normalised anomaly out."""
        learned = _learned(config, state)
        maps = Input("maps", ("batch", config.window, CHANNELS, "lat", "lon"))
        about = {"channels": str(CHANNELS), "scale": str(learned.scale), "mask": config.mask}
        return Portable(_network(config, learned.weights).cpu(), (maps,), ("anomaly",), about)

    def _map(self, window: np.ndarray, water: np.ndarray, tiles: list[BlendedTile]) -> np.ndarray:
        """Reconstruct the central day of one window, (window, lat, lon); returns float32 (lat, lon)."""
        pieces = (
            _predict(self.network, window[:, *tile.outer], water[tile.outer], self.config, self.scale)
            for tile in tiles
        )
        return blend(tiles, pieces).astype(np.float32)


def _tensors(weights: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: np.ascontiguousarray(tensor.cpu().numpy()) for name, tensor in weights.items()}


def _learned(config: ConvLSTM, state: State, least: float = 0.0) -> TrainedNetwork:
    """Return what a state stores of the training; its scale is 0 where it is not known."""
    arrays = {name: array for name, array in state.tensors.items() if not name.startswith(SPREAD)}
    weights = checked(arrays, shapes_of(lambda: ThesisNetwork(config)))
    return TrainedNetwork(weights, number(state.values, "scale", least, LARGEST), state.values["history"])


def _network(config: ConvLSTM, weights: dict[str, Tensor]) -> ThesisNetwork:
    """Build the network around given weights, on the graphics card where there is one."""
    with torch.random.fork_rng(devices=[]):
        network = ThesisNetwork(config)
    network.load_state_dict(weights)
    return network.eval().to(device())


def _predict(
    network: ThesisNetwork, window: np.ndarray, water: np.ndarray, config: ConvLSTM, scale: float
) -> np.ndarray:
    """Return the anomaly of the central day, float32 (lat, lon); zero where the window is empty."""
    if not np.isfinite(window).any():
        return np.zeros(window.shape[1:], dtype=np.float32)
    inputs, mean = encode(window, scale=scale, water=land_channel(config, water))
    with computing(filling_precision(config)):
        output = network(torch.from_numpy(inputs)[None].to(device()))[0, 0].cpu().numpy()
    return denormalise(output, mean=mean, scale=scale)


def _fit_uncertainty(
    cube: xr.Dataset, network: ThesisNetwork, scale: float, config: ConvLSTM, windows: Windows
) -> tuple[Spread, ObservedPixels]:
    """Learn from validation windows: the spread at their hidden pixels, what is seen at the others."""
    climatology_std = cube["climatology_std"].values
    columns, departures, truths = [], [], []
    for window in islice(windows.of_epoch(0), 0, None, max(1, len(windows) // CALIBRATION_WINDOWS)):
        density = data_density(window.values, len(window.values), water=window.water)[0]
        mean = _predict(network, window.values, window.water, config, scale)
        squared_error = np.square(window.truth - mean)
        columns.append([part[window.hidden] for part in (density, squared_error, climatology_std[window.crop])])
        departure = window.values[len(window.values) // 2] - mean
        departures.append(departure[np.isfinite(departure)])
        truths.append(window.truth)
    if not columns:
        raise InputError("the days given have too few observations to learn the network's uncertainty from")
    densities, squared_errors, stds = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    noise = noise_variance(np.stack(truths))
    spread = Spread.fit(densities, squared_errors, scale=stds, noise_variance=noise)
    return spread, ObservedPixels.fit(np.concatenate(departures), noise)
