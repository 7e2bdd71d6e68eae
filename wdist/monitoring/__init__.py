"""Monitors: one reference, batch after batch, and one error budget for everything that is said of them."""
