"""The one lock for NetCDF and HDF5 in this process.

Neither HDF5 nor netCDF-C may be used by two threads at once, and netCDF4-python releases the interpreter's lock while
it is in them. So every open, read, write and close of a NetCDF or HDF5 file happens while `HDF5` is held, by netCDF4,
h5py and xarray alike, and files are closed by hand before it is released: a file that the garbage collector closes
would be closed by whichever thread happens to be running. Zarr stores need no lock.

Nobody waits for another thread while it holds the lock: no dask graph is computed within it.
"""

from __future__ import annotations

import threading

HDF5 = threading.RLock()
"""Held by whoever is inside netCDF-C or HDF5; a thread may take it again."""
