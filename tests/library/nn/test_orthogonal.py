"""Matrices with orthonormal rows or columns, and block convolutions."""

import pytest
import torch

from wdist.nn.orthogonal import (
    append_projector,
    bjorck,
    newton_schulz,
    orthogonality_error,
    polar,
    random_orthogonal,
    tangent,
)

SHAPES = [(1, 1), (1, 7), (7, 1), (5, 5), (3, 8), (8, 3), (64, 64), (20, 300)]


def block_convolution(X, Y):
    """[X box Y]_i = sum_j X_j Y_(i-j) of matrix-valued kernels (a, b, *k) and (b, c, *l): (a, c, *(k + l - 1)).

    It is the kernel of the composed map "Y, then X". One or two spatial axes. Source: Li et al. (2019), section 3.
    """
    axes = X.dim() - 2
    kernel, other = X.shape[2:], Y.shape[2:]
    result = X.new_zeros(X.shape[0], Y.shape[1], *(k + o - 1 for k, o in zip(kernel, other, strict=True)))
    for index in torch.cartesian_prod(*(torch.arange(o) for o in other)).reshape(-1, axes).tolist():
        window = tuple(slice(i, i + k) for i, k in zip(index, kernel, strict=True))
        result[(slice(None), slice(None), *window)] += torch.einsum("ab...,bc->ac...", X, Y[(..., *index)])
    return result


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(1)


@pytest.mark.parametrize("shape", SHAPES)
def test_random_orthogonal_is_semi_orthogonal(shape, generator):
    W = random_orthogonal(4, *shape, generator=generator, dtype=torch.float64)
    assert W.shape == (4, *shape)
    assert orthogonality_error(W).max() < 1e-13


def test_random_orthogonal_has_no_preferred_sign(generator):
    """Haar measure: the first entry is symmetric about 0 (LAPACK's R has a negative diagonal, Q alone is not)."""
    first = random_orthogonal(4000, 2, 2, generator=generator)[:, 0, 0]
    # Standard error of the mean of an entry of variance 1/2 over 4,000 draws is 0.011.
    assert abs(first.mean()) < 5 * 0.011
    assert abs(first.square().mean() - 0.5) < 5 * 0.006


@pytest.mark.parametrize("shape", SHAPES)
def test_polar_is_the_nearest_semi_orthogonal_matrix(shape, generator):
    for size in (1e-3, 1.0):  # near: Newton-Schulz; far: singular value decomposition
        W = random_orthogonal(*shape, generator=generator, dtype=torch.float64)
        A = W + size * torch.randn(*shape, generator=generator, dtype=torch.float64) / max(shape) ** 0.5
        U, _, Vh = torch.linalg.svd(A, full_matrices=False)
        assert torch.allclose(polar(A), U @ Vh, rtol=0, atol=1e-11)
        assert orthogonality_error(polar(A)) < 1e-12


@pytest.mark.parametrize("shape", SHAPES)
def test_newton_schulz_converges_quadratically(shape, generator):
    W = random_orthogonal(*shape, generator=generator, dtype=torch.float64) * 0.9
    errors = [float((torch.linalg.svdvals(newton_schulz(W, k)) - 1).abs().max()) for k in (1, 2, 3)]
    # sigma^2 - 1 = e becomes 3/4 e^2 at most, and |sigma - 1| ~ e / 2.
    e = 0.19
    for error in errors:
        e = 0.75 * e * e
        assert error < e


@pytest.mark.parametrize("shape", SHAPES)
def test_bjorck_reaches_the_manifold_and_is_differentiable(shape, generator):
    V = random_orthogonal(*shape, generator=generator, dtype=torch.float64)
    V = V * torch.linspace(0.5, 1.5, shape[1], dtype=torch.float64)
    assert orthogonality_error(bjorck(V, 40)) < 1e-9
    if max(shape) <= 8:
        assert torch.autograd.gradcheck(lambda X: bjorck(X, 6), V.requires_grad_())


@pytest.mark.parametrize("shape", SHAPES)
def test_tangent_is_a_projection_on_the_tangent_space(shape, generator):
    W = random_orthogonal(*shape, generator=generator, dtype=torch.float64)
    G = torch.randn(*shape, generator=generator, dtype=torch.float64)
    T = tangent(W, G)
    assert torch.allclose(tangent(W, T), T, atol=1e-13)
    assert torch.allclose((T * (G - T)).sum(), torch.zeros((), dtype=torch.float64), atol=1e-11)
    moved = orthogonality_error(W + 1e-6 * T)
    assert moved < 1e-11 * float(1 + T.norm() ** 2)  # first order leaves W W^T at I


@pytest.mark.parametrize("dimensions", [1, 2])
def test_block_convolution_is_the_kernel_of_the_composition(dimensions, generator):
    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    X = draw(4, 3, *(3, 2)[:dimensions])
    Y = draw(3, 5, *(2, 4)[:dimensions])
    x = draw(2, 5, *(9, 8)[:dimensions])
    convolve = torch.nn.functional.conv1d if dimensions == 1 else torch.nn.functional.conv2d
    # conv correlates, and so composes in the same way: taps add up.
    assert torch.allclose(convolve(x, block_convolution(X, Y)), convolve(convolve(x, Y), X), atol=1e-12)


def test_append_projector_is_a_block_convolution(generator):
    K = torch.randn(4, 6, 3, generator=generator, dtype=torch.float64)
    R = random_orthogonal(6, 3, generator=generator, dtype=torch.float64)
    P = R @ R.mT
    expected = block_convolution(K, torch.stack((P, torch.eye(6, dtype=torch.float64) - P), -1))
    assert torch.allclose(append_projector(K.permute(2, 0, 1), R).permute(1, 2, 0), expected, atol=1e-13)
