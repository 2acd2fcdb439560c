"""Figures, tables and the self-contained page of one run."""
