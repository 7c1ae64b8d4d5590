"""The wrapper round every method: it takes anomalies off before and puts the climatology back after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import xarray as xr

from sereno.climatology import Climatology, fit_climatology
from sereno.config import RunConfig
from sereno.cube import DIMS, field_of
from sereno.methods import Progress, Reconstructor, State, method_class, silent
from sereno.reconstruct.spread import noise_variance

_PREFIX = "climatology_"
_NOISE_IMAGES = 60
_SMALL_BYTES = 2**31


@dataclass(frozen=True)
class AnomalyReconstructor:
    """A method fitted on anomalies, together with the climatology they are taken from.

    It meets the protocol of `sereno.methods.Reconstructor` itself, on cubes of the field.
    """

    config: RunConfig
    climatology: Climatology
    inner: Reconstructor[Any]
    noise_variance: float = 0.0
    """Variance of the observations' white noise, K², estimated on the training cube."""

    @classmethod
    def fit(
        cls,
        cube: xr.Dataset,
        config: RunConfig,
        *,
        valid: xr.Dataset | None = None,
        seed: int = 0,
        progress: Progress = silent,
        table: xr.DataArray | None = None,
        **training: Any,  # noqa: ANN401
    ) -> Self:
        """Fit the climatology, then the method on the anomalies.

        Parameters
        ----------
        table
            A climatology read from a file, (dayofyear, lat, lon) on the cube's grid.
        **training
            Handed to the method: for networks ``folder``, ``resume`` and ``max_minutes``.
        """
        progress("climatology", 0.0)
        climatology = fit_climatology(cube, config.climatology, table=table)
        noise = _noise_variance(cube)
        progress("climatology", 1.0)
        inner = method_class(config.model.method).fit(
            _in_memory(climatology.anomalies(cube)),
            config.model,
            valid=None if valid is None else _in_memory(climatology.anomalies(valid)),
            seed=seed,
            progress=progress,
            **training,
        )
        return cls(config, climatology, inner, noise)

    @property
    def reach(self) -> int:
        """Days either side that bear on a day: the method's, and those of the recent mean of each."""
        return self.inner.reach + self.config.climatology.recent_days

    def reconstruct(self, cube: xr.Dataset, days: np.ndarray) -> xr.Dataset:
        """Return the analysis of `days` in the field's units, lazily, with ``climatology`` beside the mean."""
        cube = self._around(cube, days)
        # A copy of what is in memory: a method that writes into it must not move its climatology.
        analysis = self.inner.reconstruct(self.climatology.anomalies(cube).copy(deep=True), days)
        baseline = self.climatology.baseline(cube, days).where(cube["water"])
        baseline = baseline.chunk(analysis.chunksizes).astype("float32").transpose(*DIMS)
        mean = (analysis["mean"] + baseline).astype("float32")
        units = {"units": field_of(cube).attrs.get("units", "")}
        analysis = analysis.assign(mean=mean.assign_attrs(units), climatology=baseline.assign_attrs(units))
        analysis["std"].attrs.update(units)
        return analysis.assign(water=cube["water"])

    def _around(self, cube: xr.Dataset, days: np.ndarray) -> xr.Dataset:
        """Cut the cube to what bears on `days`: nothing further away is read or can change the result."""
        reach = np.timedelta64(self.reach, "D")
        chosen = np.asarray(days)
        return cube.sel(time=slice(chosen.min() - reach, chosen.max() + reach))

    def state(self) -> State:
        """Return the method's state with the climatology's fields beside its own."""
        inner = self.inner.state()
        fields = self.climatology.fields.rename({name: _PREFIX + str(name) for name in self.climatology.fields})
        if inner.fields is not None:
            fields = fields.merge(inner.fields)
        climatology = {
            "harmonics": self.climatology.harmonics,
            "trend": self.climatology.trend,
            "recent_days": self.climatology.recent_days,
            "base_period": self.climatology.base_period,
        }
        values = {"method": inner.values, "climatology": climatology, "noise_variance": self.noise_variance}
        return State(values, inner.tensors, fields)

    @classmethod
    def from_state(cls, config: RunConfig, state: State) -> Self:
        """Rebuild from a saved state."""
        assert state.fields is not None
        mine = [name for name in state.fields if str(name).startswith(_PREFIX)]
        fields = state.fields[mine].rename({name: str(name).removeprefix(_PREFIX) for name in mine})
        climatology = Climatology(fields, **state.values["climatology"])
        rest = state.fields.drop_vars(mine)
        inner = State(state.values["method"], state.tensors, rest if rest.data_vars else None)
        fitted = method_class(config.model.method).from_state(config.model, inner)
        return cls(config, climatology, fitted, state.values["noise_variance"])


def _in_memory(cube: xr.Dataset) -> xr.Dataset:
    """Load a small cube once, because tuning and training look at its days in no order; leave a large one lazy."""
    return cube.compute() if cube.nbytes <= _SMALL_BYTES else cube


def _noise_variance(cube: xr.Dataset) -> float:
    """Estimate the noise of the observations on a few dozen images spread over the record."""
    step = max(1, cube.sizes["time"] // _NOISE_IMAGES)
    images = field_of(cube).where(cube["water"]).isel(time=slice(None, None, step))
    return noise_variance(images.values)
