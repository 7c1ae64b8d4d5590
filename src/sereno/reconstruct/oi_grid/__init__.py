"""Optimal interpolation by convolutions on the whole grid at once."""
