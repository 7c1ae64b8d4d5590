"""From files to a cube: which file, variable, unit, flag and mask is what."""
