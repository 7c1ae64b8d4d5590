"""Covariances from the moments of all pairs of a record."""
