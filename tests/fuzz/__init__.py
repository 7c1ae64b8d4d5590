"""Hostile inputs, models, settings and moments, drawn from a seed; see README.md."""
