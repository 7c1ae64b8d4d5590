"""Whatever a run file holds, its script is refused or runs exactly what is meant, and nothing else."""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from sereno import cli
from sereno.cli import app
from sereno.errors import InputError
from sereno.slurm.script import Place, Script, scripts
from sereno.slurm.settings import parse_slurm
from sereno.workflow import submit

PLACE = Path("/sea")
STUB = """#!/bin/bash
printf '%s\\0' "${0##*/}" "$@" >> "$CALLS"
printf '\\n' >> "$CALLS"
[ "$*" != "info --base" ] || dirname "$0"
"""
COMMANDS = ("sereno", "srun", "module", "conda", "scontrol")
SRUN = ("srun", "--unbuffered", "--kill-on-bad-exit=0")
PIECES = ["touch PWNED", "$(touch PWNED)", "`touch PWNED`", "; touch PWNED", "\ntouch PWNED\n", "& touch PWNED &"]
PIECES += [
    "'",
    '"',
    "\\",
    "\n",
    "#",
    " ",
    "$HOME",
    "${IFS}",
    "!",
    "*",
    "~",
    "%j",
    "--wrap=x",
    "|",
    "\r",
    "\t",
    "ü",
    "a",
]
PIECES += ["#SBATCH --x", "EOF", "sea", "-", "--", "=", "\x1b", "\u2028", "\xa0", "<(x)", "{a,b}", "\x7f"]
TEXT = st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join) | st.text(min_size=1, max_size=8)
NAME = st.lists(
    st.sampled_from(["sea", "gpu", "-", "_", ",", "1", " ", "\n", "$(touch PWNED)", "#", "'"]), max_size=3
)
NAMES = NAME.map("".join)


@contextmanager
def stubs() -> Iterator[Path]:
    """A folder to run scripts in, with commands that write down what they are given."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bin").mkdir()
        for command in COMMANDS:
            (folder / "bin" / command).write_text(STUB)
            (folder / "bin" / command).chmod(0o755)
        (folder / "bin" / "etc" / "profile.d").mkdir(parents=True)
        (folder / "bin" / "etc" / "profile.d" / "conda.sh").touch()
        yield folder


def executed(script: str, folder: Path) -> list[list[str]]:
    """Run a script by bash and return the command lines that it executed, those of the environment left out."""
    calls = folder / "calls"
    calls.write_bytes(b"")
    environment = {"PATH": f"{folder / 'bin'}:/usr/bin:/bin", "CALLS": str(calls), "SLURM_ARRAY_TASK_ID": "2"}
    environment |= {"LC_ALL": "C.UTF-8", "HOME": str(folder)}
    done = subprocess.run(
        ["bash", "-s"],
        input=script.encode("utf-8", "surrogateescape"),
        cwd=folder,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    found = calls.read_bytes().decode("utf-8", "surrogateescape").split("\0\n")[:-1]
    return [call.split("\0") for call in found]


def directives(script: str) -> list[str]:
    """Read the directives of a script as `sbatch` does: words apart by spaces, with quotes, backslashes, comments."""
    found = []
    for line in script.split("\n")[1:]:
        if not line.startswith("#"):
            break
        if line.startswith("#SBATCH"):
            found += sbatch_words(line.removeprefix("#SBATCH"))
    return found


def sbatch_words(line: str) -> list[str]:
    """After `_get_argument` of SLURM's sbatch/opt.c."""
    words, word, quote, escaped, begun = list[str](), "", "", False, False
    for letter in line:
        if not quote and letter in " \t\v\f\r":  # a backslash before it does not help
            if begun:
                words.append(word)
            word, begun, escaped = "", False, False
        elif escaped:
            word, escaped = word + letter, False
        elif letter == "\\":
            escaped, begun = True, True
        elif quote:
            quote, word = ("", word) if letter == quote else (quote, word + letter)
        elif letter == "#":
            break
        elif letter in "\"'":
            quote, begun = letter, True
        else:
            word, begun = word + letter, True
    assert not quote
    return [*words, word] if begun else words


