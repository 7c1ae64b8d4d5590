"""Whether an output would be read as an input, or an input be lost under it."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Sequence
from pathlib import Path

from sereno.errors import InputError, file_edge
from sereno.files import is_address
from sereno.io.inputs.opening import is_zarr

_A_DAY = "20190101000000-SERENO-L4.nc"
"""A name as daily files have it."""


def require_apart(
    inputs: Sequence[str | os.PathLike[str]], output: Path, others: Sequence[str | os.PathLike[str] | None] = ()
) -> None:
    """Refuse an output that is an input, lies in one, or would be among the inputs of the next run.

    Links are followed, and nothing needs to exist.

    Parameters
    ----------
    inputs
        Files, folders, globs and stores, as `sereno.io.inputs.opening.expand` takes them.
    others
        Further files and folders that are read: a mask, a climatology, a model.

    Raises
    ------
    InputError
        Names the output, and the input that it collides with.
    """
    with file_edge(f"`output` {output}", "choose another name"):
        target = output.resolve()
        is_folder = output.is_dir() or output.suffix not in (".nc", ".zarr")
        for item in [*inputs, *(other for other in others if other is not None)]:
            if is_address(item):
                continue
            path = Path(item).resolve()
            if path == target or (path.exists() and target.exists() and path.samefile(target)):
                raise InputError(f"`output` {output}: it is the input, which would be lost; choose another name")
            if path.is_dir() and path in target.parents:
                kind = "store" if is_zarr(path) else "folder"
                raise InputError(
                    f"`output` {output}: it lies in the {kind} {item}, which is read; choose another place"
                )
            if target.suffix == ".zarr" and target in path.parents:
                raise InputError(
                    f"`output` {output}: the input {item} lies in it and would be lost; choose another place"
                )
            if glob.has_magic(str(item)) and not path.exists():
                made = target / _A_DAY if is_folder else target
                if _matches(made.parts, path.parts) or _matches(target.parts, path.parts):
                    raise InputError(f"`output` {output}: {item} would match it the next time; choose another place")
        files = [path for item in inputs if not is_address(item) and (path := Path(item)).is_file()]
        if is_folder and sum(path.resolve().parent == target for path in files) > 1:
            raise InputError(
                f"`output` {output}: it holds the input files and would mix them up; choose another folder"
            )


def _matches(path: Sequence[str], pattern: Sequence[str]) -> bool:
    """Return whether a glob matches a path, both by their parts; ``**`` represents any number of folders."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(_matches(path[skipped:], pattern[1:]) for skipped in range(len(path) + 1))
    return bool(path) and fnmatch.fnmatchcase(path[0], pattern[0]) and _matches(path[1:], pattern[1:])
