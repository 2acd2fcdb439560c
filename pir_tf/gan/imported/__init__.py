"""Other people's generators."""
