"""Pre-training's windows, their first guesses, and the training on them."""

import math
import os
import signal
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

import pytest
import torch

import engine.validation
import pretrain
from begin import of_central_network
from engine.currents import Quality, as_seen, low_pass
from engine.guesses import sea_terms
from engine.randomness import generator
from engine.samples import Sampler, Windows, chunks
from engine.seas import Seas, SeaStream
from engine.training import DAYS, HIDDEN, OBSERVED, Plan, Pool, Training, read_network, turned, weights_of
from engine.whole import write_whole
from sereno.config import UNet
from sereno.nets.alldays import AllDays, Design
from sereno.nets.corrector import corrector
from sereno.reconstruct.unet.ensemble import packaged

SIDE = 48
SAMPLER = Sampler(side=32, count=3, followed=0.0)
DESIGN = Design(kind="channels", widths=(8, 12))


@pytest.fixture(scope="module")
def seas() -> Seas:
    return SeaStream(3, 2, days=40, side=SIDE, run_days=40).next()


@pytest.fixture(scope="module")
def windows(seas: Seas) -> Windows:
    return Windows.joined([SAMPLER.windows(seas, number, generator(5, number)) for number in range(2)])


def carried_seas(speed: float = 0.15) -> Seas:
    """Return one sea of a pattern that a uniform current carries, in cells of 6 km."""
    lat, lon = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    per_day = speed * 86.4 / 6
    days = [torch.sin(0.7 * (lon - per_day * day)) * torch.cos(0.5 * lat) for day in range(40)]
    anomaly = torch.stack(days)[None]
    current = torch.zeros(1, 40, 2, SIDE, SIDE)
    current[:, :, 0] = speed
    water = torch.ones(1, SIDE, SIDE, dtype=torch.bool)
    steady = {
        "drift": torch.zeros(1, 40, 2),
        "spacing": torch.full((1, 2), 6.0),
        "resting": torch.zeros(1, SIDE, SIDE),
    }
    about = {"kind": ["turbulent"], "parameters": [{}]}
    return Seas(anomaly / anomaly.std(), current, water=water, **steady, **about)


@pytest.mark.thorough
def test_windows_follow_from_their_seed(seas: Seas, windows: Windows) -> None:
    again = SAMPLER.windows(seas, 0, generator(5, 0))
    for part, same in zip(windows[slice(0, 3)].parts(), again.parts(), strict=True):
        assert torch.equal(torch.nan_to_num(part.float()), torch.nan_to_num(same.float()))


@pytest.mark.thorough
def test_what_a_window_holds(windows: Windows) -> None:
    assert windows.values.shape == windows.guess.shape == windows.truth.shape == (6, 15, 32, 32)
    seen = torch.isfinite(windows.values)
    assert not (seen & ~windows.water[:, None]).any()
    assert 0.02 < seen.float().mean() < 0.7
    error = (windows.values - windows.truth)[seen].float()
    assert 0.03 < error.square().mean().sqrt() < 0.7
    assert torch.isfinite(windows.truth).all()
    assert torch.isfinite(windows.guess).all()
    assert (windows.reference == -1).all()
    assert (windows.scalars[:, -1] == 0).all()


def test_a_first_guess_is_nearer_to_the_truth_than_none(windows: Windows) -> None:
    truth, guess = windows.truth.float(), windows.guess.float()
    for day in (3, 7, 11):
        assert (guess - truth)[:, day].square().mean() < 0.8 * truth[:, day].square().mean()


@pytest.mark.statistical
def test_water_that_is_followed_stays_where_it_is() -> None:
    sampler = Sampler(side=32, count=2, followed=1.0, references=(7,), quality=Quality(150.0, 7.0, 0.0))
    followed = sampler.windows(carried_seas(), 0, generator(1))
    still = replace(sampler, followed=0.0).windows(carried_seas(), 0, generator(1))
    assert (followed.reference == 7).all()
    assert (followed.scalars[:, -1] == 1).all()
    torch.testing.assert_close(followed.truth[:, 7], still.truth[:, 7], atol=2e-3, rtol=0)

    def change(windows: Windows) -> float:
        truth = windows.truth.float()
        difference = (truth[:, 9] - truth[:, 7])[..., 8:-8, 8:-8]
        return float(difference[torch.isfinite(difference)].square().mean())

    assert change(followed) < 0.05 * change(still)


@pytest.mark.statistical
def test_currents_that_do_not_carry_the_sea_are_not_followed() -> None:
    seas = carried_seas()
    speed = seas.current[0]
    assert sea_terms(seas.anomaly[0], seas.resting[0], seas.spacing[0], speed, step=1)[1]
    assert not sea_terms(seas.anomaly[0], seas.resting[0], seas.spacing[0], -speed, step=1)[1]


