"""Messages of the library name its parameters, `` `like_this` ``; on the command line they are options."""

from __future__ import annotations

import re

SHORT = {
    "assignments": "--set",
    "kind": "--format",
    "max_std_seq": "--max-std-seq",
    "method": "-m",
    "methods": "-m",
    "model": "-m",
    "observation_noise": "--noise",
    "output": "-o",
    "quality_level": "--quality",
}
"""Parameters whose option has another name than they."""
SAME = frozenset(
    (
        *("climatology", "days", "dry_run", "grid", "max_minutes", "members", "merge", "min_observations", "nrt"),
        *("overwrite", "protocol", "refresh", "relative_to", "resample", "resume", "seed", "shard", "share"),
        *("skip_bad", "train", "update", "valid", "variable", "water", "withheld", "workers"),
    )
)
"""Those whose option has the same name."""
_NAMED = re.compile(r"`(\w+)`")


def option_of(parameter: str) -> str | None:
    """Return the option of a parameter of the library; None where there is none."""
    if parameter in SAME:
        return "--" + parameter.replace("_", "-")
    return SHORT.get(parameter)


def with_options(message: str) -> str:
    """Return a message of the library with options in place of parameters.

    Examples
    --------
    >>> with_options("`min_observations` is for means; leave it out")
    '--min-observations is for means; leave it out'
    """
    return _NAMED.sub(lambda match: option_of(match[1]) or match[0], message)
