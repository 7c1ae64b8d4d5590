"""Under which heading `--help` lists an option: one table for all verbs."""

from __future__ import annotations

from typing import Any

PANELS = {
    "Input": "variable water quality skip_bad",
    "Output": "output days keep_observed unpacked overwrite refresh kind",
    "Method": "method methods config settings train valid members nrt climatology scale grid resample "
    "min_observations period harmonics window smoothing size overlap coverage most",
    "Scoring": "protocol share noise withheld relative_to",
    "Large jobs": "workers shard merge update resume max_minutes partition gpus nodes time account dry_run status",
}
"""The options of the verbs under each heading, by the names of their parameters, in the order of `--help`."""

_PANEL_OF = {name: panel for panel, names in PANELS.items() for name in names.split()}
_ORDER = [None, *PANELS]


def group_options(verb: Any) -> None:  # noqa: ANN401
    """Give every option of a verb its heading, and sort the options by heading; arguments stay first."""
    for parameter in verb.params:
        parameter.rich_help_panel = _PANEL_OF.get(parameter.name) if parameter.param_type_name == "option" else None
    verb.params.sort(key=lambda parameter: _ORDER.index(parameter.rich_help_panel))
