"""The training of networks; without any file format of inputs or outputs.

`archive` reads the days of a record, `windows` chooses and cuts training windows, `encoding` turns them into network
inputs and back; `samples` says what a loss takes. `losses` and `objectives` are minimised, `loading` shares
samples out among processes, `train` runs the epochs, `checkpoints` keeps losses and states, `result` is what a
training leaves behind.
"""
