import csv
import logging
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from anomaly_cubes import SMALL, moving_blobs

from sereno.config import ConvLSTM
from sereno.errors import InputError, PausedError
from sereno.nets.thesis import ThesisNetwork
from sereno.training.encoding import encode, normalise
from sereno.training.result import TrainedNetwork
from sereno.training.train import train


@pytest.fixture(scope="module")
def cube() -> xr.Dataset:
    return moving_blobs()


def validation_loss(trained: TrainedNetwork, config: ConvLSTM, *, predict_zero: bool = False) -> float:
    """Return the loss over all validation windows, in one go."""
    network = ThesisNetwork(config)
    network.load_state_dict(trained.weights)
    squares = []
    assert trained.validation is not None
    for window in trained.validation.of_epoch(0):
        inputs, mean = encode(window.values, scale=trained.scale)
        truth = normalise(window.truth, mean=mean, scale=trained.scale)
        with torch.inference_mode():
            output = network(torch.from_numpy(inputs)[None])[0, 0].numpy()
        anomaly = normalise(np.zeros_like(truth), mean=mean, scale=trained.scale) if predict_zero else output
        squares.append(np.square(anomaly - truth)[window.hidden])
    return float(np.concatenate(squares).mean())


def equal(first: TrainedNetwork, second: TrainedNetwork) -> bool:
    return all(torch.equal(first.weights[name], second.weights[name]) for name in first.weights)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_small_network_learns_more_than_the_climatology_knows(cube: xr.Dataset, precision: str) -> None:
    config = replace(SMALL, hidden=8, steps_per_epoch=40, max_epochs=3, validation_windows=16, precision=precision)
    trained = train(cube, config)
    assert validation_loss(trained, config) < 0.5 * validation_loss(trained, config, predict_zero=True)


def test_the_best_weights_come_back_and_their_loss_is_that_of_the_history(cube: xr.Dataset) -> None:
    # A learning rate this high makes the last epoch worse than an earlier one.
    config = replace(SMALL, learning_rate=0.2, max_epochs=5)
    trained = train(cube, config)
    losses = [epoch["valid_loss"] for epoch in trained.history]
    assert min(losses) < losses[-1]
    assert validation_loss(trained, config) == pytest.approx(min(losses), rel=1e-4)


def test_training_stops_when_it_no_longer_gets_better(cube: xr.Dataset) -> None:
    trained = train(cube, replace(SMALL, learning_rate=0.2, max_epochs=50, steps_per_epoch=2, patience=2))
    losses = [epoch["valid_loss"] for epoch in trained.history]
    assert len(losses) == int(np.argmin(losses)) + 3 < 50


