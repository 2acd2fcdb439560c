"""Statistics of the proof: NumPy, SciPy and statsmodels alone."""
