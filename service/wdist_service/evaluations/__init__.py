"""Evaluate trained critics on rows, at once or as a job on a stored set."""