@given(words=st.lists(TEXT, max_size=3), conda=TEXT | st.none(), modules=st.lists(NAMES, max_size=2), place=TEXT)
@example(words=["x\ntouch PWNED"], conda=None, modules=[], place="sea")
@example(words=["-m", "a b"], conda="my env", modules=["cuda", "python/3.11"], place="a folder")
@example(words=["--", "x y"], conda=None, modules=[], place="50%")
@settings(max_examples=60)
def test_a_script_runs_exactly_what_is_meant(
    words: list[str], conda: str | None, modules: list[str], place: str
) -> None:
    table = {"jobs": [{"run": shlex.join(["fit", *words])}, {"run": shlex.join(["fill", *words]), "shards": 3}]}
    table |= {"modules": modules} | ({} if conda is None else {"conda": conda})
    start = PLACE / place.replace("/", "").replace("\0", "")
    where = Place(start / "run.toml", start, start / "run.slurm")
    try:
        made = scripts(parse_slurm({"slurm": table}, origin="run.toml", overrides={}), where, trains=True)
    except InputError:
        return
    end = words.index("--") if "--" in words else len(words)

    def with_options(verb: str, *options: str) -> list[str]:
        return ["sereno", verb, *words[:end], *options, *words[end:]]

    meant = {
        "1-fit": [*SRUN, *with_options("fit", "--config", str(where.run), "--resume")],
        "2-fill": with_options("fill", "--shard", "2/3"),
        "2-fill-merge": with_options("fill", "--merge"),
    }
    with stubs() as folder:
        for name, script in made:
            found = executed(script, folder)
            prepared = [["module", "load", *modules]] if modules else []
            prepared += [] if conda is None else [["conda", "info", "--base"], ["conda", "activate", conda]]
            assert found == [*prepared, meant[name]]
            assert {path.name for path in folder.iterdir()} == {"bin", "calls"}
            given = directives(script)
            assert f"--chdir={start}" in given
            logs = f"--output={start}/run.slurm/{name}-%".replace("%", "%%")[:-2]
            assert sum(word.startswith(logs) for word in given) == 1


@given(account=NAMES, partition=TEXT, option=TEXT.map(lambda text: f"--comment={text}"))
@example(account="x\ntouch PWNED", partition="p", option="--qos=long")
@example(account="x --wrap=y", partition="p", option="--qos=long")
@example(account="sea", partition="gpus", option="--comment=a b # 'c'")
@settings(max_examples=100)
def test_a_value_of_a_directive_stays_one_word(account: str, partition: str, option: str) -> None:
    table = {"jobs": [{"run": "fill a -o b"}], "account": account, "partition": partition, "options": [option]}
    try:
        config = parse_slurm({"slurm": table}, origin="run.toml", overrides={})
    except InputError:
        return
    ((_, script),) = scripts(config, Place(PLACE / "run.toml", PLACE, PLACE / "run.slurm"), trains=False)
    given = directives(script)
    assert {f"--account={account}", f"--partition={partition}", option} <= set(given)
    assert len(given) == 9


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"account": "x\ntouch PWNED"}, r"account 'x\\ntouch PWNED': letters, digits"),
        ({"partition": "a b"}, "partition 'a b': letters, digits"),
        ({"jobs": [{"run": "fill a -o b", "partition": "a#b"}]}, "partition 'a#b': letters"),
        ({"modules": ["cuda; touch PWNED"]}, "modules 1 'cuda; touch PWNED': letters"),
        ({"conda": "-x"}, "conda '-x': it is neither a name nor a path"),
        ({"venv": "a\nb"}, r"venv 'a\\nb': it is neither a name nor a path"),
        ({"options": ["--qos=a\n#SBATCH --x"]}, "options: .* is none of sbatch"),
        ({"options": ["--qos long"]}, "write it as --name=value"),
        ({"time": "1:00\n"}, "time .*: write it as"),
        ({"time": "١"}, "time .*: write it as"),
        ({"nodes": 10**9}, "nodes: .*less than or equal to 100000"),
        ({"jobs": [{"run": "fill a -o b\ntouch PWNED"}]}, "run holds a line break"),
        ({"jobs": [{"run": "fill '' -o b"}]}, "run holds an empty word"),
        ({"jobs": [{"run": ""}]}, "run must begin with one of prepare"),
        ({"jobs": [{"run": "fill --help"}]}, "run asks for help, which is no job"),
        ({"jobs": [{"run": "submit --help"}]}, "run must begin with one of prepare"),
        ({"jobs": [{"run": "--version"}]}, "run must begin with one of prepare"),
        ({"jobs": [{"run": "touch PWNED"}]}, "run must begin with one of prepare"),
        ({"jobs": [{"run": "sereno sereno fill a -o b"}]}, "run must begin with one of prepare"),
    ],
)
def test_what_no_script_may_hold_is_refused_by_name(table: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_slurm({"slurm": {"jobs": [{"run": "fill a -o b"}]} | table}, origin="run.toml", overrides={})


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "back\\slash"])
def test_folders_whose_names_no_script_can_hold_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    Path("run.toml").write_text('[slurm]\n[[slurm.jobs]]\nrun = "evaluate cube.zarr -m oi -o scores"\n')
    done = CliRunner().invoke(app, ["submit", "run.toml", "--dry-run"])
    assert isinstance(done.exception, InputError)
    assert "rename it" in str(done.exception)


