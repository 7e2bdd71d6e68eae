"""Statistics: confidence bounds for means, p-values, and simultaneous inference."""
