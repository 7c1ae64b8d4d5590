"""The settings of each method, as a run file may give them under ``[model]``."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from sereno.config.faults import clear_faults, require_odd

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
LONGEST_WINDOW = 3653
"""Days of a window, or of a scale in time, at most."""
WIDEST = 20_000.0
"""Kilometres of a scale in space at most: half of the Earth's circumference."""
MOST_CHANNELS, MOST_CELLS = 4096, 65_536
"""Channels of a layer, and cells of a tile along either axis, at most."""
LARGEST_KERNEL, LARGEST_DILATION, MOST_LAYERS = 99, 64, 16
"""Of the thesis method's networks, at most."""
MOST_STEPS = 10_000_000
"""Steps of a training, or windows of it, at most."""
LEAST_ERROR, LARGEST_ERROR = 1e-9, 1e9
"""What the standard deviation of an error may be, in any unit."""


@clear_faults
@dataclass(frozen=True, config=STRICT)
class Climatology:
    """Predict an anomaly of zero: the baseline of every other method."""

    method: Literal["climatology"] = "climatology"
    window: int = Field(default=15, ge=1, le=LONGEST_WINDOW)
    """Days, centred on the target, within which an observation counts as support."""


@clear_faults
@dataclass(frozen=True, config=STRICT)
class Interpolation:
    """Nearest past and future day in time, then normalised convolution in space, not across land."""

    method: Literal["interpolation"] = "interpolation"
    window: int = Field(default=15, ge=1, le=LONGEST_WINDOW)
    """Days, centred on the target, from which its observations are taken; an odd number. The background that is
    subtracted from these has a window of its own on each of its days."""
    time_scale: float | None = Field(default=None, gt=0, le=LONGEST_WINDOW)
    """e-folding time, in days, of the weight of an observation; tuned on withheld pixels where not given."""
    space_scale: float | None = Field(default=None, gt=0, le=WIDEST)
    """Standard deviation, in km, of the finest convolution; tuned on withheld pixels where not given."""

    def __post_init__(self) -> None:
        """Refuse a window without a centre."""
        require_odd(self, "window")


@clear_faults
@dataclass(frozen=True, config=STRICT)
class Persistence:
    """The last observation of each pixel, damped towards the climatology as it ages."""

    method: Literal["persistence"] = "persistence"
    window: int = Field(default=31, ge=1, le=LONGEST_WINDOW)
    """Days, an odd number centred on the target, of whose first half the last observation is taken."""

    def __post_init__(self) -> None:
        """Refuse a window without a centre."""
        require_odd(self, "window")


@clear_faults
@dataclass(frozen=True, config=STRICT)
class Linear:
    """Linear interpolation in time at each pixel."""

    method: Literal["linear"] = "linear"
    window: int = Field(default=31, ge=1, le=LONGEST_WINDOW)
    """Days, an odd number centred on the target, from which the nearest observation before and after are taken."""

    def __post_init__(self) -> None:
        """Refuse a window without a centre."""
        require_odd(self, "window")


@clear_faults
@dataclass(frozen=True, config=STRICT)
class OptimalInterpolation:
    """Optimal interpolation with a covariance in space and time, tuned or published."""

    method: Literal["oi"] = "oi"
    window: int = Field(default=21, ge=1, le=LONGEST_WINDOW)
    """Days, centred on the target, from which its observations are taken; an odd number."""
    covariance: Literal["exponential", "matern", "two-scale", "operational"] = "two-scale"
    """Family of covariances: see docs/methods/oi.md."""
    parameters: Literal["tuned", "paper"] = "tuned"
    """Tuned on withheld pixels, or those of Buongiorno Nardelli et al. 2013 (exponential) and Marullo et al. 2007
    (operational)."""
    observations: int = Field(default=120, ge=1, le=10_000)
    """Observations and super-observations that influence a cell, at most: the most correlated."""
    noise: float | None = Field(default=None, ge=LEAST_ERROR, le=LARGEST_ERROR)
    """Standard deviation of an observation's own error, the field's unit; tuned, or under "paper" estimated from the
    images, where not given. Where the input states an error for each observation, that of a typical one."""

    def __post_init__(self) -> None:
        """Refuse a window without a centre, and published parameters where there are none."""
        require_odd(self, "window")
        if self.parameters == "paper" and self.covariance not in ("exponential", "operational"):
            raise ValueError(
                f"no published parameters are known for the covariance {self.covariance!r}; set covariance to "
                "exponential or operational, or parameters to tuned"
            )


