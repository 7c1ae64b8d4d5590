"""Optimal interpolation: weights from a covariance in space and time, neighbourhoods shared by blocks of cells."""
