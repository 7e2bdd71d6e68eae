"""Monitors: batches compared with one reference, one after the other, under one budget of error."""
