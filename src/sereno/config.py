"""The configuration of a run: frozen dataclasses, read from and written to TOML, validated."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import tomli_w
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from sereno.errors import InputError

_STRICT = ConfigDict(extra="forbid")


def _require_odd(config: object, *names: str) -> None:
    """Refuse numbers without a centre."""
    for name in names:
        if (value := getattr(config, name)) % 2 == 0:
            raise ValueError(f"{name} must be an odd number (got {value})")


@dataclass(frozen=True, config=_STRICT)
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
    neighbours: float = Field(default=2.0, gt=0)
    """Standard deviation, in cells, of the neighbourhood that a poorly observed pixel leans on."""
    strength: float = Field(default=20.0, gt=0)
    """How many observations the neighbourhood counts for."""
    recent_days: int = Field(default=15, ge=0)
    """Half-width, in days, of the recent mean of the basin that is added to the climatology; 0 leaves it out."""
    file: str | None = None
    """Read the climatology from this file (dims `time`, `dayofyear` or `month`) instead of fitting it."""

    def __post_init__(self) -> None:
        """Refuse windows without a centre, and a base period where there is nothing to fit."""
        _require_odd(self, "window", "smoothing")
        if self.file is not None and self.period is not None:
            raise ValueError("period says what to fit the climatology on, and file that it is not fitted; give one")


@dataclass(frozen=True, config=_STRICT)
class Climatology:
    """Predict no anomaly at all: the yardstick of every other method."""

    method: Literal["climatology"] = "climatology"
    window: int = Field(default=15, ge=1)
    """Days, centred on the target, within which an observation counts as support."""


@dataclass(frozen=True, config=_STRICT)
class Interpolation:
    """Nearest past and future day in time, then normalised convolution in space, not across land."""

    method: Literal["interpolation"] = "interpolation"
    window: int = Field(default=15, ge=1)
    """Days, centred on the target, from which its observations are taken; an odd number. The background that these
    depart from has a window of its own on each of its days."""
    time_scale: float | None = Field(default=None, gt=0)
    """e-folding time, in days, of the weight of an observation; tuned on withheld pixels where not given."""
    space_scale: float | None = Field(default=None, gt=0)
    """Standard deviation, in km, of the finest convolution; tuned on withheld pixels where not given."""

    def __post_init__(self) -> None:
        """Refuse a window without a centre."""
        _require_odd(self, "window")


@dataclass(frozen=True, config=_STRICT)
class Persistence:
    """The last observation of each pixel, damped towards the climatology as it ages."""

    method: Literal["persistence"] = "persistence"
    window: int = Field(default=31, ge=1)
    """Days, an odd number centred on the target, of whose first half the last observation is taken."""

    def __post_init__(self) -> None:
        """Refuse a window without a centre."""
        _require_odd(self, "window")


@dataclass(frozen=True, config=_STRICT)
class Linear:
    """Linear interpolation in time at each pixel."""

    method: Literal["linear"] = "linear"
    window: int = Field(default=31, ge=1)
    """Days, an odd number centred on the target, from which the nearest observation before and after are taken."""

    def __post_init__(self) -> None:
        """Refuse a window without a centre."""
        _require_odd(self, "window")


@dataclass(frozen=True, config=_STRICT)
class OptimalInterpolation:
    """Optimal interpolation with a covariance in space and time, tuned or published."""

    method: Literal["oi"] = "oi"
    window: int = Field(default=21, ge=1)
    """Days, centred on the target, from which its observations are taken; an odd number."""
    covariance: Literal["exponential", "matern", "two-scale", "operational"] = "two-scale"
    """Family of covariances: see docs/methods.md."""
    parameters: Literal["tuned", "paper"] = "tuned"
    """Tuned on withheld pixels, or those of Buongiorno Nardelli et al. 2013 (exponential) and Marullo et al. 2007
    (operational)."""
    observations: int = Field(default=120, ge=1)
    """Observations and super-observations that bear on a cell, at most: the most correlated."""
    noise: float | None = Field(default=None, gt=0)
    """Standard deviation of an observation's own error, the field's unit; tuned, or under "paper" estimated from the
    images, where not given. Where the input states an error for each observation, that of a typical one."""

    def __post_init__(self) -> None:
        """Refuse a window without a centre, and published parameters where there are none."""
        _require_odd(self, "window")
        if self.parameters == "paper" and self.covariance not in ("exponential", "operational"):
            raise ValueError(
                f"no published parameters are known for the covariance {self.covariance!r}; set covariance to "
                "exponential or operational, or parameters to tuned"
            )


@dataclass(frozen=True, config=_STRICT)
class GriddedInterpolation:
    """Optimal interpolation by convolutions on the whole grid at once, its covariance tuned through them."""

    method: Literal["oi-grid"] = "oi-grid"
    window: int = Field(default=15, ge=1)
    """Days, centred on the target, from which its observations are taken; an odd number."""
    terms: int = Field(default=4, ge=1)
    """Terms of the covariance, each Gaussian in space and Matérn-3/2 in time."""
    steps: int = Field(default=40, ge=1)
    """Steps of the tuning."""
    noise: float | None = Field(default=None, gt=0)
    """Standard deviation of an observation's own error, the field's unit; tuned where not given. Where the input
    states an error for each observation, that of a typical one."""

    def __post_init__(self) -> None:
        """Refuse a window without a centre."""
        _require_odd(self, "window")


@dataclass(frozen=True, config=_STRICT)
class DINEOF:
    """Data-interpolating empirical orthogonal functions, solved a segment of the record at a time."""

    method: Literal["dineof"] = "dineof"
    window: int = Field(default=15, ge=1)
    """Days, an odd number, centred on the target, within which an observation counts as support."""
    segment: int = Field(default=730, ge=2)
    """Days that share one matrix and its modes, counted from the first day of the training period."""
    margin: int = Field(default=30, ge=0)
    """Days on either side of a segment that its matrix holds besides."""
    modes: int | None = Field(default=None, ge=1)
    """Modes retained; chosen by cross-validation where not given."""
    first_modes: int = Field(default=1, ge=1)
    """Modes that cross-validation starts with (DINEOF's neini)."""
    most_modes: int = Field(default=80, ge=1)
    """Modes that cross-validation ends with (DINEOF's nev); it stops before when the error keeps rising."""
    alpha: float = Field(default=0.03, ge=0, le=0.5)
    """Strength, in days², of the filter of the covariance between days; 0 leaves it out."""
    filter_iterations: int = Field(default=3, ge=1)
    """Steps of that filter (DINEOF's numit); it smooths over about 2π √(alpha · steps) days."""
    tolerance: float = Field(default=3e-3, gt=0)
    """Change of the filled values, relative to the spread of the observations, at which iterations stop (toliter)."""
    most_iterations: int = Field(default=300, ge=1)
    """Iterations at most for one number of modes (nitemax)."""

    def __post_init__(self) -> None:
        """Refuse a window without a centre, and modes upside down."""
        _require_odd(self, "window")
        if self.first_modes > self.most_modes:
            raise ValueError(f"first_modes ({self.first_modes}) must not exceed most_modes ({self.most_modes})")


@dataclass(frozen=True, config=_STRICT)
class ConvLSTM:
    """The reference's networks: ConvLSTM layers over the window, then two convolutions; the deep one by default."""

    method: Literal["convlstm"] = "convlstm"
    window: int = Field(default=15, ge=3)
    """Days in the sequence, an odd number; the target is the central one."""
    hidden: int = Field(default=32, ge=1)
    """Channels of each ConvLSTM layer."""
    kernel: int = Field(default=5, ge=1)
    """Side of the ConvLSTM kernels, an odd number of cells."""
    layers: int = Field(default=2, ge=1)
    """Number of ConvLSTM layers."""
    head: int = Field(default=64, ge=1)
    """Channels of the first plain convolution."""
    dilation: int = Field(default=2, ge=1)
    """Dilation of the first plain convolution."""
    recurrent_activation: Literal["sigmoid", "hard_sigmoid", "hard_sigmoid_keras2"] = "sigmoid"
    """Activation of the gates; the hard ones are those of old Keras networks."""
    mask: Literal["observed", "state"] = "observed"
    """Second channel of the input: observed is 1 where observed, else 0; state (the reference) is -1 on land too."""
    tile: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = (64, 64)
    """Cells (lat, lon) of the crops trained on, and of the tiles a large map is cut into."""
    halo: int = Field(default=16, ge=0)
    """Cells of context round each tile of a large map."""
    windows: Literal["random", "tiles"] = "random"
    """Training windows: random crops and days, or (the reference) every tile of every day, overlapping."""
    overlap: float = Field(default=0.5, ge=0, lt=1)
    """Share of a tile that the next one covers too, where windows are tiles."""
    smallest_coverage: float = Field(default=0.1, ge=0, le=1)
    """Tiles of which less was observed on the central day are dropped, where windows are tiles."""
    most_tiles: int | None = Field(default=None, ge=2)
    """Tiles at most, drawn once with the seed, where windows are tiles; the reference had 4096."""
    hidden_day_fraction: float = Field(default=0.25, ge=0, le=1)
    """Share of windows whose central day is wholly hidden (1 is the reference); the rest lose a cloud's worth."""
    split: Literal["time", "random"] = "time"
    """How validation windows are parted from training windows: in time, with a gap of a window; random (the
    reference) draws them from the same days, so that the validation loss leaks. Needs windows = "tiles"."""
    validation_windows: int | None = Field(default=None, ge=1)
    """Fixed windows that the validation loss is taken on; 64 where not given, and where windows are tiles the power
    of two nearest to 15 % of all of them."""
    batch_size: int = Field(default=4, ge=1)
    """Windows in a training step."""
    steps_per_epoch: int = Field(default=200, ge=1)
    """Training steps between two looks at the validation loss, where windows are random."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Step size of Adam."""
    max_epochs: int = Field(default=100, ge=1)
    """Epochs at most."""
    patience: int = Field(default=10, ge=1)
    """Epochs without a better validation loss before training stops."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic; auto: bfloat16, faster and as accurate, where the hardware has it."""
    recompute: bool = False
    """Compute the gates twice in training rather than keep them: less than half the memory, a third more work."""

    def __post_init__(self) -> None:
        """Refuse a window or a kernel without a centre."""
        _require_odd(self, "window", "kernel")


@dataclass(frozen=True, config=_STRICT)
class UNet:
    """A U-Net that corrects the first guess of gridded optimal interpolation and tells how uncertain it is."""

    method: Literal["unet"] = "unet"
    window: int = Field(default=15, ge=3)
    """Days in the window, an odd number; the target is the central one."""
    widths: tuple[Annotated[int, Field(ge=1)], ...] = Field(default=(48, 80, 128, 160), min_length=2)
    """Channels of each level of the network, the finest first; a level has half the cells of the one before."""
    passes: int = Field(default=1, ge=1, le=4)
    """How often the network is applied, each time to what came out before, with the same weights."""
    attention: bool = False
    """Let the coarsest cells attend to those around them."""
    tuning_steps: int = Field(default=40, ge=1)
    """Steps of the tuning of the first guess, as of oi-grid."""
    weights: Literal["packaged", "fine-tuned", "fresh"] = "fine-tuned"
    """Use the weights of the package as they are, train them further on the input, or train new ones on it."""
    members: int = Field(default=1, ge=1)
    """Networks trained one after the other, of which the mean is taken; the package holds one."""
    tile: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = (64, 64)
    """Cells (lat, lon) of the crops trained on."""
    hidden_day_fraction: float = Field(default=0.25, ge=0, le=1)
    """Share of windows whose central day is wholly hidden; the rest lose a cloud's worth."""
    past_fraction: float = Field(default=0.2, ge=0, le=1)
    """Share of windows without a day after the central one, as in near real time."""
    windows_kept: int = Field(default=1500, ge=8)
    """Training windows, drawn once; each is seen many times, turned and mirrored."""
    validation_windows: int = Field(default=128, ge=1)
    """Fixed windows that the validation loss is taken on."""
    batch_size: int = Field(default=16, ge=1)
    """Windows in a training step."""
    steps_per_epoch: int = Field(default=100, ge=1)
    """Training steps between two looks at the validation loss."""
    learning_rate: float = Field(default=3e-4, gt=0)
    """Step size of AdamW; it falls to zero at the end of all epochs."""
    max_epochs: int = Field(default=30, ge=1)
    """Epochs at most."""
    patience: int = Field(default=10, ge=1)
    """Epochs without a better validation loss before training stops."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic; auto: bfloat16, faster and as accurate, where the hardware has it."""

    def __post_init__(self) -> None:
        """Refuse a window without a centre, and more packaged networks than there are."""
        _require_odd(self, "window")
        if self.weights == "packaged" and self.members > 1:
            raise ValueError("members: the package holds one network; train several with weights fine-tuned or fresh")


@dataclass(frozen=True, config=_STRICT)
class ConvLSTMUNet(UNet):
    """The same with a ConvLSTM over the days, to and fro, at the coarsest level of the network."""

    method: Literal["convlstm-unet"] = "convlstm-unet"  # type: ignore[assignment]  # narrower
    hidden: int = Field(default=64, ge=1)
    """Channels of the ConvLSTM in either direction."""


REFERENCE_NETWORKS: dict[str, dict[str, int]] = {
    "model1": {"layers": 1, "kernel": 3, "dilation": 1},
    "model2": {"layers": 1, "kernel": 3, "dilation": 2},
    "model3": {"layers": 1, "kernel": 5, "dilation": 2},
    "model3-dilation1": {"layers": 1, "kernel": 5, "dilation": 1},
    "deep": {"layers": 2, "kernel": 5, "dilation": 2},
}
"""The reference's networks by name: settings of `ConvLSTM` that `model.method` may name instead of ``convlstm``."""

MethodConfig = Annotated[
    Climatology
    | Interpolation
    | Persistence
    | Linear
    | OptimalInterpolation
    | GriddedInterpolation
    | DINEOF
    | ConvLSTM
    | UNet
    | ConvLSTMUNet,
    Field(discriminator="method"),
]


@dataclass(frozen=True, config=_STRICT)
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
    calibration_days: int = Field(default=80, ge=8)
    """Days, at most, reconstructed from a part of their observations to calibrate the standard deviation."""
    max_minutes: float | None = Field(default=None, gt=0)
    """Stop training after so many minutes with the best weights so far."""
    seed: int = Field(default=0, ge=0)
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
    if isinstance(model, dict) and model.get("method") in REFERENCE_NETWORKS:
        network = {"method": "convlstm", **REFERENCE_NETWORKS[model["method"]]}
        values = values | {"model": network | {key: value for key, value in model.items() if key != "method"}}
    try:
        return _ADAPTER.validate_python(values)
    except ValidationError as error:
        faults = "\n".join(f"  {_fault(dict(item))}" for item in error.errors())
        raise InputError(f"{origin}:\n{faults}") from None


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
        with open(path, "rb") as stream:
            return tomllib.load(stream)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None


def override(values: dict[str, Any], assignments: list[str]) -> dict[str, Any]:
    """Return `values` with `key.path=value` assignments laid over it; values are read as TOML, else as text."""
    merged: dict[str, Any] = {key: dict(v) if isinstance(v, dict) else v for key, v in values.items()}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path.strip():
            raise InputError(f"--set {assignment}: write it as key=value, for example model.hidden=64")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        *parents, last = path.strip().split(".")
        node = merged
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise InputError(f"--set {assignment}: {parent!r} is a value, not a table")
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
    location = [str(part) for part in error["loc"]]
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
        return f"model.method: unknown method {given['method']!r}; choose one of {', '.join(_names())}"
    if kind == "union_tag_not_found" or (kind == "missing" and path == "model"):
        return f"model.method: name the method, one of {', '.join(_names())}"
    if kind in ("dataclass_type", "model_attributes_type"):
        return f"{path}: must be a table of settings (got {given!r})"
    message = error["msg"].removeprefix("Value error, ")
    if kind == "tuple_type":
        message = "must be a list, such as [64, 64]"
    return f"{path}: {message}" if isinstance(given, dict) else f"{path}: {message} (got {given!r})"


def _methods() -> dict[str, type]:
    """Return the configuration of each method by the method's name."""
    members = get_args(get_args(MethodConfig)[0])
    return {cls.__dataclass_fields__["method"].default: cls for cls in members}


def _names() -> list[str]:
    """Return what `model.method` may say."""
    return [*_methods(), *REFERENCE_NETWORKS]


def _table(location: list[str]) -> type:
    """Return the dataclass of the table that the last part of `location` was written in."""
    if location[0] == "model" and len(location) > 2:
        return _methods()[location[1]]
    return ClimatologyConfig if location[0] == "climatology" and len(location) > 1 else RunConfig
