"""Files in and out: the only room that knows NetCDF, Zarr and saved models."""
