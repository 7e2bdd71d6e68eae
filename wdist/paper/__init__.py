"""Experiments of Li et al., "Preventing Gradient Attenuation in Lipschitz Constrained Convolutional Networks"."""
