"""Methods of reconstruction, a module or a folder each, behind the protocol of `sereno.methods`.

`anomaly` wraps every method: it subtracts the climatology before and adds it back after. `day_blocks` is the lazy
walk over days. ``uncertainty/`` learns and calibrates the standard deviation of all; ``variogram/`` finds covariances
from all pairs of observations.
"""
