"""The method ``interpolation``: corrections of a first guess, from coarse scales to fine ones."""
