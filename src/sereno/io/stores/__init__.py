"""Stores that grow day by day: those of ``prepare`` and those of ``fill``."""
