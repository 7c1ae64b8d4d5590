"""The coast that comes with the package: land polygons for figures, land masks for grids.

Natural Earth land, scale 1:10m, public domain; see `data/README.md`. Lakes count as land, the Caspian as water.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

import numpy as np
import shapely
from scipy.ndimage import distance_transform_edt

_ANTIMERIDIAN = 180


def land_mask(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Return which cells of a regular grid have their centre on land.

    Parameters
    ----------
    lat, lon
        Cell centres, degrees north and degrees east, 1-D and ascending; `lon` may run on beyond 180.

    Returns
    -------
    numpy.ndarray
        Boolean, shape (lat, lon), true on land.

    Notes
    -----
    Even–odd rule along each row: a point is inside where an odd number of boundary crossings lie to its west. All
    edges of the world are crossed with all rows at once, so the cost does not grow with the number of columns.

    Examples
    --------
    >>> land_mask(np.array([41.9]), np.array([9.1, 11.0, 12.5]))  # Corsica, the Tyrrhenian Sea, Rome
    array([[ True, False,  True]])
    """
    lat, lon = np.asarray(lat, dtype=float), np.asarray(lon, dtype=float)
    if lon.size and lon[-1] > _ANTIMERIDIAN:
        within = np.searchsorted(lon, _ANTIMERIDIAN, side="right")
        return np.concatenate([land_mask(lat, lon[:within]), land_mask(lat, lon[within:] - 360)], axis=1)
    points, ring_offsets, _ = _rings()
    is_edge = np.ones(len(points) - 1, dtype=bool)
    is_edge[ring_offsets[1:-1] - 1] = False  # from the last point of a ring to the first of the next
    start, end = points[:-1][is_edge], points[1:][is_edge]

    # Rows with south <= latitude < north: half-open, so that a vertex is crossed once.
    first_row = np.searchsorted(lat, np.minimum(start[:, 1], end[:, 1]), side="left")
    n_rows = np.searchsorted(lat, np.maximum(start[:, 1], end[:, 1]), side="left") - first_row
    edge = np.repeat(np.arange(len(start)), n_rows)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(n_rows) - n_rows, n_rows) + first_row[edge]
    (x0, y0), (x1, y1) = start[edge].T, end[edge].T
    crossing = x0 + (lat[row] - y0) / (y1 - y0) * (x1 - x0)
    column = np.searchsorted(lon, crossing, side="right")

    width = lon.size + 1  # the last column takes the crossings east of the grid
    crossings = np.bincount(row * width + column, minlength=lat.size * width).reshape(lat.size, width)
    inside: np.ndarray = np.cumsum(crossings[:, :-1], axis=1) % 2 == 1
    return inside


@lru_cache(maxsize=16)
def land_polygons(west: float, south: float, east: float, north: float) -> shapely.MultiPolygon:
    """Return the land within a box, ready for ``ax.add_geometries([land_polygons(...)], crs=PlateCarree())``.

    Parameters
    ----------
    west, south, east, north
        Bounds in degrees; `west` within −180 to 180, `east` beyond 180 where the box lies across it.

    Returns
    -------
    shapely.MultiPolygon
        Empty in the open sea.
    """
    if east > _ANTIMERIDIAN:
        beyond = shapely.transform(
            land_polygons(-180.0, south, east - 360, north), lambda xy: xy + np.array([360, 0])
        )
        return shapely.MultiPolygon([*land_polygons(west, south, 180.0, north).geoms, *beyond.geoms])
    polygons = _polygons()
    reached = polygons[shapely.STRtree(polygons).query(shapely.box(west, south, east, north))]
    # On a grid of some 200 m a few shores touch themselves: mended after clipping, when they are small.
    clipped = shapely.union_all(shapely.make_valid(shapely.clip_by_rect(reached, west, south, east, north)))
    parts = shapely.get_parts(clipped)
    return shapely.MultiPolygon(list(parts[shapely.area(parts) > 0]))


@lru_cache(maxsize=1)
def _rings() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return boundary points (n, 2) as longitude and latitude, offsets of rings, offsets of polygons in rings."""
    with files("sereno").joinpath("data", "land.npz").open("rb") as stream, np.load(stream) as land:
        points = np.cumsum(land["steps"].astype(np.int64), axis=1).T * land["scale"] + land["translate"]
        return points, land["ring_offsets"], land["polygon_offsets"]


@lru_cache(maxsize=1)
def _polygons() -> np.ndarray:
    points, ring_offsets, polygon_offsets = _rings()
    polygons: np.ndarray = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, points, (ring_offsets, polygon_offsets)
    )
    return polygons


def distance_to(cells: np.ndarray, size: tuple[float, float]) -> np.ndarray:
    """Return the distance of every cell to the nearest true one, km, (lat, lon); infinite where there is none.

    Parameters
    ----------
    cells
        bool (lat, lon).
    size
        Height and width of a cell in the middle of the grid, km, as of `sereno.grids.cells.cell_size`.

    Notes
    -----
    Distances are straight, from centre to centre, across land as well, with one width of cell for the whole grid: on
    a grid from 30 to 46° N they are up to a tenth off along the parallels. The date line is taken for an edge.
    """
    if not cells.any():
        return np.full(cells.shape, np.inf)
    return np.asarray(distance_transform_edt(~cells, sampling=size))
