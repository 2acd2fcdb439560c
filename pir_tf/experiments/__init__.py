"""Drives the stages in order, and holds the commands; of the other rooms only `paper` loads it."""
