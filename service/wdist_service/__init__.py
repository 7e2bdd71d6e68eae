"""The wdist server: HTTP API, durable jobs, worker, command line."""
