"""Square pieces of masks, turned and mirrored at random, many at a time."""

from __future__ import annotations

import torch
from torch import Tensor


def draw_pieces(
    random: torch.Generator, masks: Tensor, count: int, *, side: int, step: Tensor | None = None
) -> Tensor:
    """Cut a piece of this many masks drawn at random.

    Parameters
    ----------
    masks
        (n, cells, cells), on the generator's device.
    side
        Cells of a piece along either side.
    step
        Every how many-th cell is taken, int64 (count,); every one where not given. It is 1 where a mask is too small
        for more.

    Returns
    -------
    torch.Tensor
        (count, side, side).
    """
    device, cells = random.device, masks.shape[-1]
    if side > cells:
        raise ValueError(f"pieces of {side} cells cannot be cut from masks of {cells}")
    chosen = torch.randint(len(masks), (count,), generator=random, device=device)
    step = torch.ones_like(chosen) if step is None else step
    step = torch.where(step * (side - 1) < cells, step, 1)
    reach = step * (side - 1) + 1
    begin = (torch.rand(2, count, generator=random, device=device) * (cells - reach + 1)).long()
    along = step[:, None] * torch.arange(side, device=device)
    flips = torch.rand(2, count, 1, generator=random, device=device) < 0.5
    rows, columns = (
        first[:, None] + torch.where(flip, along.flip(1), along) for first, flip in zip(begin, flips, strict=True)
    )
    piece = masks[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]
    turned = torch.rand(count, 1, 1, generator=random, device=device) < 0.5
    return torch.where(turned, piece.mT, piece)
