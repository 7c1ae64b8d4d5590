"""The public interface: its names, where they come from, and what each of them says of itself."""

import inspect
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import sereno

WHERE = Path(__file__).parents[1]


def test_every_public_name_is_there_and_listed() -> None:
    assert {name for name in sereno.__all__ if hasattr(sereno, name)} == set(sereno.__all__) == set(dir(sereno))
    assert len(sereno.__all__) == len(set(sereno.__all__))


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_verb"):
        sereno.no_such_verb  # noqa: B018


def test_the_version_is_that_of_the_package_and_of_the_citation() -> None:
    assert sereno.__version__ == version("sereno")
    assert f"version: {sereno.__version__}\n" in (WHERE / "CITATION.cff").read_text()


def test_to_import_the_package_imports_nothing_heavy() -> None:
    heavy = ("numpy", "xarray", "torch", "matplotlib", "pydantic", "dask")
    code = f"import sereno, sys; dir(sereno); sereno.__version__; print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", [n for n in sereno.__all__ if inspect.isroutine(getattr(sereno, n))])
def test_every_public_function_shows_how_it_is_called(name: str) -> None:
    told = inspect.getdoc(getattr(sereno, name)) or ""
    assert "Examples\n--------" in told, f"{name} has no example"
    assert re.search(rf">>> .*\b{name}\(", told), f"{name}: its example does not call it"


def test_every_public_name_is_in_the_reference() -> None:
    told = (WHERE / "docs" / "api.md").read_text()
    missing = [name for name in sereno.__all__ if not name.startswith("__") and not re.search(rf"\b{name}\b", told)]
    assert not missing
