"""The dense matrix of a layer: what every claim about a layer is judged by."""

import torch
from torch import Tensor, nn


def dense_matrix(module: nn.Module, input_shape: tuple[int, ...]) -> Tensor:
    """(outputs, inputs) float64 matrix of an affine module, by its action on a basis."""
    size = int(torch.tensor(input_shape).prod())
    module = module.double()
    with torch.no_grad():
        offset = module(torch.zeros(1, *input_shape, dtype=torch.float64))
        basis = torch.eye(size, dtype=torch.float64).reshape(size, *input_shape)
        return (module(basis) - offset).reshape(size, -1).mT


def true_norm(module: nn.Module, input_shape: tuple[int, ...]) -> float:
    """Spectral norm of the dense matrix."""
    return float(torch.linalg.matrix_norm(dense_matrix(module, input_shape), 2))
