import csv
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
import xarray as xr

from sereno import cli
from sereno.cli import demo, progress
from sereno.config import configure
from sereno.cube import make_cube
from sereno.io.inputs.cube import open_cube
from sereno.io.stores.filled import FilledStore
from sereno.io.stores.prepared import write_cube
from sereno.synthetic import TwinSeaConfig, write_l3s
from sereno.workflow.fit import cautions, fit
from sereno.workflow.models import save

COMMANDS = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
SCORES = {"rmse", "bias", "std", "mae", "r2", "crps", "coverage_1sigma", "seconds"}
TINY = """
train = ":2019-01-20"
valid = "2019-01-28:"
[model]
method = "convlstm"
window = 5
hidden = 2
layers = 1
head = 2
kernel = 3
tile = [16, 16]
halo = 4
batch_size = 2
steps_per_epoch = 2
max_epochs = 2
validation_windows = 2
"""


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command within this process and return its exit code and what it printed."""
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*words: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["sereno", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        printed = capsys.readouterr()
        return Result(int(caught.value.code or 0), printed.out, printed.err)

    return run


def well(result: Result) -> Result:
    assert result.code == 0, result.err
    assert "error" not in result.err
    return result


@pytest.fixture(scope="module")
def sea(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `l3s/`, `truth.nc` and `mask.nc` of forty days, and `cube.zarr` prepared from them."""
    folder = tmp_path_factory.mktemp("sea")
    write_l3s(TwinSeaConfig(days=40, shape=(24, 32)), folder)
    cube = open_cube(folder / "l3s", water=folder / "mask.nc")
    write_cube(cube, folder / "cube.zarr")
    write_cube(cube.assign(truth=open_cube(folder / "truth.nc", variable="truth")["sst"]), folder / "known.zarr")
    return folder


@pytest.fixture(scope="module")
def model(sea: Path) -> Path:
    """A model of linear interpolation, which is quick to fit."""
    return save(fit(open_cube(sea / "cube.zarr"), "linear"), sea / "model")


