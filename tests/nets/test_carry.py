"""Images carried along currents: against flows whose paths are known in closed form."""

import math

import numpy as np
import pytest
import torch

from sereno.nets.carry import DAY, carried, paths, sampled

LAT, LON, DAYS = 24, 32, 7


def uniform(u: float, v: float) -> torch.Tensor:
    """Return a current that is the same everywhere, m/s."""
    return torch.tensor([u, v])[None, None, :, None, None].expand(1, DAYS, 2, LAT, LON)


def test_a_uniform_current_moves_water_by_its_speed() -> None:
    places = paths(uniform(0.1, -0.05), torch.tensor([[5.0, 4.0]]), 3)
    for day in range(DAYS):
        moved = places[0, day, 10, 12] - torch.tensor([12.0, 10.0])
        expected = torch.tensor([0.1 / 4.0, -0.05 / 5.0]) * (day - 3) * DAY / 1e3
        torch.testing.assert_close(moved, expected, atol=1e-3, rtol=0)


def test_the_reference_day_stays_as_it_is() -> None:
    images = torch.randn(1, DAYS, LAT, LON)
    places = paths(0.3 * torch.randn(1, DAYS, 2, LAT, LON), torch.tensor([[5.0, 5.0]]), 2)
    for nearest in (False, True):
        torch.testing.assert_close(carried(images, places, nearest=nearest)[:, 2], images[:, 2], atol=1e-4, rtol=0)


def test_a_solid_rotation_turns_back() -> None:
    """Water on a circle comes back to where it was after a turn; the midpoint rule errs by little."""
    row, column = torch.meshgrid(torch.arange(LAT) - 11.5, torch.arange(LON) - 15.5, indexing="ij")
    turn = 2 * math.pi / (DAYS - 1) * 1e3 / DAY  # m/s a cell of one km
    current = torch.stack([-turn * row, turn * column])[None, None].expand(1, DAYS, -1, -1, -1)
    places = paths(current, torch.tensor([[1.0, 1.0]]), 0)
    for start in ((12, 16), (12, 20), (15, 14)):
        back = places[0, -1, *start] - torch.tensor([float(start[1]), float(start[0])])
        radius = math.hypot(start[0] - 11.5, start[1] - 15.5)
        assert back.norm() < 0.35 * radius
        assert abs(float((places[0, 3, *start] - torch.tensor([15.5, 11.5])).norm()) - radius) < 0.1 * radius


def test_water_that_is_followed_does_not_change() -> None:
    """A pattern carried by the current is the same on all days in the frame of any."""
    column = torch.arange(LON, dtype=torch.float32)
    speed = 0.7 * 5.0 * 1e3 / DAY  # 0.7 cells a day
    images = torch.stack([torch.sin(2 * math.pi * (column - 0.7 * day) / 16) for day in range(DAYS)])
    images = images[None, :, None, :].expand(1, DAYS, LAT, LON)
    found = carried(images, paths(uniform(speed, 0.0), torch.tensor([[5.0, 5.0]]), 3))
    known = torch.isfinite(found)
    assert known.float().mean() > 0.85
    difference = torch.where(known, found - images[:, 3:4], 0.0)
    assert difference.abs().max() < 0.04  # of interpolation between cells


def test_observations_keep_their_values_and_gaps() -> None:
    images = torch.where(torch.rand(1, DAYS, LAT, LON) < 0.5, torch.randn(1, DAYS, LAT, LON), torch.nan)
    places = paths(0.2 * torch.randn(1, DAYS, 2, LAT, LON), torch.tensor([[5.0, 5.0]]), 3)
    found = carried(images, places, nearest=True)
    held = set(images[torch.isfinite(images)].tolist())
    assert set(found[torch.isfinite(found)].tolist()) <= held


def test_nothing_is_known_outside_of_the_map() -> None:
    found = carried(torch.ones(1, DAYS, LAT, LON), paths(uniform(0.3, 0.0), torch.tensor([[5.0, 5.0]]), 3))
    assert torch.isnan(found[0, -1, :, -1]).all()
    assert torch.isnan(found[0, 0, :, 0]).all()
    assert torch.isfinite(found[0, 3]).all()


@pytest.mark.parametrize("edge", [False, True])
def test_maps_are_looked_up_between_cells(edge: bool) -> None:
    maps = torch.arange(12.0).view(1, 1, 3, 4)
    places = torch.tensor([[[[1.5, 1.0], [3.0, 2.0], [-1.0, 0.0]]]])
    expected = [5.5, 11.0, 0.0]
    np.testing.assert_allclose(sampled(maps, places, edge=edge)[0, 0, 0].numpy(), expected, atol=1e-5)


def test_rows_of_their_own_width() -> None:
    cells = torch.stack([torch.full((LAT,), 5.0), torch.linspace(3.0, 5.0, LAT)])[None]
    places = paths(uniform(0.1, 0.0), cells, 0)
    moved = places[0, 1, :, 10, 0] - 10
    torch.testing.assert_close(moved, 0.1 * DAY / 1e3 / cells[0, 1], atol=1e-3, rtol=0)
