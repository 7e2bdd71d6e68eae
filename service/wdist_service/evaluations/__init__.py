"""Evaluate trained critics on rows, at once or as a job of the queue."""
