"""Monitors: the batches that come in, one after the other, compared with one reference."""
