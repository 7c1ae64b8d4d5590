"""DINEOF: gaps are filled with the leading empirical orthogonal functions of what was seen, again and again."""
