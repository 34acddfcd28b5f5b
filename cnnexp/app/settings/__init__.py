"""The settings of a run: their schema, and the check of their values."""
