"""The independent verifier reads stored critics as torch does: scores, gradients, and the proven bound."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from certified import FAMILIES, Case

from wdist.verify import CertificateError, read_critic
from wdist.verify.net.convolutions import CircularConvolution, circular_norm_bound


@pytest.fixture(scope="module", params=FAMILIES)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(request.param)


@pytest.fixture(scope="module")
def table() -> Case:
    return Case("groupsort")


def test_reader_scores_as_torch_does(case: Case, tmp_path: Path) -> None:
    case.critic.save(tmp_path)
    reader = read_critic(tmp_path)
    for array in case.arrays:
        expected = case.critic.evaluate(array)
        # float64 on both sides: sums of a few hundred terms in another order
        np.testing.assert_allclose(
            reader.evaluate(array), expected, rtol=0, atol=1e-12 * max(1, np.abs(expected).max())
        )


def test_reader_differentiates_as_torch_does(case: Case, tmp_path: Path) -> None:
    case.critic.save(tmp_path)
    reader = read_critic(tmp_path)
    array = case.arrays[0][:40]
    x = torch.from_numpy(reader.takes.convert(array)[0]).requires_grad_()
    copy.deepcopy(case.critic.module).double()(x).sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(reader.gradient(array), x.grad.numpy() / reader.takes.divisor, rtol=0, atol=1e-12)


def test_reader_proves_the_same_bound(case: Case, tmp_path: Path) -> None:
    case.critic.save(tmp_path)
    reader = read_critic(tmp_path)
    proven = case.critic.lipschitz_bound
    assert abs(reader.lipschitz_bound - proven) < 1e-9 * proven
    gradients = reader.gradient(case.arrays[1]).reshape(len(case.arrays[1]), -1) * reader.takes.divisor.reshape(-1)
    assert np.linalg.norm(gradients, axis=1).max() <= reader.lipschitz_bound


def test_convolution_norm_is_the_largest_singular_value_of_its_matrix() -> None:
    generator = np.random.default_rng(0)
    for kernel, grid in (((3, 2, 3, 3), (4, 5)), ((2, 3, 2, 2), (3, 3)), ((2, 2, 1, 1), (1, 1))):
        layer = CircularConvolution(generator.standard_normal(kernel), None)
        basis = np.eye(kernel[1] * grid[0] * grid[1]).reshape(-1, kernel[1], *grid)
        matrix = layer.forward(basis).reshape(len(basis), -1)
        dense = np.linalg.svd(matrix, compute_uv=False).max()
        bound = circular_norm_bound(layer.weight, grid)
        assert dense <= bound <= dense * (1 + 1e-9)
        transposed = layer.backward(basis, np.eye(matrix.shape[1]).reshape(-1, kernel[0], *grid)[: len(basis)])
        np.testing.assert_allclose(transposed.reshape(-1, len(basis)), matrix.T[: len(basis)], atol=1e-12)


def test_reader_refuses_what_it_does_not_know(table: Case, tmp_path: Path) -> None:
    table.critic.save(tmp_path)
    document = json.loads((tmp_path / "critic.json").read_text())
    for change, message in (
        (lambda d: d["layers"][1].update(kind="tanh"), "unknown layer kind 'tanh'"),
        (lambda d: d["layers"][1].update(extra=1), "has fields"),
        (lambda d: d.update(format=2), "format 2 is unknown"),
        (lambda d: d["layers"].pop(-2), r"has fields .* and tensors"),
        (lambda d: d["input"].update(row_shape=[7]), "is not that of scale"),
    ):
        changed = copy.deepcopy(document)
        change(changed)
        (tmp_path / "critic.json").write_text(json.dumps(changed))
        with pytest.raises(CertificateError, match=message):
            read_critic(tmp_path)
