"""sereno: fill the clouds in satellite images of the sea."""
