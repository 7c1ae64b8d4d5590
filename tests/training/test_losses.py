import numpy as np
import pytest
import torch
from scipy.stats import norm

from sereno.training.losses import gaussian_nll, masked_mse


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


def test_gaussian_nll_is_that_of_the_normal_distribution(
    pixels: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    mean, target, mask = pixels
    std = torch.linspace(-1, 1, mean.numel()).reshape(mean.shape).exp()
    loss = gaussian_nll(mean, std**2, target, mask.float())
    density = norm(mean.detach()[mask].numpy(), std[mask].numpy()).logpdf(target[mask].numpy())
    assert loss.item() == pytest.approx(-density.mean() - 0.5 * np.log(2 * np.pi), rel=1e-5)


def test_gaussian_nll_counts_pixels_by_their_weight() -> None:
    mean, target, variance = torch.zeros(2), torch.tensor([1.0, 2.0]), torch.ones(2)
    loss = gaussian_nll(mean, variance, target, torch.tensor([3.0, 1.0]))
    assert loss.item() == pytest.approx((3 * 0.5 + 1 * 2) / 4)


def test_an_empty_mask_gives_zero_with_zero_gradient() -> None:
    prediction = torch.ones(2, 3, requires_grad=True)
    log_std = torch.zeros(2, 3, requires_grad=True)
    nothing, target = torch.zeros(2, 3, dtype=torch.bool), torch.full((2, 3), torch.nan)
    total = masked_mse(prediction, target, nothing) + gaussian_nll(prediction, log_std.exp(), target, nothing.float())
    total.backward()
    assert total.item() == 0
    for tensor in (prediction, log_std):
        assert tensor.grad is not None
        assert (tensor.grad == 0).all()
