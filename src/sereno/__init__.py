"""sereno: fill the clouds in satellite images of the sea.

The verbs of the command line on xarray objects: `open_cube`, `describe`, `fit`, `fill`, `evaluate`, `save`,
`load`. They are imported when first used, so that ``import sereno`` costs nothing.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# PyTorch reads this when it first asks for memory. On Linux large tensors then lie in large pages: the convolutions
# of `oi-grid` and `unet` would spend much of their time on faulting the small ones in, over and over.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

if TYPE_CHECKING:
    from sereno.errors import InputError
    from sereno.evaluation.evaluate import evaluate
    from sereno.io.inputs.cube import open_cube
    from sereno.io.outputs.analysis import write_analysis
    from sereno.workflow.describe import describe
    from sereno.workflow.fill import fill
    from sereno.workflow.fit import fit
    from sereno.workflow.models import load, save

_HOMES = {
    "InputError": "sereno.errors",
    "describe": "sereno.workflow.prepare",
    "evaluate": "sereno.evaluation.evaluate",
    "fill": "sereno.workflow.models",
    "fit": "sereno.workflow.models",
    "load": "sereno.workflow.models",
    "open_cube": "sereno.io.inputs.cube",
    "save": "sereno.workflow.models",
    "write_analysis": "sereno.io.outputs.analysis",
}
__all__ = ["InputError", "describe", "evaluate", "fill", "fit", "load", "open_cube", "save", "write_analysis"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _HOMES:
        raise AttributeError(f"module 'sereno' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
