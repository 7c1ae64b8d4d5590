"""The command line: verbs, options and tables; no numerics.

Nothing heavy is imported until a verb runs, so that ``sereno --help`` answers at once; and nothing at all before
`main` takes care of Ctrl-C and of errors.
"""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit.

    The status is 0 on success, 2 on an error of usage or input, of the operating system or of resources, 3 if bad
    files were left out, 70 on an unforeseen error, 75 if a training stopped early, 130 on Ctrl-C, 143 on
    SIGTERM, 129 on SIGHUP, and 141 if the reader of the output left.
    """
    try:
        from sereno.cli.edge import run

        status = run(_application, sys.argv[1:])
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)


def _application() -> None:
    from sereno.cli.verbs import app

    app(standalone_mode=True)


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sereno.cli.verbs import app

    return app
