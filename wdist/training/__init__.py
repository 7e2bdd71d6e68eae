"""Trains critics, several in lockstep where that is cheaper, and selects one of them."""
