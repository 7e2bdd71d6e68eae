"""Trainer processes and the slots that hold them: real children, without a database."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from service_process import is_alive, normal, npy

from wdist_service.estimates.job import ESTIMATE
from wdist_service.settings import Settings
from wdist_service.worker import trainer_pool
from wdist_service.worker.trainer_pool import TrainerDied, TrainerPool, machine_memory


@pytest.fixture
def cold_pool(tmp_path: Path) -> Iterator[TrainerPool]:
    """One slot whose trainer still starts, for tests that give it no job."""
    made = TrainerPool(Settings(data=tmp_path, slots=1, threads=1, spare_trainer=False))
    yield made
    made.close()


@pytest.fixture
def pool(cold_pool: TrainerPool) -> TrainerPool:
    """One slot whose trainer is ready."""
    until(lambda: (cold_pool.tend(), cold_pool.slots[0].is_ready())[1])
    return cold_pool


# Of a set beside its values: an array without names of columns.
UNKNOWN = {"table": None, "columns": None, "notes": [], "reading": {}, "file_sha256": None}


def until(condition: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def long_job(folder: Path) -> dict:
    for name, shift in (("source", 0.0), ("target", 1.0)):
        (folder / name).write_bytes(npy(normal(int(shift), shift=shift)))
    return {
        "name": "job",
        "runner": ESTIMATE.runner,
        "files": {name: str(folder / name) for name in ("source", "target")},
        "described": {name: {**UNKNOWN, "name": name} for name in ("source", "target")},
        "more": {},
        "options": {"critic": "groupsort", "steps": 1_000_000},
        "directory": str(folder),
        "checkpoint": str(folder / "checkpoint"),
    }


def test_a_trainer_serves_several_jobs_and_stops_when_told(pool: TrainerPool, tmp_path: Path) -> None:
    slot, trainer = pool.take()
    trainer.send([long_job(tmp_path) | {"options": {"critic": "affine"}}])
    assert final(trainer)["type"] == "result"
    pool.give_back(slot, is_reusable=True)
    slot, same = pool.take()
    assert same is trainer
    trainer.send([long_job(tmp_path) | {"options": {"critic": "oracle"}}])
    failed = final(trainer)
    assert failed["type"] == "failed"
    assert "oracle" in failed["error"]["message"]
    trainer.send([long_job(tmp_path)])
    until(lambda: (trainer.receive(0.1) or {}).get("type") == "progress")
    trainer.stop()
    assert final(trainer)["type"] == "stopped"
    with pytest.raises(TrainerDied, match="exit code 0"):
        final(trainer)
    pool.give_back(slot, is_reusable=False)
    pool.tend()
    assert pool.slots[0].trainer is not trainer


def test_a_job_of_another_kind_runs_by_its_own_runner(
    cold_pool: TrainerPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows_runner.py").write_text(
        "import numpy as np\n"
        "def run(job, directory, on_progress, should_stop, should_finish):\n"
        "    yield from ()\n"
        "    (directory / 'note').write_text(job['options']['note'])\n"
        "    return {'rows': len(np.load(job['files']['set']))}\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    until(lambda: (cold_pool.tend(), cold_pool.slots[0].is_ready())[1])
    _, trainer = cold_pool.take()
    (tmp_path / "set").write_bytes(npy(normal(1)))
    (tmp_path / "result").mkdir()
    job = {"name": "job", "runner": "rows_runner", "options": {"note": "seen"}, "files": {"set": str(tmp_path / "set")}}
    trainer.send([job | {"directory": str(tmp_path / "result")}])
    ended = final(trainer)
    assert (ended["type"], ended["values"], ended["files"]) == ("result", {"rows": 300}, ["note"])
    assert (tmp_path / "result" / "note").read_text() == "seen"


def test_one_of_several_jobs_is_stopped(pool: TrainerPool, tmp_path: Path) -> None:
    _, trainer = pool.take()
    short = {"critic": "groupsort", "steps": 50, "baseline_rows": 0}
    jobs = []
    for name, options in (("long", {**short, "steps": 100_000}), ("short", short), ("wrong", {"critic": "oracle"})):
        (tmp_path / name).mkdir()
        jobs.append(long_job(tmp_path / name) | {"name": name, "options": options})
    trainer.send(jobs)
    until(lambda: (trainer.receive(0.1) or {}).get("job") == "long")
    trainer.stop_job("long")
    ended = {message["job"]: message["type"] for message in (final(trainer) for _ in jobs[1:])}
    assert ended == {"long": "stopped", "short": "result"}
    assert trainer.is_alive(), "for the next jobs"
    trainer.stop_job("short")  # too late: it has ended
    trainer.send([jobs[1] | {"name": "next"}])
    assert final(trainer)["type"] == "result"


def final(trainer: trainer_pool.TrainerProcess) -> dict:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        message = trainer.receive(1.0)
        if message is not None and message["type"] not in {"progress", "alive"}:
            return message
    raise AssertionError("no answer")


def test_a_trainer_that_holds_too_much_memory_is_ended_with_a_reason(
    pool: TrainerPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, trainer = pool.take()
    assert 0 < trainer.resident_bytes() < machine_memory()
    trainer.send([long_job(tmp_path)])
    monkeypatch.setattr(pool, "_memory_bytes", 1 << 20)
    pool.tend()
    with pytest.raises(TrainerDied, match=r"the limit is 1,048,576"):
        final(trainer)


def test_a_crash_is_told_by_its_signal(cold_pool: TrainerPool) -> None:
    cold_pool.tend()
    trainer = cold_pool.slots[0].trainer
    assert trainer is not None
    os.kill(trainer.pid, signal.SIGSEGV)
    with pytest.raises(TrainerDied, match="SIGSEGV"):
        final(trainer)


def test_an_idle_trainer_that_dies_is_replaced(cold_pool: TrainerPool) -> None:
    pool = cold_pool
    pool.tend()
    first = pool.slots[0].trainer
    assert first is not None
    os.kill(first.pid, signal.SIGKILL)
    until(lambda: not is_alive(first.pid))
    until(lambda: (pool.tend(), pool.slots[0].trainer not in (None, first))[1])


def test_a_spare_takes_the_place_of_a_trainer_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_pool, "_SPARE_SECONDS", 0.0)
    pool = TrainerPool(Settings(data=tmp_path, slots=1, threads=1))
    try:
        spare = pool._spare
        assert spare is not None
        until(lambda: (pool.tend(), spare.fill() and pool.slots[0].is_ready())[1])
        first, second = pool.slots[0].trainer, spare.trainer
        slot, trainer = pool.take()
        assert trainer is first
        pool.give_back(slot, is_reusable=False)
        pool.tend()
        slot, trainer = pool.take()  # without waiting
        assert trainer is second
        trainer.send([long_job(tmp_path) | {"options": {"critic": "affine"}}])
        assert final(trainer)["type"] == "result"
    finally:
        pool.close()


def test_a_trainer_knows_no_secrets(cold_pool: TrainerPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WDIST_SERVER_DATABASE_URL", "postgresql://user:secret@host/db")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    cold_pool.tend()
    fresh = cold_pool.slots[0].trainer
    assert fresh is not None
    names = {line.partition("=")[0] for line in Path(f"/proc/{fresh.pid}/environ").read_text().split("\0")}
    assert "OMP_NUM_THREADS" in names
    assert not {name for name in names if name.startswith(("WDIST_", "AWS_", "PG"))}
