"""Monitors measured: false alarms without drift, delays with drift, the time of an update."""