@pytest.mark.statistical
def test_terms_become_slow_where_the_water_is_followed() -> None:
    seas = carried_seas(0.03)
    still, _ = sea_terms(seas.anomaly[0], seas.resting[0], seas.spacing[0], None, step=1)
    followed, _ = sea_terms(seas.anomaly[0], seas.resting[0], seas.spacing[0], seas.current[0], step=1)

    def mean_time(terms: list) -> float:
        return sum(t.variance * t.time for t in terms) / sum(t.variance for t in terms)

    assert mean_time(followed) > 2 * mean_time(still)


@pytest.mark.parametrize("length", [120.0, 250.0])
def test_currents_lose_half_of_a_wave_of_the_resolved_length(length: float) -> None:
    lon = torch.arange(256) * 5.0
    wave = torch.cos(2 * math.pi * lon / length).expand(9, 2, 64, 256)
    smooth = low_pass(wave, torch.tensor([5.0, 5.0]), Quality(length, 7.0, 0.0))
    torch.testing.assert_close(smooth[4, 0, 32, 64:192], 0.5 * wave[4, 0, 32, 64:192], atol=0.03, rtol=0)


def test_the_error_of_currents_is_as_asked_for() -> None:
    current = low_pass(torch.randn(60, 2, 64, 64), torch.tensor([5.0, 5.0]), Quality(300.0, 20.0, 0.0))
    exact, wrong = (
        as_seen(current, torch.tensor([5.0, 5.0]), Quality(120.0, 5.0, e), generator(8)) for e in (0.0, 0.3)
    )
    share = (wrong - exact).square().mean().sqrt() / exact.square().mean().sqrt()
    assert share == pytest.approx(0.3, rel=1e-3)


def test_currents_fade_where_they_end() -> None:
    current = torch.ones(30, 2, 64, 64)
    found = [
        as_seen(current, torch.tensor([5.0, 5.0]), Quality(120.0, 5.0, 0.0, gaps=1.0), generator(n)) for n in range(9)
    ]
    rows = torch.stack([each[0, 0, :, 32] for each in found])
    assert rows.min() < 0.1 < 0.9 < rows.max()
    assert rows.diff(dim=1).abs().max() < 0.1


def test_what_is_not_seen_counts_most(windows: Windows) -> None:
    weight = weights_of(windows)
    seen = torch.isfinite(windows.values)
    for day, of_day in enumerate(DAYS):
        hidden = ~seen[:, day] & windows.water
        torch.testing.assert_close(weight[:, day][hidden], torch.full((int(hidden.sum()),), of_day * HIDDEN))
        torch.testing.assert_close(
            weight[:, day][seen[:, day]], torch.full((int(seen[:, day].sum()),), of_day * OBSERVED)
        )
    assert (weight[~windows.water[:, None].expand_as(weight)] == 0).all()


def test_turned_windows_are_the_same_windows(windows: Windows) -> None:
    for seed in range(6):
        other = turned(windows, generator(seed))
        error, same = ((w.guess - w.truth).float().square().sum((1, 2, 3)) for w in (other, windows))
        torch.testing.assert_close(error, same, rtol=1e-2, atol=1e-2)
        assert torch.equal(other.water.sum((1, 2)), windows.water.sum((1, 2)))


def test_a_turned_flow_carries_the_turned_sea() -> None:
    """What moves eastward moves northward in a window that is turned so, by as many cells a day."""
    windows = SAMPLER.windows(carried_seas(), 0, generator(3))[slice(0, 1)]
    assert windows.flow[0, 3, 0].float().mean() == pytest.approx(0.15 * 86.4 / 6, rel=1e-2)
    for seed in range(8):
        other = turned(windows, generator(seed))
        east, north = other.flow[0, 7].float().mean((1, 2)).round().int().tolist()
        before, after = (torch.nan_to_num(other.truth[0, day].float()) for day in (7, 8))
        moved = torch.roll(before, (north, east), (0, 1))
        inside = (slice(4, -4), slice(4, -4))
        assert (moved - after)[inside].square().mean() < 0.3 * (before - after)[inside].square().mean()


def test_each_window_is_used_as_often_as_asked_for(windows: Windows) -> None:
    marked = replace(windows, scalars=torch.arange(6.0)[:, None].expand(6, 12).clone())

    def endless() -> object:
        number = 0
        while True:
            yield replace(marked, scalars=marked.scalars + 6 * number), number
            number += 1

    pool = Pool(endless(), Plan(batch=2, uses=3, kept=6), generator(1))
    used = torch.cat([pool.batch().scalars[:, 0] for _ in range(60)]).long()
    counts = torch.bincount(used)
    assert counts.max() == 3
    assert (counts[:30] == 3).float().mean() > 0.9  # chance may leave one behind for long


@pytest.mark.thorough
def test_a_stream_gives_the_same_windows_from_any_block() -> None:
    def first(start: int) -> list[Windows]:
        stream = SeaStream(4, 1, days=20, side=32, run_days=40, start=start)
        source = chunks(Sampler(side=32, count=3, followed=0.0), stream)
        return [next(source) for _ in range(2 - start)]

    assert torch.equal(first(0)[1].truth, first(1)[0].truth)


