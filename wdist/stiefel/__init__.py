"""The optimiser on the Stiefel manifold: weights stay semi-orthogonal while they are trained."""

from wdist.stiefel.optimizer import StiefelOptimizer, parameter_groups, polish

__all__ = ["StiefelOptimizer", "parameter_groups", "polish"]
