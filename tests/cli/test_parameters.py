"""Messages of the library name parameters, those of the command line options."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import sereno
from sereno.cli import app
from sereno.cli.parameters import SAME, SHORT, option_of, with_options

PACKAGE = Path(sereno.__file__).parent
OF_OTHERS = {"--format", "-d", "-f", "-g", "-n", "-v"}
"""Options that are those of other programs, too, which messages and calls name."""
OF_OTHERS = {
    "--nthreads",
    "--dependency",
    "--kill-on-invalid-dep",
    "--parsable",
    "--noheader",
    "--states",
    "--format",
}
"""Options of other programs that messages and calls name."""


def options() -> set[str]:
    group: Any = typer.main.get_command(app)
    return {word for verb in group.commands.values() for one in verb.params for word in one.opts}


def texts() -> Iterator[tuple[Path, str]]:
    """Yield all texts of the library that are no docstrings."""
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] in ("cli", "slurm"):
            continue
        tree = ast.parse(path.read_text())
        bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
                yield path, node.value


def test_the_library_names_no_option() -> None:
    mine = options() - OF_OTHERS
    for path, text in texts():
        named = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*\b", text)) & mine
        assert not named, f"{path}: {text!r}"


def test_every_parameter_that_a_message_names_has_an_option_or_is_of_the_library_alone() -> None:
    own = "config cube_from data evaluate fit folder lat lon product progress time units"  # of the library alone
    for path, text in texts():
        for name in re.findall(r"`(\w+)`", text):
            assert option_of(name) or name in own.split(), f"{path}: {text!r}"


@pytest.mark.parametrize("parameter", sorted({*SAME, *SHORT}))
def test_every_option_that_stands_for_a_parameter_exists(parameter: str) -> None:
    assert option_of(parameter) in options()


def test_a_message_is_told_with_options_and_else_left_as_it_is() -> None:
    told = with_options("`output` a`b.nc: `quality_level` 0, `dask worker` and `cube`; give `days` 2019:")
    assert told == "-o a`b.nc: --quality 0, `dask worker` and `cube`; give --days 2019:"
