"""The use cases as plain functions, one file each.

`prepare`, `describe`, `climatology`; `fit`, `fill`, `models` (save and load), `choices` (what stands for a method),
`bare_networks` and `tile_files` for networks without a sea; `fill_to` for an analysis on disk, with `fill_request`
(what is asked for), `fill_jobs` (days shared out among processes), `existing_outputs` (what stands there already) and
`update`; `export`; `submit`.
"""
