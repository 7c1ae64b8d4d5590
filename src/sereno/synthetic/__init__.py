"""The twin sea: a synthetic sea whose truth is known, for the demo, the tests and the benchmarks."""

from sereno.synthetic.config import TwinSeaConfig
from sereno.synthetic.files import write_l3s
from sereno.synthetic.twin import twin_sea

__all__ = ["TwinSeaConfig", "twin_sea", "write_l3s"]
