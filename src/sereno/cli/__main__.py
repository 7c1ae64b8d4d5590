"""The command line as ``python -m sereno.cli``."""

from sereno.cli import main

main()
