"""Cores, memory, threads, processes and signals: what a run uses of the machine."""
