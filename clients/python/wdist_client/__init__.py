"""Python client of a wdist server."""
