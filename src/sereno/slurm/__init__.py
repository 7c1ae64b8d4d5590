"""Runs on a cluster: what to run (tables.py), how a job says it (script.py), and the queue (queue.py)."""
