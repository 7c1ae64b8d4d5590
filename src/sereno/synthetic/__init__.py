"""The twin sea: a simulated sea, its clouds and its satellite, whose truth is known."""
