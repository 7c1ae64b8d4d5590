"""Saved models: folders of sereno, and networks of Keras."""
