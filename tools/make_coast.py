"""Make the shipped coast, `src/sereno/data/land.npz`, from Natural Earth land 1:10m in TopoJSON.

Usage: ``python tools/make_coast.py land-10m.json``, with the file from the npm package ``world-atlas`` 2.0.2.

TopoJSON (https://github.com/topojson/topojson-specification) stores shared boundary lines, *arcs*, as integer steps
on a grid; the rings of each polygon list the arcs they are made of, reversed where the number is negative. The
rings are put together once, here, cut at the antimeridian, and kept as integer steps, which compress well.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import shapely
from shapely import affinity

TARGET = Path(__file__).parents[1] / "src" / "sereno" / "data" / "land.npz"


def ring_of(numbers: list[int], arcs: list[np.ndarray]) -> np.ndarray:
    """Join arcs end to start into a closed ring of grid positions, shape (points, 2)."""
    parts = [arcs[number] if number >= 0 else arcs[~number][::-1] for number in numbers]
    return np.concatenate([parts[0], *(part[1:] for part in parts[1:])])


def cut_at_antimeridian(rings: list[np.ndarray], *, period: int, pole: int) -> list[list[np.ndarray]]:
    """Return the polygons, each a list of rings, that one polygon makes on a flat map.

    A shore that leaves the map in the east and comes back in the west is unwrapped, closed through the south pole
    where it goes round the world (Antarctica), and cut into the parts that fall on the map.
    """
    shore, *holes = rings
    if np.abs(np.diff(shore[:, 0])).max() < period / 2:
        return [rings]
    unwrapped = np.stack([np.unwrap(shore[:, 0], period=period), shore[:, 1]], axis=1)
    first, last = unwrapped[0, 0], unwrapped[-1, 0]
    if first != last:
        unwrapped = np.concatenate([unwrapped, [[last, pole], [first, pole], unwrapped[0]]])
    whole = shapely.make_valid(shapely.Polygon(unwrapped))
    lowest, highest = unwrapped[:, 1].min(), unwrapped[:, 1].max()
    parts = []
    for turn in (-1, 0, 1):
        on_map = shapely.intersection(whole, shapely.box(turn * period, lowest, (turn + 1) * period, highest))
        on_map = shapely.set_precision(affinity.translate(on_map, -turn * period), grid_size=1)
        parts += [part for part in shapely.get_parts(on_map) if part.area > 0]
    for hole in map(shapely.Polygon, holes):
        parts = [shapely.difference(shapely.make_valid(part), hole) for part in parts]
    return [
        [np.rint(ring.coords).astype(np.int64) for ring in (part.exterior, *part.interiors)]
        for part in shapely.get_parts(parts)
        if part.geom_type == "Polygon"
    ]


def main(source: str) -> None:
    """Read the TopoJSON, write the ragged arrays and say how large they are."""
    topology = json.loads(Path(source).read_text())
    scale, translate = (np.array(topology["transform"][name]) for name in ("scale", "translate"))
    period, pole = round(360 / scale[0]), round((-90 - translate[1]) / scale[1])
    arcs = [np.cumsum(np.array(arc, dtype=np.int64), axis=0) for arc in topology["arcs"]]
    polygons = [
        part
        for shape in topology["objects"]["land"]["geometries"]
        for polygon in ([shape["arcs"]] if shape["type"] == "Polygon" else shape["arcs"])
        for part in cut_at_antimeridian([ring_of(numbers, arcs) for numbers in polygon], period=period, pole=pole)
    ]
    rings = [ring for polygon in polygons for ring in polygon]
    positions = np.concatenate(rings)
    np.savez_compressed(
        TARGET,
        steps=np.diff(positions, axis=0, prepend=np.zeros((1, 2), dtype=np.int64)).astype(np.int32).T,
        ring_offsets=np.cumsum([0, *map(len, rings)]).astype(np.int32),
        polygon_offsets=np.cumsum([0, *map(len, polygons)]).astype(np.int32),
        scale=scale,
        translate=translate,
    )
    size = TARGET.stat().st_size / 1e6
    print(f"{TARGET.name}: {len(polygons)} polygons, {len(rings)} rings, {len(positions)} points, {size:.2f} MB")


if __name__ == "__main__":
    main(sys.argv[1])
