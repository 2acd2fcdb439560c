"""Interactions of people with images, and the simulated truth behind them (sections 2.2, 3, C.4)."""
