"""The wrapper round every method: it takes anomalies off before and puts the climatology back after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import numpy as np
import xarray as xr

from sereno.climatology import Climatology, fit_climatology
from sereno.config import RunConfig
from sereno.cube import DIMS, description, field_of, is_never_negative
from sereno.errors import InputError
from sereno.methods import Reconstructor, State, method_class
from sereno.progress import Progress, silent
from sereno.reconstruct.uncertainty.calibration import REACH, Calibration
from sereno.reconstruct.uncertainty.collecting import collect
from sereno.reconstruct.uncertainty.far_from_data import Remote
from sereno.reconstruct.uncertainty.observation_error import ObservationError
from sereno.saved import number

_PREFIX = "climatology_"
_PARTS = ("mean", "std", "source", "data_age")
"""What the analysis of a method holds."""
_SMALL_BYTES = 2**31
_FEW_BYTES = 2**28
"""A cube of up to this many bytes is held next to its anomalies while a method is fitted."""


@dataclass(frozen=True)
class AnomalyReconstructor:
    """A method fitted on anomalies, together with the climatology they are taken from.

    It meets the protocol of `sereno.methods.Reconstructor` itself, on cubes of the field.
    """

    config: RunConfig
    climatology: Climatology
    inner: Reconstructor[Any]
    noise_variance: float = 0.0
    """Variance of the observations' errors, the field's unit squared, estimated on the training cube."""
    calibration: Calibration = field(default_factory=Calibration)
    """What corrects the standard deviation of the method where later days are visible."""
    near_real_time: Calibration | None = None
    """The same where they are not; None of a model that an earlier version made."""

    @classmethod
    def fit(
        cls,
        cube: xr.Dataset,
        config: RunConfig,
        *,
        valid: xr.Dataset | None = None,
        seed: int = 0,
        nrt: bool | None = None,
        progress: Progress = silent,
        table: xr.DataArray | None = None,
        method: type[Reconstructor[Any]] | None = None,
        **training: Any,  # noqa: ANN401
    ) -> Self:
        """Fit the climatology, then the method on the anomalies, and calibrate its standard deviation.

        The calibration is learned on `valid` where it is given, from another draw of withheld observations than the
        method's own.

        Parameters
        ----------
        nrt
            The mode that it is to be used in alone; both where it is not given.
        table
            A climatology read from a file, (dayofyear, lat, lon) on the cube's grid.
        method
            The method's class, if no table has it.
        **training
            Passed to the method: for networks ``folder``, ``resume`` and ``max_minutes``.
        """
        # Climatology, tuning and calibration go through the days over and over: read the files once.
        cube = _in_memory(cube, _FEW_BYTES)
        valid = None if valid is None else _in_memory(valid, _FEW_BYTES)
        progress("climatology", 0.0)
        climatology = fit_climatology(cube, config.climatology, table=table)
        progress("climatology", 1.0)
        inner = (method or method_class(config.model.method)).fit(
            _in_memory(climatology.anomalies(cube)),
            config.model,
            valid=None if valid is None else _in_memory(climatology.anomalies(valid)),
            seed=seed,
            progress=progress,
            **training,
        )
        fitted = cls(config, climatology, inner)
        if valid is not None:
            return fitted.calibrated(valid, seed=seed, nrt=nrt, progress=progress)
        return fitted.calibrated(
            cube,
            seed=seed,
            nrt=nrt,
            refit=lambda part: fit_climatology(part, config.climatology, table=table),
            progress=progress,
        )

    def calibrated(
        self,
        cube: xr.Dataset,
        *,
        seed: int = 0,
        nrt: bool | None = None,
        refit: Callable[[xr.Dataset], Climatology] | None = None,
        progress: Progress = silent,
    ) -> Self:
        """Return the same method with its standard deviation calibrated on withheld observations of a cube.

        Parameters
        ----------
        nrt
            The mode that it is to be used in alone, which halves the work; both where it is not given.
        refit
            Fits the climatology of a cube; to be given where that of the method was fitted on `cube`.
        """
        error = ObservationError.estimate(_in_memory(cube))
        days = self.config.calibration_days
        by_mode = collect(
            self.inner, self.climatology, cube, error, days=days, seed=seed, nrt=nrt, refit=refit, progress=progress
        )
        remote = Remote.fit(cube, self.climatology)
        modes = (False, True) if nrt is None else (nrt, nrt)
        delayed, near = (Calibration.fit(by_mode.get(mode), error, remote) for mode in modes)
        return replace(self, noise_variance=error.variance, calibration=delayed, near_real_time=near)

    @property
    def reach(self) -> int:
        """Days either side that influence a day: by method and calibration, and by the basin-mean anomaly."""
        return max(self.inner.reach, REACH) + self.config.climatology.recent_days

    def reconstruct(self, cube: xr.Dataset, days: np.ndarray, *, nrt: bool = False) -> xr.Dataset:
        """Return the analysis of `days` in the field's units, lazily, with ``climatology`` next to the mean.

        In near real time, of a cube that ends with the day, the standard deviation is the one calibrated for that.

        The cells of `cube` are those that the method was fitted on, but their coordinates may be rounded in another
        way: arithmetic on labels would drop them. The analysis has those of `cube`.
        """
        axes = {dim: cube[dim] for dim in ("lat", "lon")}
        cube = self._around(cube, days).assign_coords({dim: self.climatology.fields[dim].values for dim in axes})
        anomalies = self.climatology.anomalies(cube)
        # A copy of what is in memory: a method that writes into it must not move its climatology.
        analysis = self.inner.reconstruct(anomalies.copy(deep=True), days)
        if missing := [name for name in _PARTS if name not in analysis]:
            raise InputError(
                f"method {self.config.model.method!r}: its analysis has no {', '.join(missing)}; "
                "sereno.reconstruct.day_blocks.by_block makes one that has all"
            )
        calibration = self.near_real_time if nrt and self.near_real_time is not None else self.calibration
        std = calibration.std(anomalies, analysis)
        baseline = self.climatology.baseline(cube, days).where(cube["water"])
        baseline = baseline.chunk(analysis.chunksizes).astype("float32").transpose(*DIMS)
        mean = (analysis["mean"] + baseline).astype("float32")
        if is_never_negative(cube):
            mean = mean.clip(min=0)
        units = {"units": field_of(cube).attrs.get("units", "")}
        named = {"mean": mean, "std": std, "climatology": baseline}
        analysis = analysis.assign({name: values.assign_attrs(units) for name, values in named.items()})
        analysis["mean"].attrs |= description(cube)
        return analysis.assign(water=cube["water"]).assign_coords(axes)

    def _around(self, cube: xr.Dataset, days: np.ndarray) -> xr.Dataset:
        """Cut the cube to what influences `days`: nothing further away is read or can change the result."""
        reach = np.timedelta64(self.reach, "D")
        chosen = np.asarray(days)
        return cube.sel(time=slice(chosen.min() - reach, chosen.max() + reach))

    def state(self) -> State:
        """Return the method's state with the climatology's fields next to its own."""
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
        values = {
            "method": inner.values,
            "climatology": climatology,
            "noise_variance": self.noise_variance,
            "calibration": asdict(self.calibration),
            **({} if self.near_real_time is None else {"near_real_time": asdict(self.near_real_time)}),
        }
        return State(values, inner.tensors, fields)

    @classmethod
    def from_state(cls, config: RunConfig, state: State, *, method: type[Reconstructor[Any]] | None = None) -> Self:
        """Rebuild from a saved state; `method` is the method's class, if no table has it."""
        if state.fields is None:
            raise ValueError("its climatology is missing")
        mine = [name for name in state.fields if str(name).startswith(_PREFIX)]
        fields = state.fields[mine].rename({name: str(name).removeprefix(_PREFIX) for name in mine})
        climatology = Climatology.from_saved(fields, state.values["climatology"])
        rest = state.fields.drop_vars(mine)
        inner = State(state.values["method"], state.tensors, rest if rest.data_vars else None)
        fitted = (method or method_class(config.model.method)).from_state(config.model, inner)
        # Earlier models have no calibration, or none for near real time.
        calibration = Calibration.from_values(state.values.get("calibration", {}))
        near = state.values.get("near_real_time")
        near = None if near is None else Calibration.from_values(near)
        return cls(config, climatology, fitted, number(state.values, "noise_variance", 0), calibration, near)


def _in_memory(cube: xr.Dataset, most: int = _SMALL_BYTES) -> xr.Dataset:
    """Load a small cube once, because tuning and training look at its days in no order; leave a large one lazy."""
    return cube.compute() if cube.nbytes <= most else cube
