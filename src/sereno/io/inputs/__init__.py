"""From files to a cube: recognise files, variables, units, flags and masks.

`cube.open_cube` is the way in, for data in memory `memory.cube_from`. `opening` opens one file lazily; `lexicon`
recognises its variables, `axes` and `dates` its coordinates, `flags`, `masks` and `water` its masks, `declared` what
it declares of its values; `file` puts these together. `agreement` compares files with each other. `images` reads an
image, `value_checks` decides which of its values are not observations, and `rejected_values` counts these by reason.
`quality` says which retrievals count. `static_maps` reads climatologies, and `ancillary` further variables of a file.
"""