@clear_faults
@dataclass(frozen=True, config=STRICT)
class GriddedInterpolation:
    """Optimal interpolation by convolutions on the whole grid at once."""

    method: Literal["oi-grid"] = "oi-grid"
    window: int = Field(default=15, ge=1, le=LONGEST_WINDOW)
    """Days, centred on the target, from which its observations are taken; an odd number."""
    terms: int = Field(default=6, ge=1, le=64)
    """Terms of the covariance, each Gaussian in space and Matérn-3/2 in time."""
    steps: int = Field(default=20, ge=0, le=100_000)
    """Steps of the tuning of the covariance of a short record, which starts from its moments; a run for every forty
    steps."""
    noise: float | None = Field(default=None, ge=LEAST_ERROR, le=LARGEST_ERROR)
    """Standard deviation of an observation's own error, the field's unit; tuned where not given. Where the input
    states an error for each observation, that of a typical one."""

    def __post_init__(self) -> None:
        """Refuse a window without a centre."""
        require_odd(self, "window")


@clear_faults
@dataclass(frozen=True, config=STRICT)
class DINEOF:
    """Data-interpolating empirical orthogonal functions, solved a segment of the record at a time."""

    method: Literal["dineof"] = "dineof"
    window: int = Field(default=15, ge=1, le=LONGEST_WINDOW)
    """Days, an odd number, centred on the target, within which an observation counts as support."""
    segment: int = Field(default=730, ge=2, le=36_525)
    """Days that share one matrix and its modes, counted from the first day of the training period."""
    margin: int = Field(default=30, ge=0, le=LONGEST_WINDOW)
    """Days on either side of a segment that its matrix holds too."""
    modes: int | None = Field(default=None, ge=1, le=10_000)
    """Modes retained; chosen by cross-validation where not given."""
    first_modes: int = Field(default=1, ge=1, le=10_000)
    """Modes that cross-validation starts with (DINEOF's neini)."""
    most_modes: int = Field(default=80, ge=1, le=10_000)
    """Modes that cross-validation ends with (DINEOF's nev); it stops before when the error keeps rising."""
    alpha: float = Field(default=0.03, ge=0, le=0.5)
    """Strength, in days², of the filter of the covariance between days; 0 leaves it out."""
    filter_iterations: int = Field(default=3, ge=1, le=1000)
    """Steps of that filter (DINEOF's numit); it smooths over about 2π √(alpha · steps) days."""
    tolerance: float = Field(default=3e-3, gt=0, le=1)
    """Change of the filled values, relative to the spread of the observations, at which iterations stop (toliter)."""
    most_iterations: int = Field(default=300, ge=1, le=100_000)
    """Iterations at most for one number of modes (nitemax)."""

    def __post_init__(self) -> None:
        """Refuse a window without a centre, and modes upside down."""
        require_odd(self, "window")
        if self.first_modes > self.most_modes:
            raise ValueError(f"first_modes ({self.first_modes}) must not exceed most_modes ({self.most_modes})")


