"""The layers of a stored critic: what they compute, their proven Lipschitz bounds, and what rounding may add."""
