"""Everything but wdist/device.py runs on a simulated accelerator, in a process of its own: torch takes one of them."""

import ast
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from wdist import device
from wdist.errors import OptionError

HERE = Path(__file__).parent
LIBRARY = HERE.parents[2] / "wdist"
RUNS = (
    "estimates",
    "seconds",
    "read_ahead",
    "lockstep",
    "stopped",
    "monitor",
    "kept",
    "robustness",
    "generator",
    "mixed",
)
no_accelerator = pytest.mark.skipif(device.is_there(), reason="this machine has a CUDA device")
needs_accelerator = pytest.mark.skipif(not device.is_there(), reason="no CUDA device on this machine")


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    done = subprocess.run([sys.executable, HERE / "scenarios.py", *RUNS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("name", ["read_ahead", "lockstep", "stopped", "monitor", "robustness", "generator"])
def test_what_is_found_there_is_what_the_processor_finds(found: dict[str, Any], name: str) -> None:
    assert found[name]["same"]
    assert found[name]["operations"] > 500  # and they were done there


def test_estimates_of_all_critics(found: dict[str, Any]) -> None:
    for critic, told in found["estimates"].items():
        assert told["same"], critic
        # An affine and a sliced critic are solved for by NumPy.
        assert (told["operations"] > 500) is (critic not in ("affine", "sliced")), critic
        assert told["on_processor"] == 0, critic


def test_what_a_device_is_told(found: dict[str, Any]) -> None:
    assert found["read_ahead"]["moved_ahead"] > 12  # batches of both sets
    assert found["seconds"]["waited"] > 0
    assert found["seconds"]["device"] == found["kept"]["device"] == "simulated:0"


def test_what_is_kept_needs_no_device(found: dict[str, Any]) -> None:
    assert found["kept"]["on_device"] == []
    assert found["kept"]["same"]
    assert found["kept"]["verified"]


def test_a_mix_of_devices_fails(found: dict[str, Any]) -> None:
    """Else the scenarios would show nothing."""
    assert {name for name, error in found["mixed"].items() if not error} == set()
    assert "tensors on cpu and on simulated:0" in found["mixed"]["rows left behind"]


def test_no_other_module_of_the_library_knows_a_kind_of_accelerator() -> None:
    told = []
    for path in LIBRARY.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            is_call = isinstance(node, ast.Attribute) and node.attr in ("cuda", "is_cuda", "mps", "xpu", "pin_memory")
            is_name = isinstance(node, ast.Constant) and node.value in ("cuda", "mps", "xpu")
            if is_call or is_name:
                told.append(path.relative_to(LIBRARY).as_posix())
    assert set(told) == {"device.py"}


def test_the_stand_in_has_the_functions_of_the_module() -> None:
    trees = [ast.parse(path.read_text()) for path in (LIBRARY / "device.py", HERE / "simulated_device.py")]
    own, stand_in = (
        {node.name: ast.unparse(node.args) for node in tree.body if isinstance(node, ast.FunctionDef)} for tree in trees
    )
    assert own == stand_in
    assert own.keys() == {name for name, _ in inspect.getmembers(device, inspect.isfunction)} | {"multiplies_bfloat16"}


@no_accelerator
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cuda", "no CUDA device is available; use 'auto' or 'cpu'"),
        ("cuda:1", "no CUDA device is available; use 'auto' or 'cpu'"),
        ("gpu", "device 'gpu' is unknown; choose 'auto', 'cpu' or 'cuda'"),
        ("mps", "device 'mps' is not supported; choose 'auto', 'cpu' or 'cuda'"),
    ],
)
def test_a_device_that_is_not_there_is_refused(name: str, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        device.chosen_device(name)
    assert device.chosen_device("auto") == torch.device("cpu")


@needs_accelerator
def test_a_real_device() -> None:
    """All of device.py that other machines do not execute."""
    chosen = device.chosen_device("auto")
    assert chosen.type == device.KIND
    rows = torch.arange(12.0).reshape(4, 3)
    for is_ahead in (True, False):
        there = device.moved(rows, chosen, is_ahead=is_ahead)
        device.finish_work()
        assert device.is_accelerator(there.device)
        assert torch.equal(there.cpu(), rows)
    assert isinstance(device.multiplies_bfloat16(there.device), bool)
    assert not device.multiplies_by_blocks(there.device)
    assert device.name_of(chosen) in device.described()[0]
    with pytest.raises(OptionError, match="there are only"):
        device.chosen_device(f"cuda:{torch.cuda.device_count()}")
