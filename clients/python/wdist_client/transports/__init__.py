"""What carries requests: HTTP to a server, or the library in this process for `:local:`."""
