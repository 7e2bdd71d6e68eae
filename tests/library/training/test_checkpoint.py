"""A checkpoint that a disk has changed anywhere is no checkpoint: training begins anew instead of going on from it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from wdist.training.checkpoint import read_checkpoint, write_checkpoint

TENSORS = {
    "weight": torch.arange(6, dtype=torch.float32).reshape(2, 3).T, "step": torch.tensor(7),
    "mask": torch.tensor([True, False]), "none": torch.empty(0, dtype=torch.float64),
}  # fmt: skip
DOCUMENT = {"spent": 1.5, "planned": [1, 2]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "checkpoint", TENSORS, DOCUMENT)
    return tmp_path / "checkpoint"


def test_what_was_written_is_read(path: Path) -> None:
    found = read_checkpoint(path)
    assert found is not None
    tensors, document = found
    assert document == {"version": 1, **DOCUMENT}
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in tensors.items():
        assert tensor.dtype == TENSORS[name].dtype
        assert torch.equal(tensor, TENSORS[name])


def test_a_change_of_any_byte_is_noticed(path: Path) -> None:
    data = path.read_bytes()
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        if (found := read_checkpoint(path)) is not None:  # spaces at the end of the header may be anything
            assert found[1] == {"version": 1, **DOCUMENT}, place
            assert all(torch.equal(found[0][name], tensor) for name, tensor in TENSORS.items()), place


@pytest.mark.parametrize("size", [0, 4, 100, -1])
def test_what_was_cut_off_is_noticed(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])
    assert read_checkpoint(path) is None


def test_one_of_0_1_has_no_digest_and_is_read(tmp_path: Path) -> None:
    text = '{"version": 1, "spent": 2.0}'
    save_file({"weight": torch.ones(2)}, tmp_path / "old", metadata={"document": text})
    found = read_checkpoint(tmp_path / "old")
    assert found is not None
    assert found[1] == {"version": 1, "spent": 2.0}
