"""Training tiles: what is written is what the reference's layout says, and a network learns from it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import sereno
from sereno.climatology import fit_climatology
from sereno.config import ClimatologyConfig, RunConfig, parse_config
from sereno.errors import InputError
from sereno.workflow.bare_networks import BareNetwork, export_tiles, fit_tiles
from sereno.workflow.tile_files import is_tile_folder, read_scale, read_tiles, split_tiles

SIZE = (12, 16)
SMALL = {"method": "model1", "window": 5, "hidden": 2, "head": 3, "kernel": 3, "max_epochs": 2, "halo": 4}


def run_file(**model: object) -> RunConfig:
    settings = {"method": "convlstm", "window": 5, "tile": SIZE, "overlap": 0.5, "smallest_coverage": 0.1}
    return parse_config({"model": settings | model, "climatology": {"recent_days": 0}})


@pytest.fixture(scope="module")
def folder(sea: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("written") / "tiles"
    made, scale = export_tiles(sea, run_file(), target)
    assert made == (len(list(target.glob("training_data_*.npz"))), 5, *SIZE)
    assert scale == pytest.approx(read_scale(target))
    return target


def spoil(folder: Path, copy: Path, **content: np.ndarray) -> Path:
    """Return a copy of a folder, whose first tile has other content."""
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    with np.load(copy / "training_data_0.npz") as tile:
        arrays = {**tile, **content}
    np.savez(copy / "training_data_0.npz", **arrays)
    return copy


def test_every_tile_is_what_the_layout_says_of_the_anomalies(sea: xr.Dataset, folder: Path) -> None:
    visible = sea[["sst", "water"]]
    anomaly = fit_climatology(visible, ClimatologyConfig(recent_days=0)).anomalies(visible)["anomaly"].values
    water, days = sea["water"].values, sea["time"].values.astype("datetime64[D]")
    scale, stds, seen = read_scale(folder), [], []
    for path in folder.glob("training_data_*.npz"):
        with np.load(path) as tile:
            assert tile["sequence"].shape == (5, *SIZE, 2)
            assert tile["target"].shape == (*SIZE, 2)
            assert tile["sequence"].dtype == tile["target"].dtype == np.float32
            day = int(np.flatnonzero(days == np.datetime64(str(tile["day"])))[0])
            row, column = tile["corner"].tolist()
            crop = slice(row, row + SIZE[0]), slice(column, column + SIZE[1])
            window = anomaly[day - 2 : day + 3, *crop].copy()
            target, land = window[2].copy(), ~water[crop]
            window[2] = np.nan  # the central day is wholly hidden
            shown = window[np.isfinite(window)].astype(float)
            mean, std = (shown.mean(), shown.std()) if shown.size else (0.0, 0.0)
            stds.append(std)
            seen.append((day, row, column))
            assert tile["mean"] == pytest.approx(mean, abs=1e-5)
            assert tile["std"] == pytest.approx(std, abs=1e-5)
            for values, stored in ((window, tile["sequence"]), (target, tile["target"])):
                observed = np.isfinite(values)
                np.testing.assert_allclose(stored[..., 0], np.where(observed, (values - mean) / scale, 0), atol=1e-5)
                np.testing.assert_array_equal(stored[..., 1], np.where(land, -1, observed))
            assert np.isfinite(target).mean() >= 0.1
    assert scale == pytest.approx(max(stds), rel=1e-5)
    assert len(set(seen)) == len(seen)
    enough = [
        (day, row, column)
        for day in range(2, len(days) - 2)
        for row in (0, 6, 12)
        for column in (0, 8, 16)
        if np.isfinite(anomaly[day, row : row + 12, column : column + 16]).mean() >= 0.1
    ]
    assert sorted(seen) == enough


def test_numbers_follow_the_days(folder: Path) -> None:
    tiles = read_tiles(folder)
    assert is_tile_folder(folder)
    assert tiles.shape == (5, *SIZE)
    assert tiles.land
    assert (np.diff(tiles.days).astype(int) >= 0).all()


def test_tiles_are_split_by_their_days_with_a_gap(folder: Path) -> None:
    network = run_file().model
    training, validation = split_tiles(read_tiles(folder), network, seed=0)  # type: ignore[arg-type]
    assert validation.days.min() - training.days.max() > np.timedelta64(network.window, "D")
    assert len(validation) & (len(validation) - 1) == 0
    orders = [[sample[1].tobytes() for sample in training.of_epoch(epoch)] for epoch in (0, 1)]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


@pytest.mark.thorough
def test_a_network_learns_from_tiles_and_is_completed_by_the_sea_it_is_used_on(
    sea: xr.Dataset, folder: Path, tmp_path: Path
) -> None:
    config = parse_config({"model": SMALL, "climatology": {"recent_days": 0}})
    bare = fit_tiles(folder, config, folder=tmp_path / "training")
    assert isinstance(bare, BareNetwork)
    assert bare.config.model.tile == SIZE  # type: ignore[union-attr]
    assert bare.state.values["scale"] == pytest.approx(read_scale(folder))
    assert (tmp_path / "training" / "metrics.csv").exists()
    loaded = sereno.load(sereno.save(bare, tmp_path / "bare"))
    assert isinstance(loaded, BareNetwork)
    assert loaded.config == bare.config
    told = json.loads((tmp_path / "bare" / "model.json").read_text())
    assert "tiles" in told["weights_from"]
    days = read_tiles(folder).days
    assert told["weights_period"] == f"{days.min() - 2}:{days.max() + 2}"
    one, other = (sereno.fill(sea, model, days="2019-02-01").compute() for model in (bare, loaded))
    xr.testing.assert_identical(one, other)
    assert np.isfinite(one["mean"].values[0][sea["water"]]).all()
    scores = sereno.evaluate(sea, {"bare": loaded}, days="2019-04-01:").scores
    assert scores["fitted"]["bare"]["fitted_here"]
    assert scores["fitted"]["bare"]["weights"]["holds_scored_days"] is True
    later = replace(loaded, period="2018-01-01:2018-12-31")
    assert sereno.evaluate(sea, {"bare": later}, days="2019-04-01:").scores["fitted"]["bare"]["weights"] == {
        "from": bare.origin,
        "period": "2018-01-01:2018-12-31",
        "holds_scored_days": False,
    }


@pytest.mark.thorough
def test_the_scored_days_do_not_complete_a_bare_network(sea: xr.Dataset, folder: Path) -> None:
    """What is withheld changes neither its climatology, nor its scale, nor its uncertainty."""
    bare = replace(fit_tiles(folder, parse_config({"model": SMALL})), origin="")
    bare.state.values["scale"] = 0.0
    withheld = sereno.evaluate(sea, {"bare": bare}, days="2019-03-01:", seed=1).withheld
    everywhere = withheld.reindex(time=sea["time"], fill_value=False)
    spoilt = sea.assign(sst=sea["sst"].where(~everywhere, 400))
    models = [
        sereno.evaluate(cube, {"bare": bare}, days="2019-03-01:", seed=1).models["bare"] for cube in (sea, spoilt)
    ]
    states = [model.reconstructor.state() for model in models]
    assert states[0].values == states[1].values
    for name, tensor in states[0].tensors.items():
        np.testing.assert_array_equal(tensor, states[1].tensors[name])
    xr.testing.assert_identical(states[0].fields, states[1].fields)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"sequence": np.zeros((5, 12, 16))}, r"training_data_0\.npz: sequence \(5, 12, 16\)"),
        ({"target": np.zeros((16, 12, 2))}, r"a tile has sequence"),
        ({"sequence": np.zeros((5, 8, 8, 2)), "target": np.zeros((8, 8, 2))}, "keep one size a folder"),
    ],
)
def test_tiles_of_another_layout_are_refused(
    folder: Path, tmp_path: Path, content: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_tiles(spoil(folder, tmp_path / "spoilt", **content))


def test_a_damaged_tile_is_named(folder: Path, tmp_path: Path) -> None:
    for name in ("training_data_0.npz", "training_data_7.npz"):
        spoilt = spoil(folder, tmp_path / name[:-4])
        (spoilt / name).write_bytes((folder / name).read_bytes()[:200])
        with pytest.raises(InputError, match=rf"{name}: cannot be read: .*truncated or damaged\? a training tile"):
            read_tiles(spoilt)


def test_tiles_without_their_scale_are_told_what_is_missing(folder: Path, tmp_path: Path) -> None:
    spoilt = spoil(folder, tmp_path / "spoilt")
    (spoilt / "max_std_seq.npz").unlink()
    assert is_tile_folder(spoilt)
    with pytest.raises(InputError, match=r"max_std_seq\.npz: no such file"):
        read_tiles(spoilt)


def test_tiles_without_days_can_only_be_split_at_random(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "foreign"
    target.mkdir()
    for path in [*sorted(folder.glob("training_data_*"))[:40], folder / "max_std_seq.npz"]:
        with np.load(path) as tile:
            np.savez(target / path.name, **{name: tile[name] for name in tile if name not in ("day", "corner")})
    tiles, network = read_tiles(target), run_file().model
    with pytest.raises(InputError, match="cannot be split in time"):
        split_tiles(tiles, network, seed=0)  # type: ignore[arg-type]
    training, validation = split_tiles(tiles, replace(network, split="random"), seed=0)  # type: ignore[arg-type, type-var]
    assert not set(training.paths) & set(validation.paths)
    assert len(training) + len(validation) == len(tiles)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": {"method": "interpolation"}}, "tiles train a network"),
        ({"model": SMALL | {"window": 7}}, r"set model\.window=5"),
        ({"model": SMALL, "train": ":2019-02"}, "leave train and valid out"),
    ],
)
def test_what_does_not_go_with_tiles_is_refused(folder: Path, values: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        fit_tiles(folder, parse_config(values))


def test_nothing_is_left_where_no_tile_shows_enough(sea: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no tile of 12 × 16 cells shows 100%"):
        export_tiles(sea, run_file(smallest_coverage=1.0), tmp_path / "tiles")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("told", ["0", "-1", "nan", "nowhere.npz"])
def test_a_scale_must_be_a_number_above_zero(told: str) -> None:
    with pytest.raises(InputError, match="max_std_seq"):
        read_scale(told)
    assert read_scale("0.7") == 0.7
