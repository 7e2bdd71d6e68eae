"""HTTP: the middleware of every request, and what endpoints share."""
