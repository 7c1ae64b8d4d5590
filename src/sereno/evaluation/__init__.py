"""The referee: which pixels are scored, sums that add up, and the scores that follow from them.

`evaluate` is the order of all: `scored_pixels` chooses what is withheld, `scoring` walks over an analysis block by
block, `sums` adds up what a block of days contributes, by day and by the bins of `strata`. `metrics`, `reliability`,
`gradients` and `spectra` are sums of their own kind. `score_tables` makes rows, ratios and intervals (`bootstrap`)
from the sums, and `examples` keeps the maps of a few days. `results` are the types of all scores, and `evaluation` is
what `evaluate` returns: scores, maps and models, as tables and as files.
"""
