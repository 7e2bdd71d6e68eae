"""Monitors: batches compared with one reference, one after the other, under one budget of error."""

STATE = "state"
"""The file of a monitor's last update from which the next one goes on."""