@clear_faults
@dataclass(frozen=True, config=STRICT)
class ConvLSTM:
    """The networks of the thesis: ConvLSTM layers over the window, then two convolutions; the deep one by default."""

    method: Literal["convlstm"] = "convlstm"
    window: int = Field(default=15, ge=3, le=LONGEST_WINDOW)
    """Days in the sequence, an odd number; the target is the central one."""
    hidden: int = Field(default=32, ge=1, le=MOST_CHANNELS)
    """Channels of each ConvLSTM layer."""
    kernel: int = Field(default=5, ge=1, le=LARGEST_KERNEL)
    """Side of the ConvLSTM kernels, an odd number of cells."""
    layers: int = Field(default=2, ge=1, le=MOST_LAYERS)
    """Number of ConvLSTM layers."""
    head: int = Field(default=64, ge=1, le=MOST_CHANNELS)
    """Channels of the first plain convolution."""
    dilation: int = Field(default=2, ge=1, le=LARGEST_DILATION)
    """Dilation of the first plain convolution."""
    recurrent_activation: Literal["sigmoid", "hard_sigmoid", "hard_sigmoid_keras2"] = "sigmoid"
    """Activation of the gates; the hard ones are those of old Keras networks."""
    mask: Literal["observed", "state"] = "observed"
    """Second channel of the input: observed is 1 where observed, else 0; state (the thesis) is -1 on land too."""
    tile: tuple[Annotated[int, Field(ge=1, le=MOST_CELLS)], Annotated[int, Field(ge=1, le=MOST_CELLS)]] = (64, 64)
    """Cells (lat, lon) of the training windows, and of the tiles of a large map."""
    halo: int = Field(default=16, ge=0, le=4096)
    """Cells of context round each tile of a large map."""
    windows: Literal["random", "tiles"] = "random"
    """Training windows: random crops and days, or (the thesis) every tile of every day, overlapping."""
    overlap: float = Field(default=0.5, ge=0, lt=1)
    """Share of a tile that the next one covers too, where windows are tiles."""
    smallest_coverage: float = Field(default=0.1, ge=0, le=1)
    """Tiles of which less was observed on the central day are dropped, where windows are tiles."""
    most_tiles: int | None = Field(default=None, ge=2, le=MOST_STEPS)
    """Tiles at most, drawn once with the seed, where windows are tiles; the thesis had 4096."""
    hidden_day_fraction: float = Field(default=0.25, ge=0, le=1)
    """Share of windows whose central day is wholly hidden (1 is the thesis); others lose pixels under real clouds."""
    split: Literal["time", "random"] = "time"
    """How validation windows are separated from training windows: in time, with a gap of a window; random (the
    thesis) draws them from the same days, so that the validation loss leaks, and needs windows = "tiles"."""
    validation_windows: int | None = Field(default=None, ge=1, le=MOST_STEPS)
    """Fixed windows that the validation loss is taken on; 64 where not given, and where windows are tiles the power
    of two nearest to 15 % of all of them."""
    batch_size: int = Field(default=4, ge=1, le=MOST_STEPS)
    """Windows in a training step."""
    steps_per_epoch: int = Field(default=200, ge=1, le=MOST_STEPS)
    """Training steps between two computations of the validation loss, where windows are random."""
    learning_rate: float = Field(default=1e-3, gt=0, le=10)
    """Step size of Adam."""
    max_epochs: int = Field(default=100, ge=1, le=MOST_STEPS)
    """Epochs at most."""
    patience: int = Field(default=10, ge=1, le=MOST_STEPS)
    """Epochs without a better validation loss before training stops."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: float32 for filling, so that a map does not depend on the machine that makes it; for training, bfloat16
    where the hardware has it."""
    recompute: bool = False
    """Compute the gates twice in training rather than keep them: less than half the memory, a third more work."""

    def __post_init__(self) -> None:
        """Refuse a window or a kernel without a centre."""
        require_odd(self, "window", "kernel")


