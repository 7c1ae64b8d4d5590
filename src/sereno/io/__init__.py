"""Files in and out: the only room with NetCDF, Zarr and the layout of saved models; it has no method.

``inputs/`` reads a cube from files, ``stores/`` holds what grows day by day, ``outputs/`` writes, ``models/`` saves
and loads. `hdf5` is the one place that opens, reads and closes NetCDF files: no file stays open, and all reading is
under one lock, since neither netCDF-C nor HDF5 may be used by two threads at once.
"""
