"""A run on disk: its directory, and what made it."""
