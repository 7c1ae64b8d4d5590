"""Maps as small images for a page: the frame that all maps of a sea share, images of cells, colour bars.

A map is stored as it is, a cell a pixel, with a palette: the page scales it and lays coast and graticule over it. So
hundreds of maps take the place of a few figures, and are drawn in the time of one.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import shapely
import xarray as xr
from matplotlib.colors import Colormap
from matplotlib.ticker import MaxNLocator
from PIL import Image

from sereno.grids.coast import land_polygons
from sereno.report.figures import Limits, bounds

_LEVELS = 127
"""Colours of a map, an odd number: an error of zero has one."""
_EMPTY = _LEVELS
_WIDE, _NARROW, _TALLEST = 520.0, 260.0, 420.0
"""Units of a frame's map: as wide, for a wide sea and for any other, unless it would be taller than the last."""
_EDGE, _BOTTOM, _RIGHT, _LETTER = 8.0, 24.0, 20.0, 8.0
"""Around it: an edge, and what labels need below, to the right and, a letter, to the left."""
_FLAT = 0.6
"""Height over width below which a sea is wide: fewer maps go into a row."""
_LAND = (184, 184, 184)


def frame(water: xr.DataArray) -> dict[str, Any]:
    """Return the geometry that all maps share: sizes, the coast as a path, the graticule, land as an image."""
    west, south, east, north = bounds(water)
    ratio = (north - south) / ((east - west) * float(np.cos(np.radians((south + north) / 2))))
    flat = ratio < _FLAT
    width = min(_WIDE if flat else _NARROW, _TALLEST / ratio)
    height = width * ratio
    parallels = [(y, degrees(y, "NS")) for y in _ticks(south, north, 4)]
    left = _EDGE + _LETTER * max((len(label) for _, label in parallels), default=0)
    scale, corner = np.array([width / (east - west), -height / (north - south)]), np.array([left, _EDGE])
    dry = np.where(water.values, _EMPTY, 0).astype(np.uint8)
    return {
        "width": round(width, 1),
        "height": round(height, 1),
        "left": round(left, 1),
        "top": _EDGE,
        "box": f"0 0 {width + left + _RIGHT:.0f} {height + _EDGE + _BOTTOM:.0f}",
        "coast": _coast((west, south, east, north), scale, corner),
        "land": _png(dry, [*_LAND] * (_LEVELS + 1)),
        "meridians": [
            (round(left + (x - west) * scale[0], 1), degrees(x - 360 if x > 180 else x, "EW"))
            for x in _ticks(west, east, 6 if flat else 4)
        ],
        "parallels": [(round(_EDGE + (y - north) * scale[1], 1), label) for y, label in parallels],
        "flat": flat,
    }


def _coast(box: tuple[float, float, float, float], scale: np.ndarray, corner: np.ndarray) -> str:
    """Return the coast within west, south, east, north as an SVG path, no finer than a map shows."""
    west, _, east, north = box
    land = shapely.simplify(land_polygons(*box), (east - west) / 900)
    rings = [ring for part in shapely.get_parts(land) for ring in (part.exterior, *part.interiors)]
    lines = [(shapely.get_coordinates(ring) - (west, north)) * scale + corner for ring in rings]
    return "".join("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in line[:-1]) + "z" for line in lines)


def degrees(angle: float, sides: str) -> str:
    """Return a longitude or latitude as maps write it.

    Examples
    --------
    >>> degrees(-5.5, "EW"), degrees(36, "NS"), degrees(0, "EW")
    ('5.5°W', '36°N', '0°')
    """
    return f"{abs(angle):g}°{'' if angle == 0 else sides[int(angle < 0)]}"


def image(values: xr.DataArray, limits: Limits, colours: Colormap) -> str:
    """Return a map as a data URI, north up, transparent where it has no value."""
    low, high = limits
    array = values.values
    with np.errstate(invalid="ignore"):
        share = np.clip((array - low) / (high - low if high > low else 1.0), 0, 1)
    level = np.where(np.isfinite(array), np.rint(share * (_LEVELS - 1)), _EMPTY).astype(np.uint8)
    return _png(level, _palette(colours))


def ramp(colours: Colormap) -> str:
    """Return a colour bar without its numbers as a data URI."""
    return _png(np.arange(_LEVELS, dtype=np.uint8)[None], _palette(colours))


def bar(limits: Limits) -> list[tuple[float, str]]:
    """Return the ticks of a colour bar: where each stands, %, and its number."""
    low, high = limits
    ticks = _ticks(low, high, 5)
    step = float(np.diff(ticks)[0]) if len(ticks) > 1 else 1.0
    decimals = max(0, -int(np.floor(np.log10(step) + 1e-9))) if step > 0 else 0
    decimals += abs(round(step, decimals) - step) > 1e-9 * step  # 0.25 needs a digit more than 0.2
    return [(round(100 * (t - low) / (high - low), 2), f"{t:z.{decimals}f}".replace("-", "−")) for t in ticks]


def data_uri(content: bytes, kind: str) -> str:
    """Return a file's content as an address that needs no file."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _palette(colours: Colormap) -> list[int]:
    """Return red, green, blue of each level and of what is empty, one after the other."""
    rgb = colours(np.append(np.linspace(0, 1, _LEVELS), 0))[:, :3]
    return [int(value) for value in np.rint(255 * rgb).astype(int).ravel()]


def _png(level: np.ndarray, palette: list[int]) -> str:
    """Return an image of palette indices, (lat, lon) with south first, as a data URI."""
    picture = Image.fromarray(np.ascontiguousarray(level[::-1]))
    picture.putpalette(palette)
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=True, transparency=_EMPTY)
    return data_uri(stream.getvalue(), "image/png")


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Return round numbers between two limits."""
    ticks = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [float(round(tick, 9)) for tick in ticks if low <= tick <= high]