@pytest.fixture(scope="module")
def smooth_model(sea: Path) -> Path:
    """A model of a method that departs from observations, and looks at days around whatever is seen of the day."""
    return save(fit(open_cube(sea / "cube.zarr"), "interpolation"), sea / "smooth")


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `evaluate` draw neither figures nor a report, which take as long as the scores."""
    monkeypatch.setattr("sereno.report.page.save_report", lambda *_, **__: Path("report.html"))
    monkeypatch.setattr("sereno.report.score_figures.save_score_figures", lambda *_, **__: [])


def read(path: Path) -> xr.Dataset:
    if path.suffix == ".zarr":
        return xr.open_zarr(path).load()
    with xr.open_dataset(path) as dataset:
        return dataset.load()


def table(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


# Help


@pytest.mark.parametrize("verb", COMMANDS)
def test_help_groups_the_options_of_a_verb(verb: str) -> None:
    options = [option for option in COMMANDS[verb].params if option.param_type_name == "option"]
    order = [None, "Input", "Output", "Method", "Scoring", "Large jobs"]
    panels = [order.index(option.rich_help_panel) for option in options]
    assert panels == sorted(panels)
    assert {option.name for option in options if option.rich_help_panel is None} <= {"seed"}


def test_help_answers_without_importing_anything_heavy() -> None:
    heavy = ("torch", "lightning", "xarray", "numpy", "pandas", "dask", "matplotlib", "netCDF4", "scipy", "pydantic")
    code = (
        "import sys; from sereno import cli; sys.argv = ['sereno', '--help']\n"
        "try: cli.main()\n"
        f"finally: print('loaded', [name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "loaded []" in done.stdout
    for verb in COMMANDS:
        assert f" {verb} " in done.stdout


def test_to_fill_needs_nothing_that_only_training_does() -> None:
    code = (
        "import sys, sereno.workflow.fill_to; from sereno.methods import METHODS, method_class\n"
        "[method_class(name) for name in METHODS]\n"
        "print('lightning' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("verb", COMMANDS)
def test_the_help_of_each_verb_shows_an_example_that_its_options_understand(run: Run, verb: str) -> None:
    told = " ".join(well(run(verb, "--help")).out.split())
    _, marked, example = told.partition("Example: ")
    assert marked
    name, named, *words = shlex.split(example)
    assert (name, named) == ("sereno", verb)
    COMMANDS[verb].make_context(verb, list(words))


def test_the_command_is_installed() -> None:
    command = Path(sys.executable).with_name("sereno")
    done = subprocess.run([command, "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "fill" in done.stdout


def test_no_word_at_all_shows_the_help(run: Run) -> None:
    result = run()
    assert result.code == 2
    assert "Usage: " in result.out + result.err


# check and prepare


def test_check_tells_what_the_input_holds_within_eighty_columns(run: Run, sea: Path) -> None:
    result = well(run("check", sea / "l3s", "--water", sea / "mask.nc"))
    told = " ".join(result.out.split())
    for words in (
        "adjusted_sea_surface_temperature (kelvin, subskin)",
        "24 × 32 (lat × lon), 40.250 to 41.688 N, 8.062 to 10.000 E",
        "2019-01-01:2019-02-09, 40 days",
        "0 without a file",
        "no problem found",
    ):
        assert words in told
    rows = [row for row in result.out.splitlines() if "mask.nc" not in row]
    assert max(len(row.rstrip()) for row in rows) <= 80
    assert result.err == ""


def test_check_notes_on_stderr_what_it_had_to_assume(run: Run, sea: Path, tmp_path: Path) -> None:
    folder = tmp_path / "gappy"
    folder.mkdir()
    for path in [p for index, p in enumerate(sorted((sea / "l3s").iterdir())) if index not in (3, 4)]:
        (folder / path.name).symlink_to(path)
    result = well(run("check", folder))
    assert "note: 2 missing days taken as empty images: 2019-01-04, 2019-01-05" in result.err
    assert "note: no mask in the input" in result.err
    assert "2 without a file" in " ".join(result.out.split())


def test_check_respects_variable_and_quality(run: Run, sea: Path) -> None:
    result = well(run("check", sea / "l3s", "--variable", "sea_surface_temperature", "--quality", 5))
    assert " sea_surface_temperature (kelvin" in result.out


@pytest.mark.parametrize(("name", "told"), [("cube.zarr", ": 40 days"), ("cube.nc", "")])
def test_prepare_writes_a_cube_that_reads_back_the_same(
    run: Run, sea: Path, tmp_path: Path, name: str, told: str
) -> None:
    result = well(run("prepare", sea / "l3s", "-o", tmp_path / name, "--water", sea / "mask.nc"))
    assert result.out == f"wrote {tmp_path / name}{told}\n"
    assert "write: 100 %" in result.err
    xr.testing.assert_equal(open_cube(tmp_path / name), open_cube(sea / "l3s", water=sea / "mask.nc"))
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_prepare_coarsens_takes_the_anomaly_and_goes_on_with_new_days(run: Run, sea: Path, tmp_path: Path) -> None:
    files = sorted((sea / "l3s").iterdir())
    table = open_cube(sea / "cube.zarr")["sst"].mean("time").fillna(290).expand_dims(dayofyear=np.arange(1, 367))
    table.assign_attrs(units="kelvin").to_netcdf(tmp_path / "clim.nc")
    words = ("-o", tmp_path / "cube.zarr", "--grid", "1/8", "--min-observations", 2, "--land", sea / "mask.nc")
    words += ("--climatology", tmp_path / "clim.nc", "--workers", 1)
    assert "cube.zarr: 3 days" in well(run("prepare", *files[:3], *words)).out
    result = well(run("prepare", *files[:3], files[4], *words))
    assert "cube.zarr: 1 days" in result.out
    assert "note: 1 missing days taken as empty images: 2019-01-04" in result.err
    cube = open_cube(tmp_path / "cube.zarr")
    assert dict(cube.sizes) == {"time": 5, "lat": 12, "lon": 16}
    assert read(tmp_path / "cube.zarr")["anomaly"].notnull().any()
    result = run("prepare", *files[:5], "-o", tmp_path / "cube.zarr", "--grid", "1/4", "--resample", "nearest")
    assert result.code == 2
    assert "was made by sereno prepare with other settings" in result.err


# describe


@pytest.mark.thorough
def test_describe_writes_all_its_files_and_a_summary_within_eighty_columns(
    run: Run, sea: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "description"
    result = well(run("describe", sea / "l3s", "--water", sea / "mask.nc", "-o", folder))
    written = [line.removeprefix("wrote ") for line in result.out.splitlines() if line.startswith("wrote ")]
    names = ["describe.nc", "describe.csv", "cover.png", "persistence.png", "coverage.png", "distributions.png"]
    assert written == [str(folder / name) for name in names]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    assert [path.name for path in tmp_path.iterdir()] == ["description"]
    told = " ".join(result.out.split())
    for words in ("adjusted_sea_surface_temperature", "2019-01-01:2019-02-09, 40 days", "cloud cover", "cut off"):
        assert words in told
    assert max(len(row.rstrip()) for row in result.out.splitlines() if str(folder) not in row) <= 80
    cube, found = open_cube(sea / "cube.zarr").load(), read(folder / "describe.nc")
    missing = 100 * cube["sst"].isnull().mean("time").where(cube["water"])
    np.testing.assert_allclose(found["cloud_cover"], missing, rtol=1e-5)
    rows = {(row["quantity"], row["statistic"], row["at"]): row["value"] for row in table(folder / "describe.csv")}
    assert float(rows["cloud_cover", "mean over pixels", ""]) == pytest.approx(float(missing.mean()), rel=1e-5)


@pytest.mark.thorough
def test_describe_takes_days_settings_and_a_run_file(run: Run, sea: Path, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('quality_level = 5\n[model]\nmethod = "convlstm"\n')
    words = ("--config", tmp_path / "run.toml", "--set", "climatology.neighbours=3", "--days", "2019-02")
    well(run("describe", sea / "l3s", "-o", tmp_path / "out", *words))
    found = read(tmp_path / "out" / "describe.nc")
    assert found.attrs["period"] == "2019-02-01:2019-02-09"
    assert "quality_level = 5" in found.attrs["sereno_config"]
    assert "neighbours = 3" in found.attrs["sereno_config"]
    strict = open_cube(sea / "l3s", quality_level=5).sel(time="2019-02")["sst"]
    assert found["sst_observations"] == int(strict.notnull().sum())


def test_ctrl_c_while_describing_leaves_nothing(interrupt_here: Callable[..., Result], tmp_path: Path) -> None:
    write_cube(a_cube(days=60), tmp_path / "cube.zarr")
    result = interrupt_here("describe", tmp_path / "cube.zarr", "-o", tmp_path / "out", at="distributions")
    assert result.code == 130
    assert "Traceback" not in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["cube.zarr"]


def test_describe_does_not_write_into_the_folder_of_the_input(run: Run, sea: Path) -> None:
    assert "it is the input" in refused(run, sea, "describe", sea / "l3s", "-o", sea / "l3s")


# fit and fill


def check_analysis(analysis: xr.Dataset, days: int = 40) -> None:
    water = analysis["mask"].values == 1
    assert water.any()
    assert (~water).any()
    assert analysis.sizes == {"time": days, "lat": 24, "lon": 32}
    assert np.isfinite(analysis["analysed_sst"].values[water]).all()
    assert (analysis["analysis_error"].values[water] > 0).all()
    assert analysis["analysed_sst"].isnull().values[~water].all()


@pytest.mark.parametrize("name", ["out.nc", "out.zarr"])
def test_fill_writes_a_whole_sea(run: Run, sea: Path, model: Path, tmp_path: Path, name: str) -> None:
    result = well(run("fill", sea / "cube.zarr", "-m", model, "-o", tmp_path / name))
    assert result.out == f"wrote {tmp_path / name}: 40 days by linear\n"
    analysis = read(tmp_path / name)
    check_analysis(analysis)
    assert analysis["analysed_sst"].attrs["standard_name"] == "sea_surface_subskin_temperature"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_fill_writes_a_folder_of_daily_files(run: Run, sea: Path, model: Path, tmp_path: Path) -> None:
    result = well(
        run("fill", sea / "cube.zarr", "-m", model, "-o", tmp_path / "days", "--days", "2019-01-05:2019-01-07")
    )
    assert result.out == f"wrote {tmp_path / 'days'}: 3 days by linear\n"
    files = sorted((tmp_path / "days").iterdir())
    assert [path.name[:8] for path in files] == ["20190105", "20190106", "20190107"]
    check_analysis(read(files[0]), days=1)


def test_fill_by_a_method_s_name_fits_it_on_the_fly_and_reads_raw_images(run: Run, sea: Path, tmp_path: Path) -> None:
    well(run("fill", sea / "l3s", "-m", "climatology", "-o", tmp_path / "out.nc", "--water", sea / "mask.nc"))
    check_analysis(read(tmp_path / "out.nc"))


@pytest.mark.parametrize("name", ["out.txt", "nowhere/out.nc", "nowhere/days"])
def test_a_place_where_nothing_can_be_written_is_refused_before_the_work(run: Run, tmp_path: Path, name: str) -> None:
    result = run("fill", tmp_path / "no-such-input.nc", "-m", "oi", "-o", tmp_path / name)
    assert result.code == 2
    assert name.split("/")[0] in result.err
    assert "no-such-input" not in result.err


def test_keep_observed_leaves_every_observation_as_it_was(
    run: Run, sea: Path, smooth_model: Path, tmp_path: Path
) -> None:
    well(
        run("fill", sea / "cube.zarr", "-m", smooth_model, "-o", tmp_path / "out.nc", "--keep-observed", "--unpacked")
    )
    analysis, cube = read(tmp_path / "out.nc"), open_cube(sea / "cube.zarr").load()
    seen = (cube["sst"].notnull() & cube["water"]).values
    assert seen.sum() > 1000
    np.testing.assert_array_equal(analysis["analysed_sst"].values[seen], cube["sst"].values[seen])
    np.testing.assert_array_equal(analysis["source_flag"].values == 1, seen)
    well(run("fill", sea / "cube.zarr", "-m", smooth_model, "-o", tmp_path / "changed.nc", "--unpacked"))
    changed = read(tmp_path / "changed.nc")["analysed_sst"].values
    assert (changed[seen] != cube["sst"].values[seen]).any()
    np.testing.assert_array_equal(changed[~seen], analysis["analysed_sst"].values[~seen])


def test_near_real_time_sees_nothing_that_came_later(run: Run, sea: Path, smooth_model: Path, tmp_path: Path) -> None:
    day = "2019-01-20"
    write_cube(open_cube(sea / "cube.zarr").sel(time=slice(None, day)), tmp_path / "past.zarr")
    options = ("-m", smooth_model, "--days", day, "--unpacked", "-o")
    well(run("fill", sea / "cube.zarr", "--nrt", *options, tmp_path / "nrt.nc"))
    well(run("fill", tmp_path / "past.zarr", *options, tmp_path / "past.nc"))
    well(run("fill", sea / "cube.zarr", *options, tmp_path / "delayed.nc"))
    nrt, past, delayed = (read(tmp_path / f"{name}.nc")["analysed_sst"].values for name in ("nrt", "past", "delayed"))
    np.testing.assert_array_equal(nrt, past)
    assert np.nanmax(np.abs(nrt - delayed)) > 0.01


def test_days_chooses_what_is_written_and_changes_no_value(run: Run, sea: Path, model: Path, tmp_path: Path) -> None:
    well(run("fill", sea / "cube.zarr", "-m", model, "-o", tmp_path / "all.nc"))
    well(run("fill", sea / "cube.zarr", "-m", model, "-o", tmp_path / "some.nc", "--days", "2019-02"))
    some = read(tmp_path / "some.nc")
    assert some.sizes["time"] == 9
    np.testing.assert_array_equal(some["analysed_sst"], read(tmp_path / "all.nc")["analysed_sst"].sel(time="2019-02"))


@pytest.mark.thorough
def test_members_are_trained_and_kept(run: Run, sea: Path, tmp_path: Path) -> None:
    small = ["weights=fresh", "widths=[4,8]", "window=5", "tuning_steps=1", "windows_kept=8", "validation_windows=4"]
    small += ["batch_size=4", "steps_per_epoch=1", "max_epochs=1"]
    words = [word for setting in small for word in ("--set", f"model.{setting}")]
    words += ["--members", "2", "--set", "calibration_days=8"]
    well(run("fit", sea / "cube.zarr", "-m", "unet", *words, "-o", tmp_path / "model"))
    told = json.loads((tmp_path / "model" / "model.json").read_text())
    assert told["config"]["model"]["members"] == 2
    for member in ("member-0", "member-1"):
        assert (tmp_path / "model.training" / member / "losses.png").stat().st_size > 0


def test_members_are_for_networks_that_have_them(run: Run, sea: Path, tmp_path: Path) -> None:
    result = run("fit", sea / "cube.zarr", "-m", "oi", "--members", 2, "-o", tmp_path / "model")
    assert result.code == 2
    assert "error: --members 2: oi has no members; unet and convlstm-unet have" in result.err
    packaged = ("--set", "model.weights=packaged", "-o", tmp_path / "model")
    result = run("fit", sea / "cube.zarr", "-m", "unet", "--members", 2, *packaged)
    assert result.code == 2
    assert "error: --members 2:\n  model: members: the package holds one network" in result.err


@pytest.mark.parametrize("verb", ["fill", "evaluate"])
def test_weights_of_the_package_are_told_to_be_such(run: Run, tmp_path: Path, verb: str) -> None:
    told = "note: the pre-trained network is used unchanged"
    words = (verb, tmp_path / "gone.nc", "-o", tmp_path / "out.nc")
    assert told in run(*words, "-m", "unet").err
    (tmp_path / "packaged.toml").write_text('[model]\nmethod = "unet"\nweights = "packaged"\n')
    assert told in run(*words, "-m", tmp_path / "packaged.toml").err
    assert told not in run(*words, "-m", "oi").err


@pytest.mark.thorough
def test_who_fits_or_fills_is_cautioned_of_short_records_and_fine_cells(
    run: Run, sea: Path, model: Path, tmp_path: Path
) -> None:
    short = "note: 40 days show no seasonal cycle: the climatology is only their mean"
    told = well(run("fit", sea / "cube.zarr", "-m", "climatology", "-o", tmp_path / "model")).err
    assert told.count(short) == 1
    assert "cells of" not in told
    told = well(run("fill", sea / "cube.zarr", "-m", "climatology", "-o", tmp_path / "out.nc")).err
    assert told.count(short) == 1
    assert short not in well(run("fill", sea / "cube.zarr", "-m", model, "-o", tmp_path / "by-model.nc")).err
    cube = open_cube(sea / "cube.zarr").load()
    network = configure("unet")
    assert len(cautions(cube, network)) == 1
    fine = cube.assign_coords(lat=40 + cube["lat"] / 100, lon=cube["lon"] / 100)
    assert cautions(fine, network)[1].startswith("cells of 0.000625° × 0.000625°: the pre-trained network")
    long = cube.isel(time=[0] * 300).assign_coords(time=pd.date_range("2019-01-01", periods=300))
    assert cautions(long, network) == []


def test_a_network_is_fitted_by_its_run_file_and_overrides_and_fills(run: Run, sea: Path, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(TINY)
    words = ("--config", tmp_path / "run.toml", "--set", "model.hidden=3", "--seed", 5)
    result = well(run("fit", sea / "cube.zarr", *words, "-o", tmp_path / "model", "--resume"))
    assert f"--resume: {tmp_path / 'model.training'} holds no training to continue; a new one begins" in result.err
    assert f"wrote {tmp_path / 'model'}: convlstm fitted on 2019-01-01:2019-01-20" in result.out
    assert "training: 100 %" in result.err
    assert "calibration: 100 %" in result.err
    made = json.loads((tmp_path / "model" / "model.json").read_text())["config"]
    assert made["model"]["hidden"] == 3
    assert made["model"]["head"] == 2
    assert made["seed"] == 5
    well(run("fill", sea / "cube.zarr", "-m", tmp_path / "model", "-o", tmp_path / "out.nc"))
    check_analysis(read(tmp_path / "out.nc"))


def test_tiles_train_a_network_that_fills(run: Run, sea: Path, tmp_path: Path) -> None:
    words = ("--size", 16, 16, "--window", 5, "--coverage", 0.2, "--most", 40)
    assert "40 tiles of 5 × 16 × 16" in well(run("tiles", sea / "cube.zarr", "-o", tmp_path / "tiles", *words)).out
    small = ("--set", "model.hidden=2", "--set", "model.head=2", "--set", "model.window=5")
    told = well(
        run("fit", tmp_path / "tiles", "-m", "model1", *small, "--set", "model.max_epochs=2", "-o", tmp_path / "net")
    )
    assert "a bare network" in told.out
    assert (tmp_path / "net.training" / "losses.png").read_bytes().startswith(b"\x89PNG")
    well(run("fill", sea / "cube.zarr", "-m", tmp_path / "net", "-o", tmp_path / "out.nc", "--days", "2019-01-20"))
    water = open_cube(sea / "cube.zarr")["water"].values
    np.testing.assert_array_equal(np.isfinite(read(tmp_path / "out.nc")["analysed_sst"][0]), water)


def test_a_random_split_says_that_it_leaks(run: Run, sea: Path, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(
        TINY.replace("valid =", "# valid =").replace("max_epochs = 2", "max_epochs = 1")
    )
    settings = ("--set", "model.windows=tiles", "--set", "model.split=random", "--set", "model.most_tiles=8")
    told = well(run("fit", sea / "cube.zarr", "--config", tmp_path / "run.toml", *settings, "-o", tmp_path / "net"))
    assert "leaks" in told.err
    assert "leaks" not in well(run("fit", sea / "cube.zarr", "-m", "climatology", "-o", tmp_path / "model")).err


@pytest.mark.usefixtures("undrawn")
def test_a_keras_network_is_imported_and_fills(run: Run, sea: Path, tmp_path: Path) -> None:
    network = Path(__file__).parents[1] / "data" / "keras" / "sequential.keras"
    told = well(run("import-keras", network, "-o", tmp_path / "net", "--max-std-seq", 0.7))
    assert "without --climatology" in told.err
    assert "max-std-seq" not in told.err
    well(run("fill", sea / "cube.zarr", "-m", tmp_path / "net", "-o", tmp_path / "out.nc", "--days", "2019-01-20"))
    words = ("-m", tmp_path / "net", "-m", "climatology", "--protocol", "hidden-day", "-o", tmp_path / "scores")
    assert "MBE" in well(run("evaluate", sea / "cube.zarr", *words)).out


def test_options_win_over_the_run_file(run: Run, sea: Path, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('train = ":2019-01-10"\nseed = 1\n[model]\nmethod = "climatology"\n')
    words = ("--config", tmp_path / "run.toml", "--train", ":2019-01-30", "-m", "linear")
    result = well(run("fit", sea / "cube.zarr", *words, "-o", tmp_path / "model"))
    assert "linear fitted on 2019-01-01:2019-01-30" in result.out
    assert json.loads((tmp_path / "model" / "model.json").read_text())["config"]["seed"] == 1


# evaluate


def test_evaluate_scores_every_method_on_the_same_pixels(run: Run, sea: Path, tmp_path: Path) -> None:
    folder, model = tmp_path / "scores", tmp_path / "model"
    well(run("fit", sea / "cube.zarr", "-m", "linear", "-o", model, "--train", ":2019-01-25"))
    words = ("-m", "climatology", "-m", model, "--days", "2019-01-28:", "--relative-to", "climatology")
    result = well(run("evaluate", sea / "cube.zarr", *words, "-o", folder))
    files = ["daily.csv", "maps.nc", "report.html", "scores.csv", "scores.json", "strata.csv", "strata.png"]
    files += ["triptych_climatology.png", "triptych_model.png", "withheld.nc"]
    assert sorted(path.name for path in folder.iterdir()) == files
    assert all(f"wrote {folder / name}" in result.out for name in files)
    scores = json.loads((folder / "scores.json").read_text())
    assert scores["protocol"] == "clouds"
    assert list(scores["methods"]) == ["climatology", "model"]
    assert "truth" not in scores
    for scored in scores["methods"].values():
        assert set(scored) >= SCORES
        assert all(np.isfinite(scored[name]) for name in SCORES)
    withheld = read(folder / "withheld.nc")["withheld"]
    assert int(withheld.sum()) == scores["n_pixels"] > 100
    seen = open_cube(sea / "cube.zarr")["sst"].notnull().sel(time=withheld["time"])
    assert bool(seen.where(withheld == 1, True).all())
    rows = table(folder / "scores.csv")
    # The model was fitted on the days before, climatology here on all but the withheld pixels.
    assert [row["method"] for row in rows if row["kind"] == "method"] == ["climatology", "model"]
    assert [row["method"] for row in rows if row["kind"] == "baseline"] == ["climatology of model"]
    assert set(scores["baselines"]) == {"climatology of climatology", "climatology of model"}
    binned = table(folder / "strata.csv")
    for stratum in ("cloud_cover", "season", "distance_to_coast"):
        pixels = [int(r["n_pixels"]) for r in binned if (r["stratum"], r["method"]) == (stratum, "model")]
        assert sum(pixels) == scores["n_pixels"]
    scored = scores["methods"]["model"]
    assert float(rows[1]["rmse"]) == scored["rmse"]
    assert [float(rows[1][name]) for name in ("rmse_low", "rmse_high")] == scored["rmse_interval"]
    assert float(rows[1]["ratio_rmse"]) == scored["ratio"]["rmse"]
    assert scored["ratio"]["rmse"] == pytest.approx(scored["rmse"] / scores["methods"]["climatology"]["rmse"])
    daily = table(folder / "daily.csv")
    assert sum(int(row["pixels"]) for row in daily if row["method"] == "model") == scores["n_pixels"]
    maps = read(folder / "maps.nc")
    np.testing.assert_array_equal(maps["pixels"][0], withheld.sum("time"))
    shown = [line.split() for line in result.out.splitlines()]
    cells = next(line for line in shown if line[:1] == ["model"])
    low, high = scored["rmse_interval"]
    assert cells[1:4] == [f"{scored['rmse']:.3f}", f"{low:.3f}–{high:.3f}", f"{scored['ratio']['rmse']:.3f}"]
    assert max(len(row.rstrip()) for row in result.out.splitlines() if str(tmp_path) not in row) <= 80
    assert "note: climatology was fitted on 2019-01-01:2019-02-09" in result.out
    assert "time: seconds that filling and scoring took" in " ".join(result.out.split())


@pytest.mark.usefixtures("undrawn")
def test_evaluate_scores_against_the_truth_where_there_is_one(run: Run, sea: Path, tmp_path: Path) -> None:
    well(run("evaluate", sea / "known.zarr", "-m", "linear", "-m", "climatology", "-o", tmp_path))
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert set(scores["truth"]["methods"]) == set(scores["methods"]) == {"linear", "climatology"}
    for name, scored in scores["truth"]["methods"].items():
        assert set(scored) >= SCORES
        assert scored["rmse"] < scores["methods"][name]["rmse"]  # the truth is without the noise
    rows = table(tmp_path / "scores.csv")
    assert {row["against"] for row in rows} == {"withheld observations", "truth"}
    assert len(rows) == 4


@pytest.mark.usefixtures("undrawn")
def test_evaluate_scores_exactly_the_pixels_that_the_input_withholds(run: Run, sea: Path, tmp_path: Path) -> None:
    cube = open_cube(sea / "cube.zarr").load()
    hidden = cube["sst"].where(cube["time"].isin(cube["time"][[9, 12, 14]]))[:, ::2].reindex_like(cube)
    assert int(hidden.notnull().sum()) > 50
    cube["sst_withheld"] = hidden
    cube["sst"] = cube["sst"].where(hidden.isnull())
    write_cube(cube, tmp_path / "cube.zarr")
    well(run("evaluate", tmp_path / "cube.zarr", "-m", "climatology", "-o", tmp_path / "scores"))
    scores = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert scores["n_pixels"] == int((hidden.notnull() & cube["water"]).sum())


@pytest.mark.usefixtures("undrawn")
def test_evaluate_scores_the_pixels_of_an_earlier_run_again(run: Run, sea: Path, tmp_path: Path) -> None:
    words = ("evaluate", sea / "cube.zarr", "-m", "climatology")
    well(run(*words, "-o", tmp_path / "one", "--protocol", "hidden-day", "--share", 0.1, "--seed", 3, "--nrt"))
    index = tmp_path / "one" / "withheld.nc"
    result = well(run(*words, "-o", tmp_path / "two", "--withheld", index, "--nrt"))
    assert "protocol hidden-day, in near real time" in result.out
    one, two = (json.loads((tmp_path / name / "scores.json").read_text()) for name in ("one", "two"))
    assert one["nrt"] is two["nrt"] is True
    assert one["methods"]["climatology"]["rmse"] == two["methods"]["climatology"]["rmse"]
    np.testing.assert_array_equal(read(index)["withheld"], read(tmp_path / "two" / "withheld.nc")["withheld"])
    told = refused(run, tmp_path, *words, "-o", tmp_path / "three", "--withheld", tmp_path / "gone.nc")
    assert "gone.nc: no such file" in told


@pytest.mark.usefixtures("undrawn")
def test_a_run_file_stands_for_a_method_with_settings(run: Run, sea: Path, tmp_path: Path) -> None:
    file = tmp_path / "published.toml"
    file.write_text('[model]\nmethod = "oi"\ncovariance = "exponential"\nparameters = "paper"\nobservations = 12\n')
    result = run(
        "evaluate",
        sea / "cube.zarr",
        "-m",
        "climatology",
        "-m",
        file,
        "-o",
        tmp_path / "out",
        "--train",
        ":2019-01-20",
    )
    assert result.code == 0, result.err
    fitted = json.loads((tmp_path / "out" / "scores.json").read_text())["fitted"]["published"]
    assert fitted["config"]["model"]["parameters"] == "paper"
    assert fitted["training_period"].endswith(":2019-01-20")
    result = run(
        "fill", sea / "cube.zarr", "-m", file, "-o", tmp_path / "analysis.nc", "--days", "2019-01-25", "--nrt"
    )
    assert result.code == 0, result.err
    assert "by oi" in result.out
    network = tmp_path / "network.toml"
    network.write_text(TINY)
    result = run("fill", sea / "cube.zarr", "-m", network, "-o", tmp_path / "other.nc")
    assert result.code == 2
    assert "sereno fit --config" in result.err


@pytest.mark.usefixtures("undrawn")
def test_evaluate_can_hide_whole_days(run: Run, sea: Path, tmp_path: Path) -> None:
    words = ("--protocol", "hidden-day", "--days", "2019-01", "--share", 0.2, "-m", "linear", "-o", tmp_path)
    result = well(run("evaluate", sea / "cube.zarr", *words))
    lines = [line.split() for line in result.out.splitlines()]
    assert ["method", "MBE", "STD", "RMSD", "95", "%", "ratio", "MAE", "R²"] in lines
    printed = {line[0]: line[1:] for line in lines if line and line[0] in ("linear", "climatology")}
    told = json.loads((tmp_path / "scores.json").read_text())
    shown = {"linear": told["methods"]["linear"], "climatology": told["baselines"]["climatology"]}
    for name, row in shown.items():  # climatology stands there without having been asked for
        columns = ("bias", "std", "rmse", "mae", "r2")
        assert [cell for place, cell in enumerate(printed[name]) if place not in (3, 4)] == [
            f"{row[column]:.3f}" for column in columns
        ]
        assert row["rmse_with_zeros"] < row["rmse"]
    kinds = {row["method"]: row["kind"] for row in table(tmp_path / "scores.csv")}
    assert kinds == {"linear": "method", "climatology": "baseline"}
    assert json.loads((tmp_path / "scores.json").read_text())["protocol"] == "hidden-day"
    withheld = read(tmp_path / "withheld.nc")["withheld"]
    cube = open_cube(sea / "cube.zarr")
    seen = (cube["sst"].notnull() & cube["water"]).sel(time=withheld["time"])
    np.testing.assert_array_equal(withheld == 1, seen)
    assert (withheld["time"] < np.datetime64("2019-02-01")).all()


# demo


@pytest.mark.thorough
def test_the_demo_does_the_whole_job(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "SEA", {"days": 75, "start": "2019-01-01", "shape": (24, 32)})
    monkeypatch.setattr(demo, "TRAIN", ":2019-02-10")
    monkeypatch.setattr(demo, "SCORED", "2019-02-25:")
    monkeypatch.setattr(demo, "CONVLSTM_MINUTES", 0.03)
    small = {"tile": (16, 16), "hidden": 2, "head": 2, "steps_per_epoch": 2, "batch_size": 2, "validation_windows": 2}
    monkeypatch.setattr(demo, "SMALL_CONVLSTM", demo.SMALL_CONVLSTM | small)
    monkeypatch.setattr(demo, "PACKAGED_UNET", demo.PACKAGED_UNET | {"tuning_steps": 1})
    monkeypatch.setattr(demo, "FILLED", "2019-03-01:")
    monkeypatch.setattr(demo, "CALIBRATION_DAYS", 8)
    result = well(run("demo", "-o", tmp_path / "demo"))
    written = [line.removeprefix("wrote ") for line in result.out.splitlines() if line.startswith("wrote ")]
    assert {Path(name).name for name in written} >= {"analysis.nc", "scores.json", "coverage.png", "maps.png"}
    assert {"strata.png", "triptych_convlstm.png", "report.html"} <= {Path(name).name for name in written}
    assert all(Path(name).stat().st_size > 0 for name in written)
    scores = json.loads((tmp_path / "demo" / "scores.json").read_text())
    assert set(scores["methods"]) == {"climatology", "interpolation", "convlstm", "unet"}
    assert scores["fitted"]["unet"]["weights"]["from"].startswith("the package of sereno")
    assert "unet has its weights" not in result.out
    assert all(f"{name}: calibration: 100 %" in result.err for name in scores["methods"])
    assert set(scores["truth"]["methods"]) == set(scores["methods"])


# What is refused


def a_cube(*, days: int = 6, shape: tuple[int, int] = (6, 8), seed: int = 0) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    values = 290 + rng.normal(size=(days, *shape)).astype("float32")
    values[rng.random(values.shape) < 0.5] = np.nan
    return make_cube(
        values,
        time=pd.date_range("2020-01-01", periods=days),
        lat=np.linspace(36, 38, shape[0]),
        lon=np.linspace(0, 3, shape[1]),
        water=np.ones(shape, bool),
    )


def refused(run: Run, folder: Path, *words: object) -> str:
    """Run what must fail as an error of the input, and return its one message."""
    before = sorted(folder.rglob("*"))
    result = run(*words)
    assert result.code == 2
    assert "Traceback" not in result.err
    assert sum(line.startswith("error: ") for line in result.err.splitlines()) == 1
    assert result.out == ""
    assert sorted(folder.rglob("*")) == before
    return result.err.partition("error: ")[2].strip()


BAD_INPUTS: dict[str, tuple[Callable[[xr.Dataset], xr.Dataset], str]] = {
    "Fahrenheit by its units": (
        lambda cube: cube.assign(sst=(cube["sst"] * 1.8 - 459.67).assign_attrs(units="degF")),
        "sst is in Fahrenheit; convert it",
    ),
    "Fahrenheit by its values": (
        lambda cube: cube.assign(sst=(cube["sst"] * 1.8 - 459.67).assign_attrs(units="degree_Celsius")),
        "(Fahrenheit?)",
    ),
    "latitude of two dimensions": (
        lambda cube: (
            cube.drop_vars(["lat", "lon"])
            .rename(lat="y", lon="x")
            .assign_coords(lat=(("y", "x"), np.ones((6, 8))), lon=(("y", "x"), np.ones((6, 8))))
        ),
        "lat has 2 dimensions",
    ),
    "no observation": (lambda cube: cube.assign(sst=cube["sst"].where(False)), "no observation at all"),
}


@pytest.mark.parametrize("fault", BAD_INPUTS)
@pytest.mark.parametrize("verb", ["check", "prepare", "climatology", "fit", "fill", "evaluate"])
def test_a_bad_input_ends_every_verb_with_one_message_and_no_output(
    run: Run, tmp_path: Path, verb: str, fault: str
) -> None:
    spoil, message = BAD_INPUTS[fault]
    cube = a_cube()
    spoil(cube.drop_vars("water")).to_netcdf(tmp_path / "bad.nc")
    words = {
        "check": (),
        "prepare": ("-o", tmp_path / "out.zarr"),
        "climatology": ("-o", tmp_path / "out.nc"),
        "fit": ("-m", "climatology", "-o", tmp_path / "out"),
        "fill": ("-m", "climatology", "-o", tmp_path / "out.nc"),
        "evaluate": ("-m", "climatology", "-o", tmp_path / "out"),
    }[verb]
    told = refused(run, tmp_path, verb, tmp_path / "bad.nc", *words)
    assert told.startswith(f"{tmp_path / 'bad.nc'}: ")
    assert message in told


def test_all_problems_of_a_folder_are_told_in_one_message(run: Run, sea: Path, tmp_path: Path) -> None:
    files = sorted((sea / "l3s").iterdir())[:3]
    (tmp_path / "short.nc").write_bytes(files[0].read_bytes()[:5000])
    (tmp_path / "a.nc").write_bytes(files[1].read_bytes())
    (tmp_path / "b.nc").write_bytes(files[1].read_bytes())
    told = refused(run, tmp_path, "check", tmp_path)
    assert "short.nc: cannot be read as NetCDF, truncated or damaged?" in told
    assert "2019-01-02: two images of the same day" in told
    assert "a.nc" in told
    assert "b.nc" in told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("check gone.nc", "gone.nc: no such file or folder"),
        ("check cube.zarr --variable chlorophyll", "no variable 'chlorophyll'; it has sst"),
        ("check cube.zarr --water gone.nc", "gone.nc"),
        (
            "fill cube.zarr -m kriging -o out.nc",
            "-m kriging: neither a model's folder nor a run file nor a method that needs no training (climatology",
        ),
        (
            "fill cube.zarr -m kriging -o out.nc",
            "convlstm, convlstm-unet, model1, model2, model3, model3-dilation1, deep",
        ),
        ("fill gone.nc -m climatology -o out.nc --days 2013-13", "--days: period '2013-13': write it as"),
        ("fit gone.nc -m climatology -o out --train 2013-13", "--train: period '2013-13': write it as"),
        ("describe gone.nc -o out --days 2013-13", "--days: period '2013-13': write it as"),
        ("climatology gone.nc -o out.nc --period 2015 1985", "--period: period '2015:1985': its end comes before"),
        ("climatology gone.nc -o gone/out.nc", "there is no folder"),
        ("evaluate gone.nc -m climatology -o out --protocol moon", "unknown protocol 'moon'"),
        ("evaluate gone.nc -m climatology -o out --relative-to oi", "it is not one of the methods (climatology)"),
        ("evaluate gone.nc -m climatology -o out --withheld not.nc", "not.nc: no such file"),
        ("evaluate gone.nc -m climatology -o cube.nc", "a file of that name stands where the folder should be"),
        ("fill cube.zarr -m convlstm -o out.nc", "-m convlstm: needs training; run sereno fit -m convlstm first"),
        ("evaluate cube.zarr -m convlstm -o out", "-m convlstm: needs training"),
        ("fill cube.zarr -m cube.zarr -o out.nc", "cube.zarr"),
        ("fill cube.zarr -m climatology -o out.nc --days 2013-13", "period '2013-13': write it as"),
        ("fill cube.zarr -m climatology -o out.nc --days 2013", "'2013' holds no day of the input, which spans 2020"),
        ("fill cube.zarr -m climatology -o out.txt", "out.txt: write to a name in .nc or .zarr, or to a folder"),
        ("fill cube.zarr -m climatology -o gone/out.nc", "there is no folder"),
        ("fit cube.zarr -m kriging -o out", "unknown method 'kriging'; choose one of climatology, interpolation"),
        ("fit cube.zarr -o out", "no method: name one with -m"),
        ("fit cube.zarr -m climatology -o gone/out", "there is no folder gone; make it first"),
        ("fit cube.zarr -m climatology -o cube.zarr", "-o cube.zarr: it is the input, which would be lost"),
        ("fit cube.zarr -m climatology -o run.toml", "-o run.toml: it exists and is no model"),
        ("fit cube.zarr -m interpolation --set model.windw=3 -o out", "unknown key; did you mean 'window'?"),
        ("fit cube.zarr -m interpolation --set model.window -o out", "write it as key=value"),
        ("fit cube.zarr -m climatology --set model=climatology -o out", "model: must be a table of settings"),
        ("fit cube.zarr -m climatology --set climatology.harmonics=9 -o out", "less than or equal to 6"),
        ("fit cube.zarr -m climatology --train :2019 -o out", "holds no day of the input"),
        ("fit cube.zarr --config run.toml -o out", "run.toml:\n  climatology.harmonic: unknown key; did you mean"),
        ("fit cube.zarr --config gone.toml -o out", "gone.toml: no such file"),
        ("fit cube.zarr --config cube.nc -o out", "cube.nc: not valid TOML"),
        ("describe cube.zarr -o out --days 2013", "holds no day of the input"),
        ("describe cube.zarr -o cube.nc", "a file of that name stands where the folder should be"),
        ("describe cube.zarr -o cube.zarr", "it is the input"),
        ("describe cube.zarr -o no/out", "there is no folder"),
        ("describe cube.zarr -o out --set climatology.harmonic=1", "did you mean 'harmonics'"),
        ("describe cube.zarr -o out --set climatology.file=gone.nc", "gone.nc"),
        ("describe cube.zarr -o out --variable chl", "chl"),
        ("tiles cube.zarr -o out --size 16 16 --window 5 --coverage 1.0", "no tile of 16 × 16 cells shows 100%"),
        ("tiles cube.zarr -o out --window 4", "window must be an odd number"),
        ("import-keras gone.keras -o out", "gone.keras: no such file"),
        ("import-keras cube.zarr -o out", "a folder"),
        ("import-keras gone.keras -o out --climatology gone.nc", "gone.nc: no such file"),
        ("climatology cube.zarr -o out.txt", "out.txt: the name must end in .nc or .zarr"),
        ("climatology cube.zarr -o gone/out.nc", "there is no folder"),
        (
            "climatology cube.zarr -o out.nc --method moon",
            "climatology.kind: Input should be 'harmonics' or 'window'",
        ),
        ("climatology cube.zarr -o out.nc --window 10", "window must be an odd number (got 10)"),
        (
            "climatology cube.zarr -o out.nc --period 1985 2015",
            "the base period 1985:2015 of the climatology reaches",
        ),
        ("climatology cube.zarr -o out.nc --period 2015 1985", "its end comes before its start"),
        ("climatology cube.zarr -o out.nc --method window", "needs a year at least"),
        ("fit cube.zarr -m climatology --set climatology.period=1985:2015 -o out", "reaches beyond the days"),
        ("evaluate cube.zarr -m climatology -o out --protocol moon", "unknown protocol 'moon'"),
        ("evaluate cube.zarr -m climatology -m climatology -o out", "'climatology' is given twice"),
        ("evaluate cube.zarr -m climatology -o out --days 2013", "holds no day of the input"),
    ],
)
def test_a_wrong_word_ends_with_one_message_and_no_output(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_cube(a_cube(), "cube.zarr")
    write_cube(a_cube(), "cube.nc")
    Path("run.toml").write_text('[model]\nmethod = "climatology"\n[climatology]\nharmonic = 1\n')
    assert message in refused(run, tmp_path, *words.split())


@pytest.mark.parametrize(
    "words",
    ["fly", "check", "fill cube.zarr -m climatology", "check cube.zarr --quality 9", "check cube.zarr --fast"],
)
def test_a_wrong_option_or_verb_is_an_error_of_usage(run: Run, words: str) -> None:
    result = run(*words.split())
    assert result.code == 2
    assert "Usage: " in result.err
    assert "Traceback" not in result.err


def test_a_model_of_another_sea_is_refused(run: Run, tmp_path: Path, model: Path) -> None:
    write_cube(a_cube(), tmp_path / "cube.zarr")
    words = (tmp_path / "cube.zarr", "-m", model)
    assert "grid" in refused(run, tmp_path, "fill", *words, "-o", tmp_path / "out.nc")
    assert "grid" in refused(run, tmp_path, "evaluate", *words, "-o", tmp_path / "out")


def test_an_error_exits_with_two_and_keeps_stdout_clean_in_a_shell(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "sereno.cli", "check", "gone.nc"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "error: gone.nc: no such file or folder\n"


# climatology


@pytest.mark.usefixtures("undrawn")
def test_a_climatology_is_made_told_of_and_used_by_a_run(run: Run, sea: Path, tmp_path: Path) -> None:
    result = well(
        run("climatology", sea / "cube.zarr", "-o", tmp_path / "clim.nc", "--period", "2019-01-01", "2019-01")
    )
    assert f"wrote {tmp_path / 'clim.nc'}: harmonics, base period 2019-01-01:2019-01-31" in result.out
    assert "note: The base period is 31 days long; 30 years are customary. It has no annual cycle" in result.err
    made = read(tmp_path / "clim.nc")
    water = read(sea / "mask.nc")["mask"].values.squeeze() == 1
    np.testing.assert_array_equal(made["climatology"].notnull().all("dayofyear"), water)
    assert made.attrs["climatology_method"] == "harmonics"
    use = ("-m", "climatology", "--set", f"climatology.file={tmp_path / 'clim.nc'}")
    well(run("fit", sea / "cube.zarr", *use, "-o", tmp_path / "model", "--train", ":2019-01-28"))
    words = ("evaluate", sea / "cube.zarr", "-m", tmp_path / "model")
    well(run(*words, "-o", tmp_path / "s", "--days", "2019-02"))
    told = refused(run, tmp_path, *words, "-o", tmp_path / "t")
    assert "model: the base period 2019-01-01:2019-01-31 of its climatology" in told


def test_a_climatology_of_windows_takes_their_widths(run: Run, tmp_path: Path) -> None:
    write_cube(a_cube(days=800), tmp_path / "cube.zarr")
    words = ("--method", "window", "--window", 5, "--smoothing", 1)
    well(run("climatology", tmp_path / "cube.zarr", "-o", tmp_path / "clim.nc", *words))
    made = read(tmp_path / "clim.nc")
    assert (made.attrs["climatology_method"], made.attrs["window"], made.attrs["smoothing"]) == ("window", 5, 1)


# Ctrl-C


@pytest.fixture
def interrupt_here(run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run the command within this process, and send it Ctrl-C as soon as it says how far `at` has come."""

    def interrupt_here(*words: object, at: str, beyond: float = 0.0) -> Result:
        lines, sent = progress._lines(), list[float]()

        def report(stage: str, fraction: float) -> None:
            lines(stage, fraction)
            if stage == at and fraction > beyond and not sent:
                sent.append(fraction)
                signal.raise_signal(signal.SIGINT)

        with monkeypatch.context() as patch:
            patch.setattr(progress, "_lines", lambda: report)
            result = run(*words)
        assert sent
        return result

    return interrupt_here


