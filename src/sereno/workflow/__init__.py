"""The use cases as plain functions: one file each."""
