"""The protocol that every method of reconstruction meets, and the table of methods."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from sereno.errors import InputError
from sereno.progress import Progress, silent

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr

METHODS = {
    "climatology": "sereno.reconstruct.climatology:ZeroAnomaly",
    "interpolation": "sereno.reconstruct.interpolation.method:Interpolation",
    "persistence": "sereno.reconstruct.persistence:Persistence",
    "linear": "sereno.reconstruct.linear:Linear",
    "oi": "sereno.reconstruct.oi.method:OptimalInterpolation",
    "oi-grid": "sereno.reconstruct.oi_grid.method:GriddedInterpolation",
    "dineof": "sereno.reconstruct.dineof.method:Dineof",
    "convlstm": "sereno.reconstruct.convlstm:ConvLSTMReconstructor",
    "unet": "sereno.reconstruct.unet.method:UNetReconstructor",
    "convlstm-unet": "sereno.reconstruct.unet.method:UNetReconstructor",
}
"""Name of each method and where its class lives; imported when first used, so that torch is not loaded in vain."""

TRAINED_METHODS = frozenset({"convlstm", "unet", "convlstm-unet"})
"""Networks: their `fit` takes ``folder``, ``resume`` and ``max_minutes`` besides."""
QUICK_METHODS = frozenset(METHODS) - TRAINED_METHODS | {"unet"}
"""Methods that `fill` and `evaluate` can fit on the fly; ``unet`` with the weights of the package as they are."""


@dataclass(frozen=True)
class State:
    """What a fitted method must remember besides its configuration.

    Attributes
    ----------
    values
        Scalars and short lists that JSON can hold.
    tensors
        Network weights by name, saved as safetensors.
    fields
        Maps on the cube's grid and tables, saved as NetCDF.
    """

    values: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, np.ndarray] = field(default_factory=dict)
    fields: xr.Dataset | None = None


ConfigT = TypeVar("ConfigT", contravariant=True)


class Reconstructor(Protocol[ConfigT]):
    """A fitted method. `fit` is the constructor, so that no half-fitted object exists.

    Inside the anomaly wrapper (`sereno.reconstruct.anomaly`) a method meets an *anomaly cube*: the field is
    ``anomaly`` (kelvin, or the field's own unit), NaN where missing, with ``water(lat, lon)`` and
    ``climatology_std(lat, lon)``; seasonal cycle, trend and land never reach it.
    """

    @classmethod
    def fit(
        cls,
        cube: xr.Dataset,
        config: ConfigT,
        *,
        valid: xr.Dataset | None = None,
        seed: int = 0,
        progress: Progress = silent,
    ) -> Self:
        """Train or tune on a cube of the training period; `valid` is a later cube used to select."""
        ...

    @property
    def reach(self) -> int:
        """Days either side of a day that bear on its analysis."""
        ...

    def reconstruct(self, cube: xr.Dataset, days: np.ndarray) -> xr.Dataset:
        """Return the analysis (`mean`, `std`) of `days`, lazily, on the cube's grid.

        Parameters
        ----------
        cube
            Everything that may be seen: days outside `days` serve as context.
        days
            datetime64 days, each of them a day of the cube.
        """
        ...

    def state(self) -> State:
        """Return all that `from_state` needs."""
        ...

    @classmethod
    def from_state(cls, config: ConfigT, state: State) -> Self:
        """Rebuild a fitted method, with results identical to those of the one saved."""
        ...


def method_class(name: str) -> type[Reconstructor[Any]]:
    """Import and return the class of a method.

    Raises
    ------
    InputError
        If there is no method of that name.
    """
    if name not in METHODS:
        raise InputError(f"unknown method {name!r}: choose one of {', '.join(METHODS)}")
    module, _, attribute = METHODS[name].partition(":")
    cls: type[Reconstructor[Any]] = getattr(import_module(module), attribute)
    return cls
