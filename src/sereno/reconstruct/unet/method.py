"""The corrected first guess as a method of reconstruction."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Self

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from sereno.compute.threads import workers
from sereno.config import GriddedInterpolation, UNet
from sereno.methods import State
from sereno.nets.alldays import SCALARS as SCALARS_OF_ALL_DAYS
from sereno.nets.alldays import AllDays
from sereno.nets.corrector import SCALARS, Corrector, Mixture, corrector
from sereno.nets.engines import Engine, engine_for, with_openvino, with_torch
from sereno.nets.onnx_openvino import Input, Portable, examples
from sereno.nets.precision import filling_precision
from sereno.nets.weights import Shapes, checked, shapes_of
from sereno.progress import Progress, silent
from sereno.reconstruct.day_blocks import by_block
from sereno.reconstruct.oi_grid.regions import RUN, Parts, Region, runs
from sereno.reconstruct.oi_grid.solver import Solver
from sereno.reconstruct.oi_grid.tuning import measure
from sereno.reconstruct.unet.answers import Answers, Window
from sereno.reconstruct.unet.cache import Kept
from sereno.reconstruct.unet.day_windows import Placed, days_solved, margin, placed
from sereno.reconstruct.unet.ensemble import packaged, train_members
from sereno.reconstruct.unet.first_guess import FirstGuess
from sereno.reconstruct.unet.following import followed_guess
from sereno.training.archive import split


@dataclass(frozen=True, eq=False)
class UNetReconstructor:
    """A first guess and the networks that correct it.

    Attributes
    ----------
    config
        What the networks were built and trained with.
    guess
        The first guess, its scales measured on the training cube.
    networks
        One for each member.
    history
        Losses of the epochs of each member, if it was trained here.
    followed
        The first guess of images that are carried along the flow; None where the water is not followed.
    """

    config: UNet
    guess: FirstGuess
    networks: tuple[Corrector | AllDays, ...]
    history: list[dict[str, float]]
    followed: FirstGuess | None = None
    _engines: dict[str, Engine] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def fit(
        cls,
        cube: xr.Dataset,
        config: UNet,
        *,
        valid: xr.Dataset | None = None,
        seed: int = 0,
        progress: Progress = silent,
        folder: Path | None = None,
        resume: bool = False,
        max_minutes: float | None = None,
    ) -> Self:
        """Measure the scales of the first guess, then train the networks as the configuration says.

        Parameters
        ----------
        folder, resume, max_minutes
            Where checkpoints, first guess and samples are kept, whether to continue from there, and the time that
            training may take: see `sereno.training.train.train_on`.

        Raises
        ------
        InputError
            If the record is too short or too empty to train and validate on.
        """

        def measured() -> FirstGuess:
            settings = GriddedInterpolation(window=config.window, steps=config.tuning_steps)
            records = [cube] if valid is None else [cube, valid]
            covariance, typical, _ = measure(records, Region.of(cube), settings, progress=progress)
            return FirstGuess(tuple(covariance.terms()), covariance.noise, typical)

        if config.weights != "fresh":
            packaged(config)  # refused, if it must be, before the minutes of the tuning
        if config.weights != "packaged":
            split(cube, config, valid=valid)  # and so is a record too short
        history: list[dict[str, float]] = []
        if config.weights == "packaged":
            guess, weights = measured(), [packaged(config)]
        else:
            kept = Kept.of(folder, resume, config, cube, valid, seed)
            guess = kept.guess(measured)
            weights, history = train_members(
                cube, valid, config, guess, kept=kept, seed=seed, max_minutes=max_minutes, progress=progress
            )
        networks = tuple(_network(config, w) for w in weights)
        made = cls(config, guess, networks, history)
        if not (config.follow and Mixture(networks).estimates_flow):
            return made
        records = [cube] if valid is None else [cube, valid]
        followed = followed_guess(records, Region.of(cube), made._answers("torch"))
        return replace(made, followed=followed)

    @property
    def reach(self) -> int:
        """Days either side that influence a day."""
        return self.config.window // 2 + margin(self.config)

    def reconstruct(self, cube: xr.Dataset, days: np.ndarray) -> xr.Dataset:
        """Return the corrected anomalies of `days` and their standard deviation, lazily."""
        region, window = Region.of(cube), self.config.window
        parts = Parts[list[Solver]](region)
        kind = engine_for(self.config, region.water.size)
        lock = Lock()

        def correct(
            values: np.ndarray, block: np.ndarray, error: np.ndarray | None = None
        ) -> tuple[np.ndarray, np.ndarray]:
            def work(here: Region, solvers: list[Solver], crop: tuple[slice, slice]) -> np.ndarray:
                mean_and_std = np.zeros((2, len(block), *here.water.shape), np.float32)

                def fill(part: Placed) -> None:
                    context = values[part.context, *crop]
                    stated = None if error is None else error[part.context, *crop]
                    guess = self.guess.analyse(solvers[0], context, here, stated)
                    for around, which in part.each_window():
                        at, slots = part.at[which], part.slots[which]
                        centre = block[at[0]] + np.timedelta64(window // 2 - int(slots[0]), "D")
                        shown = Window(here, around, centre)
                        maps, flow = answers.of_window(context, guess, shown, slots)
                        if self.followed is not None and flow is not None:
                            carried = [
                                answers.of_followed_day(solvers[1], context, stated, flow, shown, int(slot))
                                for slot in slots
                            ]
                            maps = (maps + np.stack(carried, 1)) / 2
                        mean_and_std[:, at] = maps

                list(pool.map(fill, of_days))
                return mean_and_std

            observed = np.isfinite(values).any((1, 2))
            of_days = [part for run in runs(block, window=window) for part in placed(run, observed, self.config)]
            # Threads share the windows: torch keeps to a core in each. More blocks would but add to the memory.
            with lock, workers() as pool:
                answers = self._answers(kind)

                def make(here: Region) -> list[Solver]:
                    guesses = [self.guess, *([] if self.followed is None else [self.followed])]
                    return [pool.submit(guess.solver, here, days_solved(self.config)).result() for guess in guesses]

                mean, std = parts.analyse(len(block), make=make, work=work)
            return mean, std

        return by_block(
            cube,
            days,
            window=window,
            margin=margin(self.config),
            reconstruct_block=correct,
            together=RUN,
            with_error=True,
        )

    def _answers(self, kind: str) -> Answers:
        """Return the networks as they are run, with their first guesses."""
        return Answers(self.config, self._engine(kind), self.guess, self.followed)

    def _engine(self, kind: str) -> Engine:
        """Return what runs the networks, made once."""
        if kind not in self._engines:
            network, dtype = Mixture(self.networks).eval(), filling_precision(self.config)
            if kind == "torch":
                self._engines[kind] = with_torch(network, dtype)
            else:
                self._engines[kind] = with_openvino(network, dtype, examples(_inputs(self.config)))
        return self._engines[kind]

    @staticmethod
    def weights(config: UNet) -> Shapes:
        """Return the shapes of the weights of all members, by the names under which a state holds them."""
        one = shapes_of(lambda: corrector(config))
        return {f"{member}.{name}": shape for member in range(config.members) for name, shape in one.items()}

    @staticmethod
    def portable(config: UNet, state: State | None) -> Portable:
        """Return the networks for other programs, those of the package without a state."""
        networks = [_network(config, packaged(config))] if state is None else _networks(config, state)
        about = {"network": config.network, "unit": "climatological standard deviations"}
        mixture = Mixture(networks).eval()
        outputs = ("anomaly", "std", *(["flow"] if mixture.estimates_flow else []))
        return Portable(mixture, _inputs(config), outputs, about)

    def state(self) -> State:
        """Return the scales of the first guess, the weights, and the history of the losses."""
        values = {"guess": self.guess.values(), "history": self.history}
        if self.followed is not None:
            values["followed"] = self.followed.values()
        tensors = {
            f"{number}.{name}": np.ascontiguousarray(tensor.cpu().numpy())
            for number, network in enumerate(self.networks)
            for name, tensor in network.state_dict().items()
        }
        return State(values, tensors)

    @classmethod
    def from_state(cls, config: UNet, state: State) -> Self:
        """Rebuild the method from its state."""
        guess = FirstGuess.from_values(state.values["guess"])
        of_followed = state.values.get("followed")
        followed = None if of_followed is None else FirstGuess.from_values(of_followed)
        return cls(config, guess, tuple(_networks(config, state)), state.values["history"], followed)


def _inputs(config: UNet) -> tuple[Input, ...]:
    """Return what the networks take."""
    days, cells = ("batch", config.window, "lat", "lon"), ("batch", "lat", "lon")
    return (
        Input("values", days, gaps=True),
        Input("guess", days),
        Input("water", cells, mask=True),
        Input("spread", cells),
        Input("told", ("batch", SCALARS if config.network == "central-day" else SCALARS_OF_ALL_DAYS)),
    )


def _networks(config: UNet, state: State) -> list[Corrector | AllDays]:
    """Build the networks of all members from their state."""
    weights = checked(state.tensors, UNetReconstructor.weights(config))
    parts: list[dict[str, Tensor]] = [{} for _ in range(config.members)]
    for name, weight in weights.items():
        member, _, part = name.partition(".")
        parts[int(member)][part] = weight
    return [_network(config, each) for each in parts]


def _network(config: UNet, weights: dict[str, Tensor]) -> Corrector | AllDays:
    """Build a network around given weights."""
    with torch.random.fork_rng(devices=[]):
        network = corrector(config)
    network.load_state_dict(weights)
    return network.eval()
