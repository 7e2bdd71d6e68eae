"""Health, metrics and version, for monitoring."""
