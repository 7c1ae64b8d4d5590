"""The network that corrects a first guess: its channels, its layers, its loss."""

import numpy as np
import pytest
import torch
from shuffle import shuffled
from torch import Tensor

from sereno.config import ConvLSTMUNet, UNet
from sereno.nets.alldays import COAST_CELLS, MEMORY, SMALLEST_STD
from sereno.nets.bottleneck import LocalAttention, Recurrence
from sereno.nets.corrector import LAGS, SCALARS, channels, corrector, encode
from sereno.training.losses import beta_nll

WINDOW, SIDE = 7, 24
SMALL = {"window": WINDOW, "widths": (8, 16, 24)}
Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


def inputs(seed: int = 0, lat: int = SIDE, lon: int = SIDE) -> Inputs:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(2, WINDOW, lat, lon, generator=generator)
    values[torch.rand(values.shape, generator=generator) < 0.6] = torch.nan
    guess = torch.randn(values.shape, generator=generator)
    water = torch.rand(2, lat, lon, generator=generator) < 0.9
    return values, guess, water, torch.zeros(2, lat, lon), torch.randn(2, SCALARS, generator=generator)


CENTRAL = SMALL | {"network": "central-day"}
CONFIGS = [
    UNet(**CENTRAL),
    UNet(**CENTRAL, passes=2),
    UNet(**CENTRAL, attention=True),
    ConvLSTMUNet(**SMALL, hidden=6),
]


def test_channels_are_as_many_as_announced_and_hold_no_gap() -> None:
    maps = encode(*inputs())
    assert maps.shape == (2, channels(WINDOW), SIDE, SIDE)
    assert torch.isfinite(maps).all()


def test_departures_are_zero_where_nothing_was_seen() -> None:
    values, guess, water, spread, scalars = inputs()
    maps = encode(values, guess, water, spread, scalars)
    seen = torch.isfinite(values) & water[:, None]
    assert torch.equal(maps[:, WINDOW : 2 * WINDOW], seen.float())
    assert (maps[:, :WINDOW][~seen] == 0).all()
    assert torch.allclose(maps[:, :WINDOW][seen], (values - guess)[seen])


