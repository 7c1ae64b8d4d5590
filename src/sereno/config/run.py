"""The configuration of a run: read from and written to TOML, validated."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from sereno.config.model import REFERENCE_NETWORKS, STRICT, MethodConfig, configurations, require_odd
from sereno.errors import InputError, reason_of
from sereno.files import read_bounded

LONGEST = 2**20
"""Bytes of a run file at most."""
SHOWN = 80
"""Characters of a value that a message shows."""
MOST_FAULTS = 20
"""Faults that a message lists."""


@dataclass(frozen=True, config=STRICT)
class ClimatologyConfig:
    """The daily climatology that anomalies are taken from."""

    kind: Literal["harmonics", "window"] = "harmonics"
    """Regress on harmonics of the year and a trend, or average over a window of days of the year and smooth."""
    harmonics: int = Field(default=2, ge=0, le=6)
    """Harmonics of the year: 1 annual, 2 semi-annual. Short records use fewer."""
    trend: bool = True
    """Fit a linear trend where the record spans at least five years."""
    window: int = Field(default=11, ge=1, le=91)
    """Days, an odd number, centred on each day of the year, that kind "window" averages over."""
    smoothing: int = Field(default=31, ge=1, le=181)
    """Days, an odd number, of the moving average that follows the window."""
    period: str | None = None
    """Base period A:B within the training period; the whole training period where not given."""
    neighbours: float = Field(default=2.0, gt=0, le=1000)
    """Standard deviation, in cells, of the neighbourhood that a poorly observed pixel leans on."""
    strength: float = Field(default=20.0, gt=0, le=1e9)
    """How many observations the neighbourhood counts for."""
    recent_days: int = Field(default=15, ge=0, le=366)
    """Half-width, in days, of the recent mean of the basin that is added to the climatology; 0 leaves it out."""
    file: str | None = None
    """Read the climatology from this file (dims `time`, `dayofyear` or `month`) instead of fitting it."""

    def __post_init__(self) -> None:
        """Refuse windows without a centre, and a base period where there is nothing to fit."""
        require_odd(self, "window", "smoothing")
        if self.file is not None and self.period is not None:
            raise ValueError("period says what to fit the climatology on, and file that it is not fitted; give one")


@dataclass(frozen=True, config=STRICT)
class RunConfig:
    """Everything that makes a run what it is; saved beside every output."""

    model: MethodConfig
    climatology: ClimatologyConfig = Field(default_factory=ClimatologyConfig)
    variable: str | None = None
    """Variable to read; found by the lexicon of product layouts where not given."""
    water: str | None = None
    """File whose mask tells sea from land."""
    quality_level: int = Field(default=4, ge=0, le=5)
    """Lowest GHRSST quality level that counts as an observation."""
    train: str | None = None
    """Training period as A:B, both days included; the whole record where not given."""
    valid: str | None = None
    """Validation period as A:B; must keep a window's distance from `train`."""
    calibration_days: int = Field(default=240, ge=8, le=100_000)
    """Days, at most, reconstructed from a part of their observations to calibrate the standard deviation."""
    max_minutes: float | None = Field(default=None, gt=0, le=10_000_000)
    """Stop training after so many minutes with the best weights so far."""
    seed: int = Field(default=0, ge=0, le=2**63 - 1)
    """Seed of everything random."""


_ADAPTER: TypeAdapter[RunConfig] = TypeAdapter(RunConfig)


def parse_config(values: dict[str, Any], *, origin: str = "configuration") -> RunConfig:
    """Validate a nested mapping into a `RunConfig`; the name of a reference network stands for its settings.

    Raises
    ------
    InputError
        Lists every fault: unknown keys with their path and the nearest known key, values of the wrong kind
        or out of range.
    """
    # Where a run is computed is no part of what it is: `sereno.slurm` reads that table.
    values = {key: value for key, value in values.items() if key != "slurm"}
    model = values.get("model")
    if isinstance(model, dict) and isinstance(name := model.get("method"), str) and name in REFERENCE_NETWORKS:
        network = {"method": "convlstm", **REFERENCE_NETWORKS[name]}
        values = values | {"model": network | {key: value for key, value in model.items() if key != "method"}}
    try:
        return _ADAPTER.validate_python(values)
    except ValidationError as error:
        faults = [f"  {_fault(dict(item))}" for item in error.errors()]
        if len(faults) > MOST_FAULTS:
            faults[MOST_FAULTS:] = [f"  and {len(faults) - MOST_FAULTS} more"]
        raise InputError("\n".join([f"{origin}:", *faults])) from None
    except Exception as error:
        raise InputError(f"{origin}: {reason_of(error)}; see docs/usage.md for what a run file holds") from error


