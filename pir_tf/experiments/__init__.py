"""Drives the stages in order, and holds the commands; below them nothing loads this package, `paper` starts it many times."""
