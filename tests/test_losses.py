import numpy as np
import pytest
import torch
from scipy.stats import norm

from sereno.losses import masked_gaussian_nll, masked_mse


@pytest.fixture
def pixels() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Prediction, target (NaN outside the mask) and mask."""
    generator = torch.Generator().manual_seed(0)
    prediction, target = torch.randn(2, 3, 5, 4, generator=generator)
    mask = torch.rand(3, 5, 4, generator=generator) < 0.5
    return prediction.requires_grad_(), target.where(mask, torch.nan), mask


def test_masked_mse_is_the_mean_over_the_mask(pixels: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    prediction, target, mask = pixels
    loss = masked_mse(prediction, target, mask)
    loss.backward()
    expected = np.nanmean((prediction.detach().numpy() - target.numpy()) ** 2)
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    assert prediction.grad is not None
    assert torch.isfinite(prediction.grad).all()
    assert (prediction.grad[~mask] == 0).all()


def test_masked_gaussian_nll_is_that_of_the_normal_distribution(
    pixels: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    mean, target, mask = pixels
    log_std = torch.linspace(-1, 1, mean.numel()).reshape(mean.shape)
    loss = masked_gaussian_nll(mean, log_std, target, mask)
    density = norm(mean.detach()[mask].numpy(), log_std.exp()[mask].numpy()).logpdf(target[mask].numpy())
    assert loss.item() == pytest.approx(-density.mean() - 0.5 * np.log(2 * np.pi), rel=1e-5)


def test_gaussian_nll_has_a_floor_below_which_the_std_does_not_count() -> None:
    zero, mask = torch.zeros(4), torch.ones(4, dtype=torch.bool)
    tiny, floor = (masked_gaussian_nll(zero, torch.full((4,), s).log(), zero, mask) for s in (1e-6, 1e-2))
    assert tiny.item() == pytest.approx(floor.item())
    assert floor.item() == pytest.approx(np.log(1e-2), rel=1e-4)


def test_an_empty_mask_gives_zero_with_zero_gradient() -> None:
    prediction = torch.ones(2, 3, requires_grad=True)
    log_std = torch.zeros(2, 3, requires_grad=True)
    nothing, target = torch.zeros(2, 3, dtype=torch.bool), torch.full((2, 3), torch.nan)
    total = masked_mse(prediction, target, nothing) + masked_gaussian_nll(prediction, log_std, target, nothing)
    total.backward()
    assert total.item() == 0
    for tensor in (prediction, log_std):
        assert tensor.grad is not None
        assert (tensor.grad == 0).all()