def configure(method: str, **settings: Any) -> RunConfig:  # noqa: ANN401
    """Return the default configuration of a method; `settings` are further keys of `RunConfig`."""
    return parse_config({"model": {"method": method}, **settings}, origin=f"method {method!r}")


def configure_at_once(method: str, **settings: Any) -> RunConfig:  # noqa: ANN401
    """Return the configuration that a quick method is fitted with on the fly: a network is used as packaged."""
    model = {"method": method} | ({"weights": "packaged"} if method == "unet" else {})
    return parse_config({"model": model, **settings}, origin=f"method {method!r}")


def read_config(path: str | Path) -> dict[str, Any]:
    """Read a TOML run file into a plain mapping, not yet validated, so that overrides can be merged first."""
    try:
        return tomllib.loads(read_bounded(path, most=LONGEST).decode("utf-8-sig"))
    except InputError:
        raise
    except Exception as error:  # 5,000 brackets are a RecursionError
        raise InputError(f"{path}: not valid TOML: {reason_of(error)}") from error


def override(values: dict[str, Any], assignments: list[str]) -> dict[str, Any]:
    """Return `values` with `key.path=value` assignments laid over it; values are read as TOML, else as text."""
    merged: dict[str, Any] = {key: dict(v) if isinstance(v, dict) else v for key, v in values.items()}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path.strip():
            raise InputError(f"--set {_cut(assignment)}: write it as key=value, for example model.hidden=64")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        except Exception as error:  # too many brackets, too many digits
            raise InputError(f"--set {_cut(assignment)}: {reason_of(error)}") from error
        *parents, last = path.strip().split(".")
        node = merged
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise InputError(f"--set {_cut(assignment)}: {parent!r} is a value, not a table")
        node[last] = value
    return merged


def as_mapping(config: RunConfig) -> dict[str, Any]:
    """Return the configuration as a nested mapping without unset values, ready for TOML or JSON."""
    mapping: dict[str, Any] = _ADAPTER.dump_python(config, mode="json", exclude_none=True)
    return mapping


def to_toml(config: RunConfig) -> str:
    """Return the configuration as a TOML document that `read_config` reads back."""
    return tomli_w.dumps(as_mapping(config))


def _fault(error: dict[str, Any]) -> str:
    """Tell one validation error in a line: the path, what is wrong, what was probably meant."""
    location = [_cut(str(part)) for part in error["loc"]]
    # Below "model" pydantic names the method that it read the table as.
    owner = location[:2] if location[0] == "model" else location[:1]
    path = ".".join([location[0], *location[len(owner) :]])
    kind, given = error["type"], error["input"]
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        known = [field.name for field in dataclasses.fields(_table(location))]
        near = difflib.get_close_matches(location[-1], known, n=1)
        meant = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
        return f"{path}: unknown key; {meant}"
    if kind == "union_tag_invalid":
        return f"model.method: unknown method {shortened(given['method'])}; choose one of {', '.join(_names())}"
    if kind == "union_tag_not_found" or (kind == "missing" and path == "model"):
        return f"model.method: name the method, one of {', '.join(_names())}"
    if kind in ("dataclass_type", "model_attributes_type"):
        return f"{path}: must be a table of settings (got {shortened(given)})"
    message = error["msg"].removeprefix("Value error, ")
    if kind == "tuple_type":
        message = "must be a list, such as [64, 64]"
    return f"{path}: {message}" if isinstance(given, dict) else f"{path}: {message} (got {shortened(given)})"


def shortened(value: object) -> str:
    """Return a value as a message may show it."""
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _names() -> list[str]:
    """Return what `model.method` may say."""
    return [*configurations(), *REFERENCE_NETWORKS]


def _table(location: list[str]) -> type:
    """Return the dataclass of the table that the last part of `location` was written in."""
    if location[0] == "model" and len(location) > 2:
        return configurations()[location[1]]
    return ClimatologyConfig if location[0] == "climatology" and len(location) > 1 else RunConfig
