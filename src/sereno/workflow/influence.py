"""Which images influence the analysis of a day, and which days an image influences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sereno.errors import InputError
from sereno.io.stores.checksums import Images

_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True, eq=False)
class Influence:
    """Images within the reach of a method influence a day; in near real time those after it do not.

    Attributes
    ----------
    images
        Checksums of the images of the input.
    reach
        Days on either side that influence a day.
    nrt
        Whether days are filled in near real time.
    """

    images: Images
    reach: int
    nrt: bool

    def around(self, days: np.ndarray) -> np.ndarray:
        """Return a number for all images that influence each day, int64."""
        return self.images.around(days, reach=self.reach, nrt=self.nrt)

    def first(self, days: np.ndarray) -> np.ndarray:
        """Return the first day whose image influences each day, datetime64[D]."""
        return np.asarray(days.astype("datetime64[D]") - self.reach * _DAY)

    def influenced(self, days: np.ndarray, images: np.ndarray) -> np.ndarray:
        """Return those of the days that an image of one of the days `images` influences."""
        apart = (days[:, None] - images[None]) / _DAY
        return np.asarray(days[((apart <= self.reach) & (apart >= (0 if self.nrt else -self.reach))).any(axis=1)])

    def require_input(self, days: np.ndarray, held: np.datetime64, begun: np.datetime64) -> None:
        """Refuse an input that begins with `held`, after what influences a day, unless it always `begun` there."""
        if days.size and held > max(begun, first := self.first(days)[0]):
            raise InputError(
                f"{days[0]} must be filled, on which images from {first} on bear, but the input begins with {held}; "
                "give the files before it as well"
            )
