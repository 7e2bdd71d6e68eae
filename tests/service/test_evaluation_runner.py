"""What a trainer does for an evaluation, in this process: parts, checkpoints, limits."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from service_process import normal

from wdist import estimate_w1
from wdist.errors import Stopped
from wdist_service.evaluations import runner

ROWS = 12_000


@pytest.fixture(scope="module")
def critic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("critic")
    result = estimate_w1(normal(1), normal(2, shift=1.0), critic="groupsort", steps=5, baseline_rows=0, seed=1)
    result.critic.save(folder)
    return folder


def job_of(critic: Path, folder: Path, *, gradient: bool, columns: int = 3) -> dict[str, Any]:
    array = normal(5, rows=ROWS, columns=columns)
    (folder / "result").mkdir(parents=True)
    np.save(folder / "rows.npy", array)
    files = {name: str(critic / name) for name in ("critic.json", "critic.safetensors")}
    return {
        "options": {"gradient": gradient},
        "files": {**files, "rows": str(folder / "rows.npy")},
        "described": {"rows": {"name": "rows", "columns": None, "table": None, "shape": list(array.shape)}},
        "checkpoint": str(folder / "1.checkpoint"),
    }


def run(
    job: dict[str, Any], folder: Path, should_stop: Callable[[list[int]], bool] = lambda _: False
) -> tuple[list[int], dict[str, Any]]:
    """The rows done as they were reported, and what the runner returns."""
    told: list[int] = []
    (folder / "result").mkdir(parents=True, exist_ok=True)
    running = runner.run(
        job, folder / "result", lambda said: told.append(said["done"]), lambda: should_stop(told), lambda: False
    )
    try:
        next(running)
    except StopIteration as end:
        return told, end.value
    except Stopped:
        return told, {}
    raise AssertionError("an evaluation has no trainings")


@pytest.mark.parametrize("what", ["values", "gradient"])
def test_a_stopped_evaluation_goes_on_where_it_was(critic: Path, tmp_path: Path, what: str) -> None:
    job = job_of(critic, tmp_path / "first", gradient=what == "gradient")
    whole, said = run(job, tmp_path / "first")
    assert whole[-1] == ROWS
    assert len(whole) >= 3
    expected = np.load(tmp_path / "first" / "result" / f"{what}.npy")
    assert expected.shape == ((ROWS, 3) if what == "gradient" else (ROWS,))
    assert said == {"bytes": (tmp_path / "first" / "result" / f"{what}.npy").stat().st_size}
    job["checkpoint"] = str(tmp_path / "2.checkpoint")
    before, _ = run(job, tmp_path / "second", lambda told: len(told) == 2)
    after, _ = run(job, tmp_path / "third")
    assert before == whole[:2]
    assert after[0] > before[-1]
    np.testing.assert_allclose(np.load(tmp_path / "third" / "result" / f"{what}.npy"), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("harm", ["flipped", "cut", "emptied"])
def test_a_damaged_checkpoint_is_not_believed(critic: Path, tmp_path: Path, harm: str) -> None:
    job = job_of(critic, tmp_path / "first", gradient=False)
    run(job, tmp_path / "first", lambda told: len(told) == 1)
    checkpoint = Path(job["checkpoint"])
    data = bytearray(checkpoint.read_bytes())
    data[500] ^= 1
    checkpoint.write_bytes({"flipped": bytes(data), "cut": bytes(data[:-100]), "emptied": b""}[harm])
    told, _ = run(job, tmp_path / "second")
    assert told[0] == 1000
    intact, _ = run(job | {"checkpoint": str(tmp_path / "none")}, tmp_path / "third")
    assert intact[-1] == ROWS
    assert (tmp_path / "second/result/values.npy").read_bytes() == (tmp_path / "third/result/values.npy").read_bytes()


def test_rows_that_do_not_fit_are_refused(critic: Path, tmp_path: Path) -> None:
    with pytest.raises(runner.Invalid, match="do not fit"):
        run(job_of(critic, tmp_path, gradient=False, columns=4), tmp_path)


def test_memory_is_limited_for_a_while() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with runner.limited_memory(1 << 30):
        np.empty(1 << 29, np.uint8)
        with pytest.raises(MemoryError):
            np.empty(1 << 31, np.uint8)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    assert np.empty(1 << 31, np.uint8).nbytes == 1 << 31
