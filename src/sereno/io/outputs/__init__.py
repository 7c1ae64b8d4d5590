"""Files that sereno writes: complete or not at all, by one run at a time.

`atomic` writes under another name and renames, `writer_lock` lets one run write an output, `lock_holder` says
whether that run is still alive, `final_checks` lets no impossible value through, `places` keeps outputs away from
inputs, `disk` looks for room. `provenance` is what an analysis records of its origin, `level4` its layout; `analysis`
and `daily` write it to one file or a file a day; `climatology` and `withheld` are the other two outputs.
"""
