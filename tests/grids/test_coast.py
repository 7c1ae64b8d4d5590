"""The shipped coast: known places, and the scanline against shapely's own point-in-polygon."""

import numpy as np
import pytest
import shapely

from sereno.grids.coast import land_mask, land_polygons

PLACES = {
    "Rome": (41.9, 12.5, True),
    "Madrid": (40.4, -3.7, True),
    "Sardinia": (40.1, 9.1, True),
    "Corsica": (42.2, 9.1, True),
    "Crete": (35.2, 24.9, True),
    "Sicily": (37.5, 14.0, True),
    "Algeria": (35.0, 3.0, True),
    "Balearic Sea": (40.0, 5.0, False),
    "Tyrrhenian Sea": (40.0, 12.0, False),
    "Ionian Sea": (37.0, 18.5, False),
    "Alboran Sea": (36.0, -3.5, False),
    "Adriatic Sea": (43.0, 15.0, False),
    "Caspian Sea": (42.0, 50.5, False),
    "Antarctica": (-85.0, 0.0, True),
}


@pytest.mark.parametrize(("lat", "lon", "land"), PLACES.values(), ids=PLACES.keys())
def test_known_places(lat: float, lon: float, land: bool) -> None:
    assert land_mask(np.array([lat]), np.array([lon])).item() is land


def test_mask_has_the_shape_of_the_grid() -> None:
    mask = land_mask(np.linspace(30, 46, 7), np.linspace(-18, 36, 11))
    assert mask.shape == (7, 11)
    assert mask.dtype == bool


def test_scanline_agrees_with_point_in_polygon() -> None:
    rng = np.random.default_rng(0)
    lat, lon = np.sort(rng.uniform(35, 45, 150)), np.sort(rng.uniform(5, 20, 150))
    land = land_polygons(4.0, 34.0, 21.0, 46.0)
    shapely.prepare(land)
    expected = shapely.contains_xy(land, *np.meshgrid(lon, lat))
    assert (land_mask(lat, lon) == expected).mean() > 0.9999  # shores that touch themselves may differ


def test_mask_does_not_depend_on_the_window() -> None:
    lat, lon = np.linspace(36, 44, 80), np.linspace(6, 18, 90)
    np.testing.assert_array_equal(land_mask(lat, lon)[20:40, 30:60], land_mask(lat[20:40], lon[30:60]))


def test_polygons_are_valid_and_stay_within_the_box() -> None:
    land = land_polygons(5.0, 37.0, 15.0, 45.0)
    assert land.geom_type == "MultiPolygon"
    assert land.is_valid
    west, south, east, north = land.bounds
    assert (west, south, east, north) == pytest.approx((5.0, 37.0, 15.0, 45.0), abs=0.2)


def test_open_sea_has_no_polygons() -> None:
    assert land_polygons(4.9, 39.9, 5.1, 40.1).is_empty


def test_the_antimeridian_is_cut_cleanly() -> None:
    """Chukotka lies on both sides of 180°; no shore may run across the map between them."""
    lon = np.array([-178.0, -150.0, 0.0, 178.0])
    np.testing.assert_array_equal(land_mask(np.array([67.0, 78.0]), lon)[0], [True, True, False, True])
    np.testing.assert_array_equal(land_mask(np.array([0.0]), np.array([-179.9, -150.0, 179.9])), False)