def test_the_seed_decides_all_and_the_global_random_state_is_left_alone(cube: xr.Dataset) -> None:
    config = replace(SMALL, max_epochs=1)
    before = torch.get_rng_state()
    first, again, other = (train(cube, config, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(before, torch.get_rng_state())
    assert equal(first, again)
    assert first.history == again.history
    assert not equal(first, other)


def test_resuming_gives_what_one_go_gives(cube: xr.Dataset, tmp_path: Path) -> None:
    whole = train(cube, SMALL, folder=tmp_path / "whole")
    train(cube, replace(SMALL, max_epochs=2), folder=tmp_path / "halves", resume=True)
    halves = train(cube, SMALL, folder=tmp_path / "halves", resume=True)
    assert halves.history == whole.history
    assert equal(halves, whole)
    assert {path.name for path in (tmp_path / "halves").iterdir()} == {"best.ckpt", "last.ckpt", "metrics.csv"}
    with open(tmp_path / "halves" / "metrics.csv", newline="") as stream:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]
    assert rows == whole.history


def test_resuming_with_more_patience_goes_on_even_where_the_folder_was_moved(
    cube: xr.Dataset, tmp_path: Path
) -> None:
    config = replace(SMALL, learning_rate=0.2, max_epochs=50, steps_per_epoch=2, patience=1)
    train(cube, config, folder=tmp_path / "here")
    shutil.move(tmp_path / "here", tmp_path / "there")
    resumed = train(cube, replace(config, patience=4), folder=tmp_path / "there", resume=True)
    losses = [epoch["valid_loss"] for epoch in resumed.history]
    assert len(losses) == int(np.argmin(losses)) + 5
    assert validation_loss(resumed, config) == pytest.approx(min(losses), rel=1e-4)


def test_a_new_training_forgets_an_old_folder(cube: xr.Dataset, tmp_path: Path) -> None:
    config = replace(SMALL, max_epochs=1)
    train(cube, replace(config, hidden=3), folder=tmp_path)
    assert equal(train(cube, config, folder=tmp_path), train(cube, config))


def test_time_that_is_up_ends_with_the_weights_so_far_and_can_be_resumed(cube: xr.Dataset, tmp_path: Path) -> None:
    stopped = train(cube, SMALL, folder=tmp_path, max_minutes=1e-9)
    assert len(stopped.history) == 1
    assert validation_loss(stopped, SMALL) == pytest.approx(stopped.history[0]["valid_loss"], rel=1e-4)
    resumed = train(cube, SMALL, folder=tmp_path, resume=True)
    assert [epoch["epoch"] for epoch in resumed.history] == sorted({epoch["epoch"] for epoch in resumed.history})
    assert len(resumed.history) >= SMALL.max_epochs
    assert resumed.history[0] == stopped.history[0]
    best = min(epoch["valid_loss"] for epoch in resumed.history)
    assert validation_loss(resumed, SMALL) == pytest.approx(best, rel=1e-4)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a checkpoint", bytes(1000)])
def test_a_damaged_checkpoint_is_told(cube: xr.Dataset, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "last.ckpt").write_bytes(content)
    with pytest.raises(InputError, match=r"last\.ckpt: .*`resume`"):
        train(cube, SMALL, folder=tmp_path, resume=True)


def test_resuming_with_other_settings_or_data_is_refused(cube: xr.Dataset, tmp_path: Path) -> None:
    config = replace(SMALL, max_epochs=1)
    train(cube, config, folder=tmp_path)
    with pytest.raises(InputError, match=r"not the same as before: model\.hidden, model\.batch_size$"):
        train(cube, replace(config, hidden=3, batch_size=2), folder=tmp_path, resume=True)
    with pytest.raises(InputError, match=r"not the same as before: the training data$"):
        train(cube.assign(anomaly=2 * cube["anomaly"]), config, folder=tmp_path, resume=True)


def test_progress_rises_to_one_and_nothing_else_is_said(
    cube: xr.Dataset, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    fractions: list[float] = []
    with caplog.at_level(logging.INFO):
        train(cube, replace(SMALL, max_epochs=2), progress=lambda stage, fraction: fractions.append(fraction))
    assert fractions == sorted(fractions)
    assert len(fractions) == 2 * SMALL.steps_per_epoch + 1
    assert fractions[-1] == 1
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_an_interrupt_stays_an_interrupt(cube: xr.Dataset, tmp_path: Path) -> None:
    def interrupt(stage: str, fraction: float) -> None:
        raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(cube, SMALL, folder=tmp_path, progress=interrupt)
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize("stops", [(1,), (6,), (8, 9, 17)], ids=["in the first epoch", "at its end", "often"])
def test_a_training_that_makes_way_at_any_step_ends_as_one_that_never_did(
    cube: xr.Dataset, tmp_path: Path, stops: tuple[int, ...]
) -> None:
    whole = train(cube, SMALL, folder=tmp_path / "whole")
    for stop in stops:
        with pytest.raises(PausedError, match=f"{stop} steps"):
            train(cube, SMALL, folder=tmp_path / "parts", resume=True, progress=asked_to_make_way(stop))
    parts = train(cube, SMALL, folder=tmp_path / "parts", resume=True)
    assert parts.history == whole.history
    assert equal(parts, whole)


def asked_to_make_way(step: int) -> Callable[[str, float], None]:
    """Return a progress that sends SIGUSR1 when so many steps are done."""

    def report(stage: str, fraction: float) -> None:
        if round(fraction * SMALL.max_epochs * SMALL.steps_per_epoch) == step:
            signal.raise_signal(signal.SIGUSR1)

    return report


def test_a_training_that_ended_is_not_gone_on_with(cube: xr.Dataset, tmp_path: Path) -> None:
    config = replace(SMALL, learning_rate=0.2, max_epochs=50, steps_per_epoch=2, patience=1)
    ended = train(cube, config, folder=tmp_path)
    again = train(cube, config, folder=tmp_path, resume=True)
    assert again.history == ended.history
    assert equal(again, ended)
