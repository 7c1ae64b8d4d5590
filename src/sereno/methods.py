"""The protocols that methods of reconstruction meet, and the table of methods: a row says what a method can do."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar, cast

from sereno.errors import InputError, reason_of
from sereno.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.metadata import EntryPoints
    from pathlib import Path

    import numpy as np
    import xarray as xr

GROUP = "sereno.methods"
"""Group of entry points by which a package registers methods of its own: name and class."""


@dataclass(frozen=True)
class State:
    """What a fitted method must store in addition to its configuration.

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

    A method of your own also has the attribute ``settings``: the frozen dataclass of its settings, of which
    ``method`` is its name and ``window`` the days within which an observation counts as support.
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
        """Days before and after a day that influence its analysis."""
        ...

    def reconstruct(self, cube: xr.Dataset, days: np.ndarray) -> xr.Dataset:
        """Return the analysis (`mean`, `std`, `source`, `data_age`) of `days`, lazily, on the cube's grid.

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


class Network(Reconstructor[ConfigT], Protocol[ConfigT]):
    """A method that trains a neural network: what it has in addition."""

    @classmethod
    def fit(
        cls,
        cube: xr.Dataset,
        config: ConfigT,
        *,
        valid: xr.Dataset | None = None,
        seed: int = 0,
        progress: Progress = silent,
        folder: Path | None = None,
        resume: bool = False,
        max_minutes: float | None = None,
        **trained: Any,  # noqa: ANN401
    ) -> Self:
        """Train, with checkpoints in `folder`; resume an earlier training there; end after this many minutes."""
        ...

    @staticmethod
    def weights(config: Any) -> Mapping[str, tuple[int, ...]]:  # noqa: ANN401
        """Return the shapes of the weights, by the names under which a state holds them."""
        ...

    @staticmethod
    def portable(config: Any, state: State | None) -> Any:  # noqa: ANN401
        """Return the network as `sereno.nets.onnx_openvino.Portable`, for other programs."""
        ...


class TileNetwork(Network[ConfigT], Protocol[ConfigT]):
    """A network that can also be trained without a cube, on samples cut beforehand."""

    @staticmethod
    def train_on_samples(training: Any, validation: Any, config: Any, *, scale: float, **settings: Any) -> State:  # noqa: ANN401
        """Train on samples, and return what `fit` takes as ``trained``."""
        ...


@dataclass(frozen=True)
class Method:
    """A row of the table of methods.

    Attributes
    ----------
    name
        As ``-m`` and ``model.method`` give it.
    home
        Where its class lives, ``module:Class``, imported when first used, so that torch is loaded where it is needed;
        or the class itself.
    is_network
        Whether it meets the protocol `Network`: its training takes checkpoints and a time limit, and its network can
        be exported, or saved without climatology and uncertainty.
    has_packaged_weights
        Whether the package holds weights for it, with which it needs no training.
    has_members
        Whether it can train several networks and average them.
    trains_on_tiles
        Whether it meets the protocol `TileNetwork`.
    learns_likelihood
        Whether its loss is a likelihood, not a squared error.
    own_settings
        The dataclass of the settings of a method of your own; None of one of the package.
    """

    name: str
    home: str | type
    is_network: bool = False
    has_packaged_weights: bool = False
    has_members: bool = False
    trains_on_tiles: bool = False
    learns_likelihood: bool = False
    own_settings: type | None = None

    @property
    def needs_training(self) -> bool:
        """Whether it has to be trained, for minutes to hours, before it can fill."""
        return self.is_network and not self.has_packaged_weights

    def load(self) -> type[Reconstructor[Any]]:
        """Import and return the class."""
        if isinstance(self.home, type):
            return self.home
        module, _, attribute = self.home.partition(":")
        return cast("type[Reconstructor[Any]]", getattr(import_module(module), attribute))

    def network(self) -> type[Network[Any]]:
        """Import and return the class of a network."""
        assert self.is_network
        return cast("type[Network[Any]]", self.load())

    def tile_network(self) -> type[TileNetwork[Any]]:
        """Import and return the class of a network that can be trained on tiles."""
        assert self.trains_on_tiles
        return cast("type[TileNetwork[Any]]", self.load())


_ROWS = (
    Method("climatology", "sereno.reconstruct.climatology:ZeroAnomaly"),
    Method("interpolation", "sereno.reconstruct.interpolation.method:Interpolation"),
    Method("persistence", "sereno.reconstruct.persistence:Persistence"),
    Method("linear", "sereno.reconstruct.linear:Linear"),
    Method("oi", "sereno.reconstruct.oi.method:OptimalInterpolation"),
    Method("oi-grid", "sereno.reconstruct.oi_grid.method:GriddedInterpolation"),
    Method("dineof", "sereno.reconstruct.dineof.method:Dineof"),
    Method("convlstm", "sereno.reconstruct.convlstm:ConvLSTMReconstructor", is_network=True, trains_on_tiles=True),
    Method(
        "unet",
        "sereno.reconstruct.unet.method:UNetReconstructor",
        is_network=True,
        has_packaged_weights=True,
        has_members=True,
        learns_likelihood=True,
    ),
    Method(
        "convlstm-unet",
        "sereno.reconstruct.unet.method:UNetReconstructor",
        is_network=True,
        has_members=True,
        learns_likelihood=True,
    ),
)
METHODS = {row.name: row for row in _ROWS}
"""The methods of the package by name."""


def method_named(name: str) -> Method:
    """Return the row of a method of the package, or of one that another package registered.

    Raises
    ------
    InputError
        If there is no method of that name, or what is registered is none.
    """
    row = METHODS.get(name) or registered(name)
    if row is None:
        raise InputError(f"unknown method {name!r}: choose one of {', '.join([*METHODS, *registered_names()])}")
    return row


def method_class(name: str) -> type[Reconstructor[Any]]:
    """Import and return the class of a method by its name; see `method_named`."""
    return method_named(name).load()


def registered(name: str) -> Method | None:
    """Return the row of a method that another package registered by an entry point; None where there is none."""
    for point in _entry_points():
        if point.name == name:
            origin = (
                f"method {name!r}, registered by {point.dist.name if point.dist else 'a package'} as {point.value}"
            )
            try:
                own = point.load()
            except Exception as error:
                raise InputError(f"{origin}: cannot be imported: {reason_of(error)}") from error
            row = own_method(own, origin=origin)
            if row.name != name:
                raise InputError(f"{origin}: its settings call it {row.name!r}; give both the same name")
            return row
    return None


def registered_names() -> list[str]:
    """Return the names of the methods that other packages registered."""
    return sorted({point.name for point in _entry_points()} - METHODS.keys())


def own_method(own: type, *, origin: str = "") -> Method:
    """Return the row of a class that is a method of your own.

    Raises
    ------
    InputError
        If the class does not meet the protocol `Reconstructor`, or its settings are no dataclass with ``method`` and
        ``window``.
    """
    origin = origin or f"the class {getattr(own, '__qualname__', own)!s}"
    needed = ("settings", "fit", "reach", "reconstruct", "state", "from_state")
    if missing := [name for name in needed if not hasattr(own, name)]:
        raise InputError(f"{origin}: is no method: it has no {', '.join(missing)}; see sereno.methods.Reconstructor")
    settings: Any = cast("Any", own).settings
    if not (isinstance(settings, type) and dataclasses.is_dataclass(settings)):
        raise InputError(f"{origin}: its settings must be a dataclass (they are {settings!r})")
    defaults = {one.name: one.default for one in dataclasses.fields(settings)}
    if not isinstance(defaults.get("method"), str) or not isinstance(defaults.get("window"), int):
        raise InputError(f"{origin}: its settings need 'method', a name, and 'window', days, both with a default")
    name = str(defaults["method"])
    if name in METHODS:
        raise InputError(f"{origin}: is called {name!r}, as a method of sereno is; choose another name")
    return Method(name, own, own_settings=settings)


def _entry_points() -> EntryPoints:
    from importlib.metadata import entry_points  # takes longer to import than all else here

    return entry_points(group=GROUP)
