"""Scoring: which pixels are scored, sums that add up, and the scores computed from them.

`evaluate` calls the others in order: `scored_pixels` chooses the withheld pixels, `scoring` compares an analysis
block by block, `sums` adds up the contribution of a block of days, by day and by the bins of `strata`. `metrics`,
`reliability`,
`gradients` and `spectra` are sums of their own kind. `score_tables` makes rows, ratios and intervals (`bootstrap`)
from the sums, and `examples` keeps the maps of a few days. `results` are the types of all scores, and `evaluation` is
what `evaluate` returns: scores, maps and models, as tables and as files.
"""
