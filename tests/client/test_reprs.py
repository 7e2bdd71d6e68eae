"""What a person gets is shown in a line or two where only its name stands: `repr` of every public kind of object."""

from __future__ import annotations

import typing
from datetime import UTC, datetime
from types import UnionType
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

import wdist
from wdist_client import Client, contract, models
from wdist_client.base import Model

LONG = 300
WORDS = "a sentence that a server says about something, and then goes on to say a good deal more of it. " * 20


def records() -> list[type[Model]]:
    """Every record of the client: those that a server gives, and those with behaviour of their own."""
    found = {
        kind for module in (contract, models) for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Model) and kind is not Model
    }  # fmt: skip
    return sorted(found, key=lambda kind: (kind.__name__, kind.__module__))


def filled(kind: Any, count: int = 50) -> Any:
    """A value of a type with as much in it as a server may send. count: entries of a list or mapping."""
    parts, inner = typing.get_args(kind), min(count, 3)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind.model_validate({name: filled(field.annotation, inner) for name, field in kind.model_fields.items()})
    origin = typing.get_origin(kind)
    if origin in (typing.Union, UnionType):
        return filled(parts[0], count)
    if origin is list:
        return [filled(parts[0], inner) for _ in range(count)]
    if origin is tuple:
        return tuple(filled(part, inner) for part in parts)
    if origin is dict:
        return {f"key {k}": filled(parts[1], inner) for k in range(count)}
    simple: dict[Any, Any] = {
        str: WORDS, int: 12_345_678, float: 0.12345678901234567, bool: True, datetime: datetime(2026, 1, 2, tzinfo=UTC),
    }  # fmt: skip
    return simple.get(kind, {f"key {k}": WORDS for k in range(count)})


@pytest.mark.parametrize("kind", records(), ids=lambda kind: f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}")
def test_a_record_is_shown_in_a_line(kind: type[Model]) -> None:
    made = filled(kind)
    assert kind.__name__.partition("[")[0] in repr(made)
    assert len(repr(made)) <= LONG
    assert "\n" not in repr(made)


def rows(seed: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(200, 30)) + shift


def test_what_the_library_gives_is_shown_in_a_line() -> None:
    quick: dict[str, Any] = {"critic": "affine", "steps": 1, "baseline_rows": 0}
    result = wdist.estimate_w1(rows(1), rows(2, 1.0), **quick)
    monitor = wdist.Monitor(rows(1), name="a long name " * 12, critic="affine", upper="none")
    sets = {f"a set with a long name {k} {'x' * 100}": rows(10 + k, k) for k in range(4)}
    shown = {
        "Result": result, "Critic": result.critic, "Certificate": result.certificate, "Witness": result.witness,
        "Matrix": wdist.matrix_w1(sets, reference=True, **quick),
        "Comparison": wdist.compare_w1(rows(5), sets, **quick),
        "RowPlan": wdist.plan_w1(rows(1), rows(2, 1.0), margin=0.1, **quick), "Update": monitor.update(rows(3, 0.1)),
        "Monitor": monitor,
    }  # fmt: skip
    offered = {name for name in wdist.__all__ if isinstance(getattr(wdist, name), type)}
    errors = {name for name in offered if issubclass(getattr(wdist, name), Exception)}
    assert offered - errors <= set(shown)
    for name, thing in shown.items():
        assert name in repr(thing)
        assert 20 < len(repr(thing)) <= LONG, name
        assert "\n" not in repr(thing)


def test_handles_of_the_client_are_shown_in_a_line() -> None:
    with Client(":local:") as client:
        sets = [client.sample_sets.create(rows(k, k / 2), name=f"set {k}") for k in range(3)]
        job = client.estimates.create(*sets[:2], critic="affine", steps=1, baseline_rows=0)
        result = job.wait(timeout=60)
        batch = client.batches.matrix(sets, critic="affine", steps=1, baseline_rows=0)
        monitor = client.monitors.create(sets[0], name="weeks", critic="affine", upper="none")
        update = monitor.update(rows(7))
        things = [job, job.estimate, result, result.critic, result.witness, result.certificate, batch, batch.wait()]
        things += [batch.batch, monitor, update, monitor.record, *sets, client.estimates.list(), client]
        assert repr(job) == f"<Job {job.id} succeeded: {result.verdict.headline} {result.verdict.distance}>"
        assert str(job.certificate()) == repr(job.certificate())
        for thing in things:
            assert len(repr(thing)) <= LONG
            assert "\n" not in repr(thing)
