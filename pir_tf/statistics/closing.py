"""Why a proof is closed, as it is stored and read again. No imports: the rating page's writer says it while people wait."""

EARLY = "e-value"
"""Its evidence was enough before its size."""
FULL = "{} answers"
"""It has as many answers as were wanted."""
