"""Networks with weights that tell every part of them apart."""

import torch
from torch import nn


def shuffled(network: nn.Module, seed: int = 0) -> nn.Module:
    """Give every weight a value, so that nothing is hidden by a zero."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.1 * torch.randn_like(parameter))
    return network.eval()
