"""A method of one's own: the mean of what each cell showed within the window, drawn towards the climatology."""

from dataclasses import dataclass

import numpy as np

from sereno.methods import State
from sereno.reconstruct.day_blocks import by_block


@dataclass(frozen=True)
class Settings:
    """What a run file may give under ``[model]``, and `sereno.fit` as keywords."""

    method: str = "window-mean"
    window: int = 15  # days, odd
    prior: float = 2.0  # observations that the climatology counts for


@dataclass(frozen=True)
class WindowMean:
    """sereno hands over anomalies and calibrates the standard deviation: a method needs neither seasons nor land."""

    config: Settings
    settings = Settings

    @classmethod
    def fit(cls, cube, config, *, valid=None, seed=0, progress=None):
        """Learn what the method needs from a cube of the training period: here, nothing."""
        return cls(config)

    @property
    def reach(self):
        """Days before and after a day that influence it."""
        return self.config.window // 2

    def reconstruct(self, cube, days):
        """Return the analysis of some days, lazily."""
        spread = cube["climatology_std"].values.astype(np.float32)

        def block(values, days):  # values (days + window - 1, lat, lon), NaN where missing
            parts = np.lib.stride_tricks.sliding_window_view(values, self.config.window, axis=0)
            number = np.isfinite(parts).sum(-1) + self.config.prior
            return np.nansum(parts, -1) / number, spread * np.sqrt(self.config.prior / number)

        return by_block(cube, days, window=self.config.window, reconstruct_block=block)

    def state(self):
        """Return what `from_state` needs in addition to the settings."""
        return State()

    @classmethod
    def from_state(cls, config, state):
        """Rebuild the method from a saved model."""
        return cls(config)
