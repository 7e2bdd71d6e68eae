"""The job queue: dispatch, attempts, leases, and which workers are alive."""
