"""The self-contained page of one run; the paper's figures, models and claims over many."""
