"""The size of files and functions in the package; that functions are simple is held by ruff (C901)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import sereno

ROOT = Path(sereno.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
MOST_LINES, MOST_IN_A_FUNCTION = 350, 60
LONGER: dict[str, str] = {
    "config/model.py": "a table: the settings of every method, a line each with what it means",
}
"""What may be longer, ``file.py`` or ``file.py:function`` under `ROOT`, and why."""


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lines_of_code(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring and, of a verb of the command line, without its list of options."""
    assert function.end_lineno is not None
    documented = ast.get_docstring(function, clean=False) is not None
    body = function.body[1:] if documented else function.body
    in_body = function.end_lineno - body[0].lineno + 1 if body else 0
    if any(ast.unparse(one).startswith("app.command(") for one in function.decorator_list):
        return in_body
    return in_body + function.body[0].lineno - function.lineno


def exceeding() -> dict[str, int]:
    found = {}
    for path in FILES:
        name = str(path.relative_to(ROOT))
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MOST_LINES:
            found[name] = lines
        for function in functions(path):
            if (count := lines_of_code(function)) > MOST_IN_A_FUNCTION:
                found[f"{name}:{function.name}"] = count
    return found


def test_no_file_and_no_function_is_longer_than_one_reads_at_once() -> None:
    found = exceeding()
    assert len(FILES) > 200
    assert {name: lines for name, lines in found.items() if name not in LONGER} == {}
    assert set(LONGER) <= set(found), "these are not longer any more: remove them from the table"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("def one(a):\n    return a", 2),
        ("def one(\n    a,\n):\n    '''Tell.\n\n    More.\n    '''\n    return a", 4),
        ("@app.command()\ndef one(\n    a,\n):\n    '''Tell.'''\n    b = a\n    return b", 2),
        ("def one():\n    '''Tell.'''", 1),
    ],
)
def test_lines_of_code_are_counted(text: str, lines: int) -> None:
    function = ast.parse(text).body[0]
    assert isinstance(function, ast.FunctionDef)
    assert lines_of_code(function) == lines
