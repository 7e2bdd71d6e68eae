"""Monitors that are quick to train, for tests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wdist.definitions.monitoring import UpdateFigures
from wdist.monitoring.options import monitor_options
from wdist.monitoring.reference import Reference, open_reference
from wdist.monitoring.state import MonitorState
from wdist.monitoring.update import begin, update

QUICK: dict[str, Any] = {"steps": 30, "update_steps": 10, "device": "cpu", "upper": "none"}


def normal(n: int, seed: int, shift: float = 0.0, columns: int = 2, spread: float = 1.0) -> NDArray[np.float64]:
    """Normal rows, of which the first column is moved."""
    rows = spread * np.random.default_rng(seed).normal(size=(n, columns))
    rows[:, 0] += shift
    return rows


def opened(reference: Any, **options: Any) -> tuple[Reference, MonitorState]:
    """A reference, and a monitor that has seen no batch."""
    own, reading = monitor_options(QUICK | options)
    given = open_reference(reference, options=own, reading=reading)
    return given, begin(given, own)


def run(reference: Reference, state: MonitorState, batches: Iterable[Any]) -> tuple[MonitorState, list[UpdateFigures]]:
    """The monitor after these batches, and what each of them said."""
    history = []
    for batch in batches:
        state, figures = update(state, reference, batch)
        history.append(figures)
    return state, history


def without_seconds(figures: UpdateFigures) -> dict[str, Any]:
    return figures.model_dump(exclude={"seconds"})