def test_training_lowers_the_error_and_goes_on_from_a_checkpoint(windows: Windows, tmp_path: Path) -> None:
    plan = Plan(batch=6, rate=3e-3)
    training = Training(DESIGN, plan, "cpu")
    ratios = [training.learn(windows)["ratio"] for _ in range(40)]
    assert ratios[0] == pytest.approx(1.0, abs=0.02)
    assert ratios[-1] < 0.97
    training.save(tmp_path / "checkpoint.pt")
    other = Training(DESIGN, plan, "cpu", seed=9)
    other.load(tmp_path / "checkpoint.pt")
    assert other.step == 40
    for name, weight in training.network.state_dict().items():
        assert torch.equal(weight, other.network.state_dict()[name])
    assert training.learn(windows)["loss"] == pytest.approx(other.learn(windows)["loss"], rel=1e-3)


@pytest.mark.parametrize("more", [0, 16])
def test_a_network_of_all_days_begins_as_the_packaged_one(windows: Windows, more: int) -> None:
    """On the central day it answers what the network of that day does; on all others the first guess."""
    config = UNet(network="central-day")
    held = packaged(config)
    central = corrector(config).eval()
    central.load_state_dict(held)
    network = AllDays(Design(kind="channels", widths=tuple(width + more for width in config.levels))).eval()
    network.load_state_dict(of_central_network(held, network))
    values, guess, spread = (part.float() for part in (windows.values, windows.guess, windows.spread))
    with torch.inference_mode():
        answer = network.answer(values, guess, windows.water, spread, windows.scalars)
        mean, log_std = central(values, guess, windows.water, spread, windows.scalars[:, :-1])
    torch.testing.assert_close(answer.means[0, :, 7], mean, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(answer.log_std[:, 7], log_std, atol=1e-4, rtol=1e-4)
    others = [day for day in range(15) if day != 7]
    torch.testing.assert_close(answer.means[0][:, others], guess[:, others])


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Return the arguments of a training of moments, on small seas."""
    monkeypatch.setattr(engine.validation, "SEAS", 2)
    monkeypatch.setattr(engine.validation, "WINDOWS", 2)
    monkeypatch.setattr(engine.validation, "SeaStream", partial(SeaStream, days=20, side=48, run_days=20))
    monkeypatch.setattr(engine.validation, "Sampler", partial(Sampler, side=32))
    monkeypatch.setattr(pretrain, "SeaStream", partial(SeaStream, days=20, side=48, run_days=40))
    monkeypatch.setattr(pretrain, "REPORTED_EVERY", 0.0)
    ticks = count()
    monkeypatch.setattr(pretrain.time, "process_time", lambda: 0.2 * next(ticks))  # a step takes 0.2 s everywhere
    more = "--side 32 --seas 1 --windows 3 --kept 3 --batch 2 --widths 8 8 --minutes"
    return ["pretrain.py", str(tmp_path / "training"), *more.split()]


@pytest.mark.thorough
def test_a_training_goes_on_where_it_was(
    small: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, steps = tmp_path / "training", []
    for minutes in ("0.005", "0.03"):
        monkeypatch.setattr("sys.argv", [*small, minutes])
        pretrain.main()
        steps.append(torch.load(folder / "checkpoint.pt", weights_only=True)["counts"][0])
    assert steps == [2, 9]
    assert (folder / "checkpoint.pt").stat().st_size < 60e6
    log = (folder / "log.csv").read_text().splitlines()
    assert log[0] == "step,minutes,made,loss,ratio"
    assert [int(line.split(",")[0]) for line in log[1:]] == list(range(1, steps[1] + 1))
    errors = (folder / "validation.csv").read_text()
    assert "delayed" in errors
    assert "with currents,nrt" in errors
    one, other = (read_network(folder / name).state_dict() for name in ("checkpoint.pt", "weights.pt"))
    assert all(torch.equal(one[name], other[name]) for name in other)
    monkeypatch.setattr("sys.argv", [*small[:-2], "12", "--minutes", "1"])
    with pytest.raises(ValueError, match=r"checkpoint\.pt is of another network"):
        pretrain.main()
    assert "validation" not in capsys.readouterr().err


@pytest.mark.thorough
def test_a_training_that_is_ended_keeps_what_it_has(
    small: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def ending(training: Training, windows: Windows) -> dict[str, float]:
        os.kill(os.getpid(), signal.SIGTERM)
        return learn(training, windows)

    learn = Training.learn
    monkeypatch.setattr(Training, "learn", ending)
    monkeypatch.setattr("sys.argv", [*small, "60"])
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    pretrain.main()
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == before
    assert torch.load(tmp_path / "training" / "checkpoint.pt", weights_only=True)["counts"][0] == 1


def test_a_file_that_cannot_be_written_leaves_what_there_was(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    write_whole([1, 2], path)
    with pytest.raises(Exception, match="pickle"):
        write_whole([1, lambda: 3], path)
    assert torch.load(path, weights_only=True) == [1, 2]
    assert [part.name for part in tmp_path.iterdir()] == ["weights.pt"]
