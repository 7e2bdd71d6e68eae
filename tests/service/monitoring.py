"""Monitors of a real server, as its tests use them."""

from __future__ import annotations

import time
from typing import Any

import httpx
import numpy as np
from service_process import Server, normal, npy

QUICK = {"critic": "groupsort", "steps": 40, "update_steps": 15, "confidence": 0.9}
"""Options with which an update takes about a second."""
ENDED = ("succeeded", "failed", "canceled")


def create(server: Server, reference: str, **more: Any) -> str:
    answer = server.client.post("/v1/monitors", json={"reference": reference, **QUICK, **more})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def monitor(server: Server, monitor_id: str) -> dict[str, Any]:
    answer = server.client.get(f"/v1/monitors/{monitor_id}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def send(server: Server, monitor_id: str, rows: np.ndarray | str, at: Any = None, **headers: str) -> httpx.Response:
    """Send a batch: its rows as a file, or a stored set by its id."""
    url = f"/v1/monitors/{monitor_id}/updates"
    if isinstance(rows, str):
        return server.client.post(url, json={"batch": rows, "at": at}, headers=headers, timeout=90)
    query = {} if at is None else {"at": at}
    return server.client.post(url, content=npy(rows), params=query, headers=headers, timeout=90)


def accepted(answer: httpx.Response) -> str:
    assert answer.status_code in (201, 202), answer.text
    return str(answer.json()["id"])


def update(server: Server, monitor_id: str, update_id: str) -> dict[str, Any]:
    answer = server.client.get(f"/v1/monitors/{monitor_id}/updates/{update_id}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def ended(server: Server, monitor_id: str, update_id: str, seconds: float = 90) -> dict[str, Any]:
    """An update once it has ended."""
    deadline = time.monotonic() + seconds
    while (found := update(server, monitor_id, update_id))["status"] not in ENDED:
        assert time.monotonic() < deadline, f"{found}; log: {server.log_end()}"
        time.sleep(0.05)
    return found


def succeeded(server: Server, monitor_id: str, update_id: str) -> dict[str, Any]:
    """The figures of an update once it has succeeded."""
    found = ended(server, monitor_id, update_id)
    assert found["status"] == "succeeded", found
    return dict(found["figures"])


def batch(seed: int, shift: float = 0.0) -> np.ndarray:
    return normal(seed, rows=200, shift=shift)


def state_of(server: Server, monitor_id: str) -> str:
    """The sha256 of the monitor's stored state."""
    query = (
        "SELECT a.sha256 FROM artifacts a JOIN monitors m ON m.last_id = a.job_id WHERE m.id = :id AND a.name = 'state'"
    )
    ((found,),) = server.rows(query, id=monitor_id)
    return str(found)
