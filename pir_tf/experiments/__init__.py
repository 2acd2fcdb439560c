"""Drives the stages in order; nothing imports this package."""
