"""The configuration of a run: read from and written to TOML, validated."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import Field, TypeAdapter, ValidationError, WrapValidator
from pydantic.dataclasses import dataclass

from sereno.config import own_method
from sereno.config.faults import clear_faults, cut, fault, listed, require_odd, shortened
from sereno.config.model import (
    REFERENCE_NETWORKS,
    STRICT,
    ConvLSTM,
    MethodConfig,
    UNet,
    configurations,
)
from sereno.errors import InputError, reason_of
from sereno.files import read_bounded
from sereno.methods import METHODS, registered_names

LONGEST = 2**20
"""Bytes of a run file at most."""


@clear_faults
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
    """Standard deviation, in cells, of the neighbourhood that a poorly observed pixel depends on."""
    strength: float = Field(default=20.0, gt=0, le=1e9)
    """How many observations the neighbourhood counts for."""
    recent_days: int = Field(default=15, ge=0, le=366)
    """Half-width, in days, of the basin-mean anomaly that is added to the climatology; 0 leaves it out."""
    file: str | None = None
    """Read the climatology from this file (dims `time`, `dayofyear` or `month`) instead of fitting it."""

    def __post_init__(self) -> None:
        """Refuse windows without a centre, and a base period where there is nothing to fit."""
        require_odd(self, "window", "smoothing")
        if self.file is not None and self.period is not None:
            raise ValueError("period says what to fit the climatology on, and file that it is not fitted; give one")


def _settings(value: object, validate: Callable[[object], Any]) -> Any:  # noqa: ANN401
    """Take settings of a method of your own as they are, and validate all others."""
    return value if own_method.is_settings(value) else validate(value)


@clear_faults
@dataclass(frozen=True, config=STRICT)
class RunConfig:
    """All settings of a run; saved with every output."""

    model: Annotated[MethodConfig, WrapValidator(_settings)]
    """Settings of one of sereno's methods, or a dataclass with ``method`` and ``window`` for one of your own."""
    climatology: ClimatologyConfig = Field(default_factory=ClimatologyConfig)
    variable: str | None = None
    """Variable to read; found by the lexicon of product layouts where not given."""
    water: str | None = None
    """File with a mask of land and sea."""
    quality_level: int = Field(default=4, ge=0, le=5)
    """Lowest GHRSST quality level that counts as an observation."""
    train: str | None = None
    """Training period as A:B, both days included; the whole record where not given."""
    valid: str | None = None
    """Validation period as A:B; must keep a window's distance from `train`."""
    calibration_days: int = Field(default=240, ge=8, le=100_000)
    """Days, at most, reconstructed from a part of their observations to calibrate the standard deviation."""
    max_minutes: float | None = Field(default=None, gt=0, le=10_000_000)
    """Stop training after this many minutes with the best weights so far."""
    seed: int = Field(default=0, ge=0, le=2**63 - 1)
    """Seed of everything random."""

    @property
    def weights(self) -> Literal["packaged", "fine-tuned", "fresh"]:
        """The initial weights of a network: pre-trained and unchanged, pre-trained and trained further, or new."""
        return self.model.weights if isinstance(self.model, UNet) else "fresh"

    @property
    def leaks(self) -> bool:
        """Whether validation shares days with training, so that its loss is too low."""
        return isinstance(self.model, ConvLSTM) and self.model.split == "random"


_ADAPTER: TypeAdapter[RunConfig] = TypeAdapter(RunConfig)


def parse_config(values: dict[str, Any], *, origin: str = "configuration", settings: type | None = None) -> RunConfig:
    """Validate a nested mapping into a `RunConfig`; the name of a network of the thesis is short for its settings.

    Parameters
    ----------
    values
        The content of a run file.
    origin
        Where it comes from, for messages.
    settings
        The dataclass of ``model``, of a method of your own that is not registered.

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
        model = None
    try:
        if isinstance(model, dict) and isinstance(name := model.get("method"), str) and name not in configurations():
            cls = settings or own_method.settings_class(name)
            values = values if cls is None else values | {"model": own_method.settings_of(model, cls)}
        return _ADAPTER.validate_python(values)
    except ValidationError as error:
        raise InputError(listed(origin, [_fault(dict(item), settings) for item in error.errors()])) from None
    except Exception as error:
        raise InputError(f"{origin}: {reason_of(error)}; see docs/how-to/train.md for run files") from error


def configure(method: str, **settings: Any) -> RunConfig:  # noqa: ANN401
    """Return the default configuration of a method; `settings` are further keys of `RunConfig`."""
    return parse_config({"model": {"method": method}, **settings}, origin=f"method {method!r}")


def configure_at_once(method: str, **settings: Any) -> RunConfig:  # noqa: ANN401
    """Return the configuration that a quick method is fitted with on the fly: a network is used as packaged."""
    packaged = method in METHODS and METHODS[method].has_packaged_weights
    model = {"method": method} | ({"weights": "packaged"} if packaged else {})
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
    """Return `values` with `key.path=value` assignments applied to it; values are read as TOML, else as text."""
    merged: dict[str, Any] = {key: dict(v) if isinstance(v, dict) else v for key, v in values.items()}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path.strip():
            raise InputError(f"`assignments` {cut(assignment)}: write it as key=value, for example model.hidden=64")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        except Exception as error:  # too many brackets, too many digits
            raise InputError(f"`assignments` {cut(assignment)}: {reason_of(error)}") from error
        *parents, last = path.strip().split(".")
        node = merged
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise InputError(f"`assignments` {cut(assignment)}: {parent!r} is a value, not a table")
        node[last] = value
    return merged


def as_mapping(config: RunConfig) -> dict[str, Any]:
    """Return the configuration as a nested mapping without unset values, ready for TOML or JSON."""
    how: dict[str, Any] = {"mode": "json", "exclude_none": True}
    model = TypeAdapter(type(config.model)).dump_python(config.model, **how)
    return {"model": model, **_ADAPTER.dump_python(config, exclude={"model"}, **how)}


def to_toml(config: RunConfig) -> str:
    """Return the configuration as a TOML document that `read_config` reads back."""
    return tomli_w.dumps(as_mapping(config))


def _fault(error: dict[str, Any], settings: type | None) -> str:
    """Return one validation error in a line."""
    location = [cut(str(part)) for part in error["loc"]]
    # Below "model" pydantic names the method that it read the table as.
    owner = location[:2] if location[0] == "model" else location[:1]
    path, kind = ".".join([location[0], *location[len(owner) :]]), error["type"]
    if kind == "union_tag_invalid":
        given = shortened(error["input"]["method"])
        return f"model.method: unknown method {given}; choose one of {', '.join(_names())}"
    if kind == "union_tag_not_found" or (kind == "missing" and path == "model"):
        return f"model.method: name the method, one of {', '.join(_names())}"
    return fault(path, error, [field.name for field in dataclasses.fields(_table(location, settings))])


def _names() -> list[str]:
    """Return what `model.method` may say."""
    return [*configurations(), *REFERENCE_NETWORKS, *registered_names()]


def _table(location: list[str], settings: type | None) -> type:
    """Return the dataclass of the table that the last part of `location` was written in."""
    if location[0] == "model" and len(location) > 2:
        return settings or own_method.settings_class(location[1]) or RunConfig
    return ClimatologyConfig if location[0] == "climatology" and len(location) > 1 else RunConfig
