"""Connections: HTTP/1.1 on them, who may have one, and in which order their requests begin."""