def a_run_file(folder: Path) -> Path:
    path = folder / "run.toml"
    path.write_text('[slurm]\n[[slurm.jobs]]\nrun = "evaluate cube.zarr -m oi -o scores"\n')
    return path


def fake(folder: Path, monkeypatch: pytest.MonkeyPatch, **scripts: str) -> None:
    (folder / "bin").mkdir()
    for name, script in scripts.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}")


def test_a_folder_with_odd_letters_is_submitted_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / os.fsdecode(b"a 'b' 100% \xe9 \xc3\xbc")
    folder.mkdir()
    monkeypatch.chdir(folder)
    fake(tmp_path, monkeypatch, sbatch=f'cp "$2" {tmp_path}/sent; echo 7')
    monkeypatch.setattr(sys, "argv", ["sereno", "submit", str(a_run_file(Path()))])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    sent = (tmp_path / "sent").read_text(encoding="utf-8", errors="surrogateescape")
    assert f"--chdir={folder}" in directives(sent)
    assert sorted(path.name for path in (folder / "run.slurm").iterdir()) == ["1-evaluate.sbatch", "jobs.json"]


@pytest.mark.parametrize("answer", ["echo nothing", "exit 1", "echo a >&2; exit 1", "kill -9 $$"])
def test_what_slurm_refuses_is_one_line_and_takes_back_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    sbatch = f"[ -e {tmp_path}/first ] || {{ touch {tmp_path}/first; echo 7; exit; }}; {answer}"
    fake(tmp_path, monkeypatch, sbatch=sbatch, scancel=f'echo "$@" > {tmp_path}/cancelled')
    made = [Script("1-fit", "#!/bin/bash\n"), Script("2-fill", "#!/bin/bash\n")]
    with pytest.raises(InputError) as caught:
        submit.submit(made, tmp_path / "run.slurm")
    assert "sbatch" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "cancelled").read_text() == "7\n"
    assert not (tmp_path / "run.slurm" / submit.JOBS).exists()


def spoilt(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


@pytest.mark.parametrize(
    "make",
    [
        *(spoilt(content) for content in (b"", b"[1]", b'{"1-fit": 7}', b'{"1-fit": "7; touch PWNED"}', b"\xff")),
        os.mkfifo,
        Path.mkdir,
    ],
)
def test_a_damaged_list_of_jobs_is_named(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / submit.JOBS)
    with pytest.raises(InputError, match=rf"{submit.JOBS}: "):
        submit.states(tmp_path)
