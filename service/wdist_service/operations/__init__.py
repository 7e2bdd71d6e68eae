"""Health, metrics and version, for whatever watches the server."""
