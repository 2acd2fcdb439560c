"""Statistics of people's answers and of the proof, and the plan of a study: NumPy and SciPy alone."""
