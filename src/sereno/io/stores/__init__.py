"""Stores that grow day by day: those of ``prepare`` and those of ``fill``.

`base` is what both share: a Zarr store that records which of its days are done. `prepared` holds images, `filled` an
analysis with its model. For ``prepare``, `scan` opens each file once, `days_to_write` decides what is to be done,
`days` and `source_files` keep which day came from which file, `recipe` brings images to the grid of the store, and
`ingest` is the order of these. `checksums` says whether an image changed.
"""
