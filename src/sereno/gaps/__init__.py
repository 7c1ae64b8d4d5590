"""Where observations are missing, and which are withheld for a fit or for scoring.

`statistics` describes gaps and cloud cover; `withholding` chooses observations to withhold, by the clouds of other
days; `hiding` removes them from a cube, with all else that no method may see; `samples` cuts windows with withheld
observations to tune on; `nearest` finds the nearest observations in time.
"""
