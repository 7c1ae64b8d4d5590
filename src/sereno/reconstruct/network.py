"""The reference's recurrent network as a method of reconstruction."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from sereno.config import ConvLSTM
from sereno.features import HiddenWindow, denormalise, encode
from sereno.methods import Progress, State, silent
from sereno.nets.thesis import ThesisNetwork
from sereno.reconstruct.blocks import by_block
from sereno.reconstruct.spread import ObservedPixels, Spread, noise_variance, support
from sereno.tiling import Tile, blend, plan
from sereno.training import train

_SPREAD = "spread."


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
        The standard deviation of the error as a function of support.
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
    ) -> Self:
        """Train the network, then learn the spread from its residuals on the validation windows.

        Parameters
        ----------
        folder, resume, max_minutes
            Where checkpoints and ``metrics.csv`` are kept, whether to continue from there, and the time that
            training may take: see `sereno.training.train`.

        Raises
        ------
        InputError
            If the record is too short or too empty to train and validate on.
        """
        trained = train(
            cube,
            config,
            valid=valid,
            seed=seed,
            folder=folder,
            resume=resume,
            max_minutes=max_minutes,
            progress=progress,
        )
        network = _network(config, trained.weights)
        spread, observed = _fit_uncertainty(cube, network, trained.scale, trained.validation)
        return cls(config, network, trained.scale, spread, observed, trained.history)

    @property
    def reach(self) -> int:
        """Days either side that bear on a day."""
        return self.config.window // 2

    def reconstruct(self, cube: xr.Dataset, days: np.ndarray) -> xr.Dataset:
        """Return the network's anomalies of `days` and their standard deviation, lazily.

        Where nothing was seen within the window and far around, the analysis falls back on the climatology.
        """
        window, water = self.config.window, cube["water"].values
        climatology_std = cube["climatology_std"].values.astype(np.float32)
        tiles = plan(water.shape, tile=self._tile(water.shape), halo=self.config.halo)

        def reconstruct_block(values: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            # Each day by itself: a batch would change the last bits with the days that happen to share it.
            mean = np.stack([self._map(values[day : day + window], tiles) for day in range(len(block))])
            supported = support(values, window, water=water)
            std = np.where(supported > 0, self.spread.std(supported, climatology_std), climatology_std)
            return self.observed.weigh(mean, std, values[window // 2 : window // 2 + len(block)])

        return by_block(cube, days, window=window, reconstruct_block=reconstruct_block)

    def state(self) -> State:
        """Return the weights, the normalisation, the spread and the history of the losses."""
        tensors = {
            name: np.ascontiguousarray(tensor.cpu().numpy()) for name, tensor in self.network.state_dict().items()
        }
        tensors |= {f"{_SPREAD}knots": self.spread.knots, f"{_SPREAD}variance": self.spread.variance}
        values = {"scale": self.scale, "observed": asdict(self.observed), "history": self.history}
        return State(values, tensors)

    @classmethod
    def from_state(cls, config: ConvLSTM, state: State) -> Self:
        """Rebuild the method from its state."""
        weights = {
            name: torch.from_numpy(array) for name, array in state.tensors.items() if not name.startswith(_SPREAD)
        }
        spread = Spread(state.tensors[f"{_SPREAD}knots"], state.tensors[f"{_SPREAD}variance"])
        scale, observed, history = (state.values[name] for name in ("scale", "observed", "history"))
        return cls(config, _network(config, weights), scale, spread, ObservedPixels(**observed), history)

    def _tile(self, grid: tuple[int, int]) -> tuple[int, int]:
        """Return the size of the tiles; an axis no longer than a tile with its halo is not cut."""
        reach = 2 * self.config.halo
        rows, columns = (
            size if size <= tile + reach else tile for size, tile in zip(grid, self.config.tile, strict=True)
        )
        return rows, columns

    def _map(self, window: np.ndarray, tiles: list[Tile]) -> np.ndarray:
        """Reconstruct the central day of one window, (window, lat, lon); returns float32 (lat, lon)."""
        pieces = (_predict(self.network, self.scale, window[:, *tile.outer]) for tile in tiles)
        return blend(tiles, pieces).astype(np.float32)


def _network(config: ConvLSTM, weights: dict[str, Tensor]) -> ThesisNetwork:
    """Build the network around given weights, on the graphics card where there is one."""
    with torch.random.fork_rng(devices=[]):
        network = ThesisNetwork(config)
    network.load_state_dict(weights)
    return network.eval().to("cuda" if torch.cuda.is_available() else "cpu")


def _predict(network: ThesisNetwork, scale: float, window: np.ndarray) -> np.ndarray:
    """Return the anomaly of the central day, float32 (lat, lon); zero where the window is empty."""
    inputs, mean = encode(window, scale=scale)
    if not inputs[:, 1].any():
        return np.zeros(window.shape[1:], dtype=np.float32)
    device = next(network.parameters()).device
    with torch.inference_mode():
        output = network(torch.from_numpy(inputs)[None].to(device))[0, 0].cpu().numpy()
    return denormalise(output, mean=mean, scale=scale)


def _fit_uncertainty(
    cube: xr.Dataset, network: ThesisNetwork, scale: float, windows: list[HiddenWindow]
) -> tuple[Spread, ObservedPixels]:
    """Learn from the validation windows: the spread at their hidden pixels, what is seen at the others."""
    water, climatology_std = cube["water"].values, cube["climatology_std"].values
    columns, departures = [], []
    for window in windows:
        supported = support(window.values, len(window.values), water=water[window.crop])[0]
        mean = _predict(network, scale, window.values)
        squared_error = np.square(window.truth - mean)
        columns.append([part[window.hidden] for part in (supported, squared_error, climatology_std[window.crop])])
        departure = window.values[len(window.values) // 2] - mean
        departures.append(departure[np.isfinite(departure)])
    supports, squared_errors, stds = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    noise = noise_variance(np.stack([window.truth for window in windows]))
    spread = Spread.fit(supports, squared_errors, scale=stds, noise_variance=noise)
    return spread, ObservedPixels.fit(np.concatenate(departures), noise)
