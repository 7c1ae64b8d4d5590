"""The use cases as plain functions, one file each.

`prepare`, `describe`, `climatology`; `fit`, `fill`, `models` (save and load), `choices` (the forms in which a method
is given), `bare_networks` and `tile_files` for networks without a sea; `fill_to` for an analysis on disk, from a
`fill_request` by a `fill_plan` and `fill_jobs` (days shared out among processes) to `fill_finish`, with
`existing_outputs` (what exists already), `kept_model` (the model fitted on the input, for the next fill), `update`,
and `influence` (which images a day depends on); `export`; `submit`.
"""
