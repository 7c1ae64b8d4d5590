"""Covariances from the variogram of a record: the moments of pairs of images, by distance and lag in time.

`pairs` takes the moments of pairs, `record` those of a whole record, `fitting` finds the terms whose variogram is
nearest, and `covariance_terms` gives them as a covariance.
"""