def test_nearest_departure_and_its_lag_before_and_after() -> None:
    values, guess = torch.full((1, WINDOW, 1, 1), torch.nan), torch.zeros(1, WINDOW, 1, 1)
    values[0, 1], values[0, 5], values[0, 6] = 3.0, 5.0, 7.0
    maps = encode(values, guess, torch.ones(1, 1, 1, dtype=torch.bool), torch.zeros(1, 1, 1), torch.zeros(1, SCALARS))
    first = 2 * WINDOW + 1 + 2 * sum(lag <= WINDOW // 2 for lag in LAGS)
    before, before_weight, after, after_weight = maps[0, first : first + 4, 0, 0].tolist()
    assert (before, after) == (3.0, 5.0)
    assert before_weight == pytest.approx(np.exp(-2 / MEMORY))
    assert after_weight == pytest.approx(np.exp(-2 / MEMORY))


def test_distance_from_the_coast_grows_to_one() -> None:
    values, guess, _, spread, scalars = inputs(lon=40)
    water = torch.ones(2, SIDE, 40, dtype=torch.bool)
    water[:, :, 0] = False
    offshore = encode(values, guess, water, spread, scalars)[0, -SCALARS - 2, SIDE // 2]
    expected = np.minimum(np.arange(40), COAST_CELLS) / COAST_CELLS
    assert np.allclose(offshore.numpy(), expected)


@pytest.mark.parametrize("config", CONFIGS)
def test_a_fresh_network_returns_the_first_guess(config: UNet) -> None:
    torch.manual_seed(1)
    given = inputs()
    mean, log_std = corrector(config)(*given)
    assert torch.equal(mean, given[1][:, WINDOW // 2])
    assert (log_std.exp() >= SMALLEST_STD).all()


@pytest.mark.parametrize("config", CONFIGS)
def test_every_weight_counts(config: UNet) -> None:
    network = shuffled(corrector(config))
    mean, log_std = network(*inputs())
    (mean.sum() + log_std.sum()).backward()
    idle = [name for name, part in network.named_parameters() if part.grad is None or not part.grad.any()]
    assert not idle


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("sides", [(24, 24), (23, 30)])
def test_what_lies_far_away_does_not_count(config: UNet, sides: tuple[int, int]) -> None:
    network = shuffled(corrector(config))
    given = inputs(lat=sides[0], lon=sides[1] + 160)
    changed = tuple(part.clone() for part in given)
    changed[0][..., -8:] = 1.0
    changed[1][..., -8:] = 2.0
    with torch.inference_mode():
        one, other = network(*given)[0], network(*changed)[0]
    assert one.shape == (2, sides[0], sides[1] + 160)
    assert torch.allclose(one[..., :20], other[..., :20], atol=1e-6)
    assert not torch.allclose(one[..., -8:], other[..., -8:])


def test_days_unseen_after_the_centre_may_be_anything() -> None:
    """Near real time: a first guess without the future and no future values is all that the network needs."""
    network = shuffled(corrector(CONFIGS[0]))
    values, *rest = inputs()
    values[:, WINDOW // 2 + 1 :] = torch.nan
    with torch.inference_mode():
        assert torch.isfinite(network(values, *rest)[0]).all()


def test_attention_looks_at_its_neighbourhood_alone() -> None:
    attention = shuffled(LocalAttention(8))
    maps = torch.randn(1, 8, 16, 16, generator=torch.Generator().manual_seed(0))
    moved = maps.clone()
    moved[..., 8, 8] += 1
    with torch.inference_mode():
        difference = (attention(maps, maps) - attention(moved, maps)).abs().amax(1)[0]
    rows, columns = torch.nonzero(difference > 1e-6, as_tuple=True)
    assert (rows.min(), rows.max()) == (5, 11)
    assert (columns.min(), columns.max()) == (5, 11)


def test_recurrence_is_the_same_to_and_fro_where_both_ways_are() -> None:
    recurrence = shuffled(Recurrence(4, daily=3, hidden=5, factor=2))
    recurrence.backward_in_time.load_state_dict(recurrence.forward_in_time.state_dict())  # type: ignore[union-attr]
    with torch.no_grad():
        half = recurrence.told.weight[:, :5].clone()  # type: ignore[union-attr,index]
        recurrence.told.weight[:, 5:] = half  # type: ignore[union-attr,index]
    maps, days = torch.zeros(1, 4, 6, 6), torch.randn(1, 5, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(recurrence(maps, days), recurrence(maps, days.flip(1)), atol=1e-5)
        assert not torch.allclose(recurrence(maps, days), recurrence(maps, days.roll(1, 1)), atol=1e-3)


class TestBetaNLL:
    generator = torch.Generator().manual_seed(3)
    mean, target = torch.randn(2, 50, generator=generator)
    variance = torch.rand(50, generator=generator) + 0.1

    def test_gradient_of_the_mean_is_that_of_the_likelihood_times_the_deviation(self) -> None:
        mean = self.mean.clone().requires_grad_()
        beta_nll(mean, self.variance, self.target, torch.ones(50)).backward()
        assert mean.grad is not None
        assert torch.allclose(mean.grad, (self.mean - self.target) / self.variance.sqrt() / 50, atol=1e-6)

    def test_least_where_the_variance_is_the_squared_error(self) -> None:
        def slope(variance: float) -> float:
            free = torch.full((50,), variance, requires_grad=True)
            beta_nll(torch.zeros(50), free, torch.full((50,), 0.5), torch.ones(50)).backward()
            assert free.grad is not None
            return float(free.grad.sum())

        assert slope(0.2) < 0 < slope(0.3)
        assert slope(0.25) == pytest.approx(0, abs=1e-6)

    def test_what_has_no_weight_may_be_nan(self) -> None:
        target, weight = self.target.clone(), torch.ones(50)
        target[:10], weight[:10] = torch.nan, 0
        loss = beta_nll(self.mean, self.variance, target, weight)
        assert loss == pytest.approx(float(beta_nll(*(p[10:] for p in (self.mean, self.variance, target, weight)))))

    def test_squared_error_teaches_the_mean_first(self) -> None:
        mean = self.mean.clone().requires_grad_()
        beta_nll(mean, self.variance, self.target, torch.ones(50), squared_error=True).backward()
        assert mean.grad is not None
        assert torch.allclose(mean.grad, 2 * (self.mean - self.target) / 50, atol=1e-6)
