"""An output is never an input, now or the next time."""

import os
from pathlib import Path

import pytest

from sereno.errors import InputError
from sereno.io.inputs.opening import expand
from sereno.io.outputs.places import require_apart


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("l3s/2019/a.nc", "l3s/b.nc", "cube.zarr/.zgroup", "in.nc", "out/x-SERENO-L4.nc", "model/model.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to("l3s")
    (tmp_path / "named.nc").symlink_to("in.nc")
    os.link(tmp_path / "in.nc", tmp_path / "hard.nc")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("inputs", "output"),
    [
        (["l3s"], "l3s"),
        (["l3s"], "l3s/analysis.nc"),
        (["l3s/"], "l3s/2019/daily"),
        (["l3s"], "link/daily"),
        (["link"], "l3s/daily"),
        (["in.nc", "l3s"], "./l3s/../l3s/new.zarr"),
        (["."], "analysis.nc"),
        (["cube.zarr"], "cube.zarr"),
        (["cube.zarr"], "cube.zarr/daily"),
        (["in.nc"], "in.nc"),
        (["in.nc"], "named.nc"),
        (["hard.nc"], "in.nc"),
        (["l3s/*.nc"], "l3s/analysis.nc"),
        (["l3s/*.nc"], "l3s"),
        (["link/*.nc"], "l3s/analysis.nc"),
        (["l3s/**/*.nc"], "l3s/2020/analysis.nc"),
        (["l3s/**/*.nc"], "l3s/daily"),
        (["l3s/*/*.nc"], "l3s/daily"),
        (["*.zarr"], "analysis.zarr"),
        (["l3s/2019/a.nc", "in.nc", "named.nc"], "."),
        (["new.zarr/in.nc"], "new.zarr"),
    ],
)
def test_an_output_among_the_inputs_is_refused_in_one_line(place: Path, inputs: list[str], output: str) -> None:
    with pytest.raises(InputError, match=f"^`output` {output.removeprefix('./').removesuffix('/')}") as error:
        require_apart(inputs, Path(output))
    assert "\n" not in str(error.value)
    with pytest.raises(InputError):
        require_apart([str(place / item) for item in inputs], place / output)


@pytest.mark.parametrize(
    ("inputs", "output"),
    [
        (["l3s"], "analysis.nc"),
        (["l3s"], "l3s-filled/analysis.nc"),
        (["l3s"], "out"),
        (["in.nc"], "analysis.nc"),
        (["in.nc"], "."),
        (["l3s/b.nc"], "l3s/analysis.nc"),
        (["l3s/*.nc"], "l3s/2019/analysis.nc"),
        (["l3s/*-L3S.nc"], "l3s/analysis.nc"),
        (["l3s/2019/a.nc", "l3s/b.nc"], "out/"),
        (["https://host/data/*.nc"], "analysis.nc"),
        (["missing"], "analysis.nc"),
    ],
)
def test_any_other_output_is_let_pass(place: Path, inputs: list[str], output: str) -> None:
    require_apart(inputs, Path(output), [None, place / "model"])


def test_what_else_is_read_is_kept_apart_too(place: Path) -> None:
    for output in ("in.nc", "model/analysis.nc"):
        with pytest.raises(InputError, match=f"^`output` {output}: it "):
            require_apart(["l3s"], Path(output), ["in.nc", "model"])


def test_a_folder_of_inputs_is_read_without_what_is_hidden_and_without_stores(place: Path) -> None:
    for name in ("l3s/.days.filling/c.nc", "l3s/.d.nc.0123abcd.part", "l3s/out.nc.filling.zarr/model/fields.nc"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).touch()
    (place / "l3s" / "store").mkdir()
    (place / "l3s" / "store" / "zarr.json").touch()
    (place / "l3s" / "store" / "e.nc").touch()
    assert expand("l3s") == [Path("l3s/2019/a.nc"), Path("l3s/b.nc")]
