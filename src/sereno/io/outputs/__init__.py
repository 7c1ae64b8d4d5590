"""Files that sereno writes: whole or not there, by one writer at a time."""
