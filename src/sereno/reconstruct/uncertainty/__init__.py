"""The standard deviation of every method: learned from residuals, and calibrated."""
