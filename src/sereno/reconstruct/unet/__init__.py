"""A network that corrects a first guess: what it is told, what it is trained on, the method."""