@clear_faults
@dataclass(frozen=True, config=STRICT)
class UNet:
    """A U-Net that corrects the first guess of gridded optimal interpolation and says how uncertain it is."""

    method: Literal["unet"] = "unet"
    network: Literal["all-days", "central-day"] = "central-day"
    """What the network answers: every day of its window, or the central one, as in earlier versions."""
    window: int = Field(default=15, ge=3, le=LONGEST_WINDOW)
    """Days in the window, an odd number."""
    widths: tuple[Annotated[int, Field(ge=1, le=MOST_CHANNELS)], ...] | None = Field(
        default=None, min_length=2, max_length=8
    )
    """Channels of each level of the network, the finest first; a level has half the cells of the one before. Those of
    the pre-trained network where not given."""
    passes: int | None = Field(default=None, ge=1, le=4)
    """How often the network is applied, each time to its previous output, with the same weights; as often as the
    pre-trained network where not given."""
    follow: bool = True
    """Answer each day twice, from the images where they are and carried along the flow that the network of all days
    estimates, and take the mean, where the training record shows that the water can be followed. It takes several
    times as long."""
    attention: bool = False
    """Let the coarsest cells attend to those around them."""
    tuning_steps: int = Field(default=20, ge=0, le=100_000)
    """Steps in which the first guess of a short record is tuned, as of oi-grid."""
    weights: Literal["packaged", "fine-tuned", "fresh"] = "fine-tuned"
    """Use the pre-trained weights unchanged, train them further on the input, or train new ones on it."""
    members: int = Field(default=1, ge=1, le=64)
    """Networks trained one after the other, of which the mean is taken; the package holds one."""
    tile: tuple[Annotated[int, Field(ge=1, le=MOST_CELLS)], Annotated[int, Field(ge=1, le=MOST_CELLS)]] = (64, 64)
    """Cells (lat, lon) of the training windows."""
    hidden_day_fraction: float = Field(default=0.25, ge=0, le=1)
    """Share of windows whose central day is wholly hidden; the rest lose the pixels under a real cloud mask."""
    past_fraction: float = Field(default=0.2, ge=0, le=1)
    """Share of windows without a day after the central one, as in near real time."""
    windows_kept: int = Field(default=1500, ge=8, le=MOST_STEPS)
    """Training windows, drawn once; each is used many times, rotated and mirrored."""
    validation_windows: int = Field(default=128, ge=1, le=MOST_STEPS)
    """Fixed windows that the validation loss is taken on."""
    batch_size: int = Field(default=16, ge=1, le=MOST_STEPS)
    """Windows in a training step."""
    steps_per_epoch: int = Field(default=100, ge=1, le=MOST_STEPS)
    """Training steps between two computations of the validation loss."""
    learning_rate: float = Field(default=3e-4, gt=0, le=10)
    """Step size of AdamW; it falls to zero at the end of all epochs."""
    max_epochs: int = Field(default=30, ge=1, le=MOST_STEPS)
    """Epochs at most."""
    patience: int = Field(default=10, ge=1, le=MOST_STEPS)
    """Epochs without a better validation loss before training stops."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: float32 for filling, so that a map does not depend on the machine that makes it; for training, bfloat16
    where the hardware has it."""
    engine: Literal["auto", "torch", "openvino"] = "auto"
    """What runs a trained network; auto: OpenVINO, faster on processors, where it is installed and maps are large."""

    def __post_init__(self) -> None:
        """Refuse a window without a centre, and more packaged networks than there are."""
        require_odd(self, "window")
        if self.attention and self.network == "all-days":
            raise ValueError("attention: the network of all days has none; set network to central-day")
        if self.weights == "packaged" and self.members > 1:
            raise ValueError("members: the package holds one network; train several with weights fine-tuned or fresh")

    @property
    def levels(self) -> tuple[int, ...]:
        """The widths, where not given those of the pre-trained network."""
        return self.widths or PACKAGED_WIDTHS[self.network]

    @property
    def applied(self) -> int:
        """The passes, where not given those of the pre-trained network."""
        return self.passes or PACKAGED_PASSES[self.network]


PACKAGED_WIDTHS = {"all-days": (64, 96, 128, 160), "central-day": (48, 80, 128, 160)}
PACKAGED_PASSES = {"all-days": 2, "central-day": 1}
"""Of the networks of the package."""


@clear_faults
@dataclass(frozen=True, config=STRICT)
class ConvLSTMUNet(UNet):
    """The same with ConvLSTMs over the days, forward and backward, at the coarsest level of the network."""

    method: Literal["convlstm-unet"] = "convlstm-unet"  # type: ignore[assignment]  # narrower
    network: Literal["central-day"] = "central-day"
    """What the network answers: the central day of its window."""
    hidden: int = Field(default=64, ge=1, le=MOST_CHANNELS)
    """Channels of the ConvLSTM in either direction."""

    def __post_init__(self) -> None:
        """Refuse what a U-Net refuses, and an engine without ConvLSTMs."""
        super().__post_init__()
        if self.engine == "openvino":
            raise ValueError("engine: OpenVINO cannot trace a ConvLSTM; set it to torch or auto")


REFERENCE_NETWORKS: dict[str, dict[str, int]] = {
    "model1": {"layers": 1, "kernel": 3, "dilation": 1},
    "model2": {"layers": 1, "kernel": 3, "dilation": 2},
    "model3": {"layers": 1, "kernel": 5, "dilation": 2},
    "model3-dilation1": {"layers": 1, "kernel": 5, "dilation": 1},
    "deep": {"layers": 2, "kernel": 5, "dilation": 2},
}
"""The networks of the thesis by name: settings of `ConvLSTM` that `model.method` may name instead of ``convlstm``."""

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


def configurations() -> dict[str, type]:
    """Return the configuration of each method by the method's name."""
    members = get_args(get_args(MethodConfig)[0])
    return {cls.__dataclass_fields__["method"].default: cls for cls in members}
