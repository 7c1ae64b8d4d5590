"""Every verb that writes is the only one at its output, and clears what killed runs left of it."""

import resource
import sys
from pathlib import Path

import pytest

from sereno import cli
from sereno.io.outputs.writer_lock import output_lock
from sereno.io.stores.prepared import write_cube
from sereno.synthetic import TwinSeaConfig, twin_sea

VERBS = {
    "prepare": "prepare cube.nc -o out.zarr",
    "prepare to one file": "prepare cube.nc -o out.nc",
    "describe": "describe cube.nc -o out",
    "climatology": "climatology cube.nc -o out.nc",
    "tiles": "tiles cube.nc -o out --size 8 8 --window 3 --coverage 0.01",
    "fit": "fit cube.nc -m climatology -o out",
}


@pytest.mark.parametrize(
    "verb", ["prepare", *(pytest.param(verb, marks=pytest.mark.thorough) for verb in VERBS if verb != "prepare")]
)
def test_who_comes_second_is_refused_and_who_is_alone_leaves_nothing_of_killed_runs(
    tmp_path: Path, verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_cube(twin_sea(TwinSeaConfig(days=6, shape=(16, 16))), "cube.nc")
    words = VERBS[verb].split()
    output = Path(words[words.index("-o") + 1])

    def code() -> int:
        monkeypatch.setattr(sys, "argv", ["sereno", *words])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        return int(caught.value.code or 0)

    with output_lock(output):
        assert code() == 2
        *_, line = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: {output}: ")
        assert "is at work there" in line
        assert not output.exists()
    Path(f".{output}.0123abcd.part").write_bytes(b"left by a killed run")
    assert code() == 0, capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"cube.nc", output.name}


@pytest.mark.thorough
@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "fit"])
def test_where_the_disk_takes_no_more_the_output_is_named_and_nothing_half_written_stays(
    tmp_path: Path, verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_cube(twin_sea(TwinSeaConfig(days=6, shape=(16, 16))), "cube.nc")
    monkeypatch.setattr(sys, "argv", ["sereno", *VERBS[verb].split()])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, limits[1]))
    try:
        with pytest.raises(SystemExit) as caught:
            cli.main()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    *_, line = capsys.readouterr().err.splitlines()
    assert caught.value.code == 2, line
    assert line.startswith("error: ")
    assert line.removeprefix("error: ").removeprefix(f"{tmp_path}/").startswith("out")
    assert {path.name for path in tmp_path.iterdir()} <= {"cube.nc", "out.zarr"}
