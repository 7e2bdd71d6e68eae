"""The queue of jobs: dispatch, attempts, leases, and who is still alive."""
