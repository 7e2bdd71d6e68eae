"""Statistics: confidence bounds for means, p-values, and statements that hold together."""
