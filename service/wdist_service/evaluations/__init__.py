"""Trained critics evaluated on rows: at once, or as a job on a stored set."""
