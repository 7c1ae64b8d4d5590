"""The network that answers every day of a window."""

from dataclasses import replace

import pytest
import torch

from sereno.nets.alldays import SCALARS, TYPICAL_ERROR, AllDays, DayBlock, Design, over_days

SHARED = Design(window=5, kind="shared", widths=(8, 12), fold=2)
CHANNELS = Design(window=5, kind="channels", widths=(8, 12, 16))
DESIGNS = [SHARED, CHANNELS, replace(SHARED, fold=1, passes=2), replace(CHANNELS, passes=3)]
DESIGNS.append(replace(CHANNELS, passes=2, flow=True))


def inputs(lat: int = 20, lon: int = 28, *, batch: int = 2, seed: int = 0) -> tuple[torch.Tensor, ...]:
    random = torch.Generator().manual_seed(seed)
    values = torch.randn(batch, 5, lat, lon, generator=random)
    values[torch.rand(values.shape, generator=random) < 0.6] = torch.nan
    guess = torch.randn(batch, 5, lat, lon, generator=random)
    water = torch.rand(batch, lat, lon, generator=random) < 0.9
    return values, guess, water, torch.zeros(batch, lat, lon), torch.randn(batch, SCALARS, generator=random)


def trained(design: Design) -> AllDays:
    """Return a network whose layers all say something."""
    torch.manual_seed(1)
    network = AllDays(design).eval()
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    return network


@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_a_fresh_network_answers_the_first_guess(design: Design) -> None:
    given = inputs()
    means, log_std, _ = AllDays(design).answer(*given)
    assert means.shape == (design.passes, *given[1].shape)
    assert torch.equal(means, given[1].expand_as(means))
    torch.testing.assert_close(log_std.exp(), torch.full_like(log_std, TYPICAL_ERROR + 0.02))


@pytest.mark.parametrize("design", DESIGNS, ids=str)
@pytest.mark.parametrize("size", [(20, 28), (17, 23), (5, 6)])
def test_maps_of_any_size(design: Design, size: tuple[int, int]) -> None:
    means, log_std, _ = trained(design).answer(*inputs(*size))
    assert means.shape[-2:] == log_std.shape[-2:] == size
    assert torch.isfinite(means).all()


@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_every_day_is_answered_from_all_days(design: Design) -> None:
    """An observation of any day changes the answer of every other."""
    network, given = trained(design), inputs()
    before = network.answer(*given)[0][-1]
    values = given[0].clone()
    values[:, 0, 8:12, 8:12] = 2.0
    after = network.answer(values, *given[1:])[0][-1]
    changed = (after != before).flatten(2).any(2).any(0)
    assert changed.all()


@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_what_lies_on_land_or_is_missing_does_not_matter(design: Design) -> None:
    network, given = trained(design), inputs()
    values = torch.where(given[2][:, None], given[0], 9.0)
    assert torch.equal(network.answer(values, *given[1:])[0], network.answer(*given)[0])


def test_windows_do_not_see_each_other() -> None:
    for design in DESIGNS:
        network, given = trained(design), inputs()
        alone = network.answer(*(part[:1] for part in given))[0]
        torch.testing.assert_close(network.answer(*given)[0][:, :1], alone, rtol=1e-4, atol=1e-5)


def test_days_are_convolved_as_by_torch() -> None:
    layer = torch.nn.Conv1d(3, 4, 5, padding=2)
    maps = torch.randn(2 * 7, 3, 4, 5)
    expected = layer(maps.view(2, 7, 3, 20).permute(0, 3, 2, 1).reshape(-1, 3, 7))
    expected = expected.view(2, 20, 4, 7).permute(0, 3, 2, 1).reshape(14, 4, 4, 5)
    torch.testing.assert_close(over_days(layer, maps, 7), expected, rtol=1e-4, atol=1e-5)


def test_a_fresh_block_is_its_shortcut() -> None:
    maps = torch.randn(10, 6, 8, 8)
    assert torch.equal(DayBlock(6, SCALARS)(maps, torch.randn(2, SCALARS), 5), maps)
