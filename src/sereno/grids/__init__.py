"""The size of cells, coarser and finer grids, tiles, and the coast that the package ships."""
