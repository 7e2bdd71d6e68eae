"""Transports for requests: HTTP to a server, or the library in this process for `:local:`."""