@pytest.mark.parametrize(
    ("output", "store"),
    [pytest.param("out.nc", "out.nc.filling.zarr", marks=pytest.mark.thorough), ("out.zarr", "out.zarr")],
)
def test_ctrl_c_while_filling_is_no_end_of_it(
    run: Run,
    interrupt_here: Callable[..., Result],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    output: str,
    store: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sereno.reconstruct.day_blocks.days_per_block", lambda cells: 4)
    monkeypatch.setattr("sereno.reconstruct.day_blocks.CONTEXT_CELLS", 14 * 24 * 32)
    monkeypatch.setattr("sereno.workflow.fill_jobs.BLOCKS_AT_ONCE", 0)
    write_cube(a_cube(days=20, shape=(24, 32)), "cube.zarr")
    words = ["fill", "cube.zarr", "-m", "climatology", "-o", output]
    stopped = interrupt_here(*words, at="fill", beyond=0.3)
    assert stopped.code == 130
    assert "Traceback" not in stopped.err
    assert f"{store} is unfinished: run the same command again to continue" in stopped.err
    assert {path.name for path in tmp_path.iterdir()} == {"cube.zarr", store, f"{output}.model"}
    assert 0 < FilledStore.open(Path(store)).missing.size < 20
    assert well(run(*words)).out == f"wrote {output}: 20 days by climatology\n"
    assert {path.name for path in tmp_path.iterdir()} == {"cube.zarr", output, f"{output}.model"}


def test_ctrl_c_while_training_saves_no_model_and_can_be_resumed(
    run: Run, interrupt_here: Callable[..., Result], tmp_path: Path, sea: Path
) -> None:
    (tmp_path / "run.toml").write_text(TINY.replace("max_epochs = 2", "max_epochs = 100000\npatience = 100000"))
    words = ["fit", sea / "cube.zarr", "--config", tmp_path / "run.toml", "-o", tmp_path / "model"]
    stopped = interrupt_here(*words, at="training", beyond=1.5e-5)
    assert stopped.code == 130
    assert "Traceback" not in stopped.err
    assert "interrupted" in stopped.err
    assert "model.training is unfinished: run the same command with --resume to continue" in stopped.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.training", "run.toml"]
    assert "--resume" not in well(run(*words, "--resume", "--max-minutes", 0.02)).err
    assert (tmp_path / "model" / "model.json").exists()


@pytest.mark.thorough
def test_a_terminal_that_closes_while_preparing_is_no_end_of_it(
    run: Run, tmp_path: Path, sea: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted((sea / "l3s").iterdir())
    words = ["prepare", *map(str, files), "-o", "cube.zarr", "--workers", "2"]
    command = [sys.executable, "-m", "sereno.cli", *words]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True
    ) as process:
        while not list(tmp_path.glob("cube.zarr/sst/*.0.0")):
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGHUP)  # to the workers too, and to the process that cleans up after them
        assert process.stderr is not None
        told = process.stderr.read()
    assert process.returncode == 129
    assert "Traceback" not in told
    assert "cube.zarr is unfinished: run the same command again to continue" in told
    monkeypatch.chdir(tmp_path)
    well(run(*words[:-2]))
    xr.testing.assert_equal(open_cube(tmp_path / "cube.zarr"), open_cube(sea / "l3s"))


@pytest.mark.parametrize("verb", [("fill", "-m", "climatology"), ("prepare",), ("climatology",)])
def test_the_input_is_never_overwritten(run: Run, sea: Path, tmp_path: Path, verb: tuple[str, ...]) -> None:
    own = tmp_path / "cube.zarr"
    shutil.copytree(sea / "cube.zarr", own)
    outcome = run(verb[0], own, *verb[1:], "-o", own)
    assert outcome.code == 2
    assert "it is the input" in outcome.err
    xr.testing.assert_identical(open_cube(own).load(), open_cube(sea / "cube.zarr").load())
