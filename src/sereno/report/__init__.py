"""Figures, tables and the HTML page: what a reader sees of an input, of scores, of a training."""
