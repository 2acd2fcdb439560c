"""The self-contained pages: of one run, and of a study with people."""
