from .compute.memory import tune_memory
from .config import (
    DINEOF,
    Climatology,
    ClimatologyConfig,
    ConvLSTM,
    ConvLSTMUNet,
    GriddedInterpolation,
    Interpolation,
    Linear,
    OptimalInterpolation,
    Persistence,
    RunConfig,
    UNet,
)
from .errors import InputError
from .evaluation.evaluate import Evaluation, evaluate
from .io.inputs.cube import open_cube
from .io.inputs.memory import cube_from
from .io.outputs.analysis import write_analysis
from .io.outputs.provenance import Product
from .io.stores.prepared import write_cube
from .report.page import save_report
from .workflow.bare_networks import BareNetwork
from .workflow.climatology import make_climatology
from .workflow.describe import describe
from .workflow.fill import fill
from .workflow.fill_to import fill_to
from .workflow.fit import fit
from .workflow.models import Model, load, save
from .workflow.prepare import prepare

__version__: str
__all__: list[str]
