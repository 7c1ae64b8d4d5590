"""Where observations are missing: statistics of gaps, and observations that are withheld."""
