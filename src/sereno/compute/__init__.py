"""What a run uses of the machine: cores, memory, threads, processes, signals, a Dask cluster."""
