"""Pre-training's engine: clouds, coasts and errors of images."""

from pathlib import Path

import numpy as np
import pytest
import torch
from devices import DEVICES

import engine.coasts
import real_clouds
from engine.clouds import RealClouds, cloud_masks
from engine.noise import cold_edges, correlated_noise, draw_errors, draw_strengths, stripes
from engine.pieces import draw_pieces
from engine.randomness import generator


def test_clouds_cover_what_they_should() -> None:
    masks = cloud_masks(3, 24, days=40, side=32)
    assert masks.shape == (24, 40, 32, 32)
    assert masks.float().mean() == pytest.approx(0.6, abs=0.06)
    assert torch.equal(cloud_masks(3, 24, days=40, side=32), masks)
    assert not torch.equal(cloud_masks(4, 24, days=40, side=32), masks)
    cells = masks.float()
    beside = (cells[..., 1:] == cells[..., :-1]).float().mean()
    assert beside > 0.85  # clouds are patches
    tomorrow = ((cells[:, 1:] == cells[:, :-1]).float().mean(), (cells[:, 20:] == cells[:, :-20]).float().mean())
    assert tomorrow[0] > tomorrow[1] + 0.02


def test_real_clouds_are_drawn_from_a_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    goes, scenes = rng.random((5, 64, 64)) < 0.3, np.ones((2, 64, 64), bool)
    np.savez(tmp_path / "clouds.npz", goes=np.packbits(goes, axis=-1), scenes=np.packbits(scenes, axis=-1))
    drawn = RealClouds(tmp_path / "clouds.npz").draw(generator(1), 60, days=4, side=24)
    assert drawn.shape == (60, 4, 24, 24)
    cover = drawn.float().mean((2, 3))
    overcast = (cover == 1).all(1)
    assert overcast.float().mean() == pytest.approx(1 / 3, abs=0.2)
    assert cover[~overcast].mean() == pytest.approx(0.3, abs=0.03)


def test_coasts_hold_land_and_keep_off_the_seas_scored() -> None:
    masks = engine.coasts.coasts()
    assert len(masks) >= 400
    assert engine.coasts.FILE.stat().st_size < 400_000
    share = masks.mean((1, 2))
    assert ((share >= 0.35) & (share <= 0.995)).all()
    drawn = engine.coasts.draw_coasts(generator(1), 300, side=48)
    assert (drawn.float().mean((1, 2)) >= engine.coasts.LEAST_WATER).all()
    assert 0.33 < drawn.all(-1).all(-1).float().mean() < 0.75


def test_pieces_are_pieces() -> None:
    masks = torch.arange(3 * 20 * 20).view(3, 20, 20)
    pieces = draw_pieces(generator(0), masks, 200, side=8, step=torch.tensor([1, 2]).repeat(100))
    seen = set()
    for number, piece in enumerate(pieces):
        steps = {int(d.abs().unique()) for d in (piece[1:] - piece[:-1], piece[:, 1:] - piece[:, :-1])}
        assert steps == {1 + number % 2, 20 * (1 + number % 2)}
        assert len(piece.div(400, rounding_mode="floor").unique()) == 1
        seen |= set(piece.flatten().tolist())
    assert len(seen) > 1000
    with pytest.raises(ValueError, match="24 cells"):
        draw_pieces(generator(0), masks, 1, side=24)


@pytest.mark.parametrize("device", DEVICES)
def test_errors_are_as_strong_as_reported(device: str) -> None:
    cloudy = torch.zeros(200, 4, 32, 32, dtype=torch.bool, device=device)
    random = generator(1, device=device)
    strengths = draw_strengths(random, 200)
    found = draw_errors(random, cloudy, torch.full((200, 2), 6.0, device=device), strengths).square().mean((1, 2, 3))
    reported = strengths.white**2 + strengths.correlated**2
    # Stripes, in a fifth of the samples, come on top.
    assert (found / reported).median() == pytest.approx(1, abs=0.05)
    assert ((found / reported) > 1.2).float().mean() < 0.35
    assert strengths.white.min() >= 0.05
    assert strengths.length.max() <= 100


def test_correlated_noise_is_correlated() -> None:
    field = correlated_noise(
        generator(0), 100, 64, torch.tensor([[10.0, 5.0], [4.0, 4.0]]), torch.tensor([30.0, 40.0])
    )
    assert float(field[0].square().mean()) == pytest.approx(1, abs=0.04)
    for axis, cells in ((2, 3), (3, 6)):
        assert float((field * field.roll(cells, axis))[0].mean()) == pytest.approx(np.exp(-1), abs=0.04)
    assert float((field[0, 1:] * field[0, :-1]).mean()) == pytest.approx(0, abs=0.03)


def test_cold_edges_are_cold_and_near_clouds() -> None:
    cloudy = torch.zeros(2, 50, 32, 32, dtype=torch.bool)
    cloudy[:, :, 10:20, 10:20] = True
    bias = cold_edges(generator(0), cloudy, torch.tensor([0.1, 0.0]))
    assert not bias[1].any()
    assert bias.max() == 0
    far = torch.ones(32, 32, dtype=torch.bool)
    far[8:22, 8:22] = False
    assert not bias[0][:, far | cloudy[0, 0]].any()
    ring = bias[0][:, 9, 10:20]
    assert (ring < 0).float().mean() == pytest.approx(0.1, abs=0.04)
    assert ring[ring < 0].mean() == pytest.approx(-0.5, abs=0.15)


def test_stripes_are_lines_of_a_swath() -> None:
    bias = stripes(generator(0), 200, 32, torch.tensor([0.2, 0.0, 0.2, 0.2, 0.2]))
    assert not bias[1].any()
    turned = set()
    for sample in bias[[0, 2, 3, 4]]:
        lines = [
            all(len(line[line != 0].unique()) <= 1 for line in sample[:20].transpose(1, axis).flatten(0, 1))
            for axis in (1, 2)
        ]
        assert any(lines)
        turned.add(lines.index(True))
        assert sample[sample != 0].std() == pytest.approx(0.2 * 1.25**0.5, rel=0.2)
    assert turned == {0, 1}


def test_pieces_of_scenes_hold_enough_water() -> None:
    water = np.random.default_rng(0).random((9, 11)) < 0.7
    found = real_clouds._corners(water, 4, 0.75)
    expected = [(r, c) for r in range(6) for c in range(8) if water[r : r + 4, c : c + 4].mean() >= 0.75]
    assert [tuple(place) for place in found] == expected
    assert 0 < len(found) < 48
