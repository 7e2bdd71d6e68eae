"""Estimates: jobs that compare two sample sets, their events and results."""
