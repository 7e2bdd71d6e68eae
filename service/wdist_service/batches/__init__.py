"""Batches: many estimates submitted together, and their matrix."""
