"""Floor 1: intervals, tests and rank correlations. NumPy and SciPy, no tensors."""
