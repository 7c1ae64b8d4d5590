"""A network that corrects a first guess: its inputs, its training samples, the method."""
