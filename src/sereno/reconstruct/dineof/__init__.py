"""DINEOF: gaps are filled, repeatedly, with the leading empirical orthogonal functions of the observations."""
