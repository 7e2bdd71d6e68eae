"""A Hypothesis state machine: resumable uploads, sample sets, estimates and batches against a model in memory."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test
from service_process import Server, npy
from stores import Stores

TUS = {"Tus-Resumable": "1.0.0"}
PATCH = {**TUS, "Content-Type": "application/offset+octet-stream"}
ACTIVE, TERMINAL = {"queued", "running", "canceling"}, {"succeeded", "failed", "canceled"}
seeds = st.integers(0, 5)  # few different arrays, so that the same content comes again


def body(seed: int) -> bytes:
    return npy(np.random.default_rng(seed).normal(size=(120, 2)).astype(np.float32))


class Api(RuleBasedStateMachine):
    """The server does what this small model of it does. No worker runs, so that a queued job stays queued."""

    server: Server
    sets = Bundle("sets")
    uploads = Bundle("uploads")
    estimates = Bundle("estimates")

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, int] = {}  # sample set -> seed of its content
        self.offsets: dict[str, int] = {}  # open upload -> bytes that are safe
        self.contents: dict[str, int] = {}  # upload -> seed
        self.jobs: dict[str, dict[str, Any]] = {}  # estimate -> {status, source, target}
        for page in self.everything("/v1/estimates"):
            self.call("POST", f"/v1/estimates/{page['id']}/cancel")
            self.call("DELETE", f"/v1/estimates/{page['id']}")
        for page in self.everything("/v1/sample-sets"):
            assert self.call("DELETE", f"/v1/sample-sets/{page['id']}").status_code == 204

    def call(self, method: str, path: str, **given: Any) -> Any:
        answer = self.server.client.request(method, path, **given)
        assert answer.status_code < 500, answer.text
        return answer

    def everything(self, path: str) -> list[dict[str, Any]]:
        found, query = [], {"limit": 3}
        while True:
            page = self.call("GET", path, params=query).json()
            found += page["data"]
            if not page["has_more"]:
                return found
            query["after"] = page["next"]

    def id_of(self, seed: int) -> str | None:
        return next((identifier for identifier, known in self.known.items() if known == seed), None)

    @rule(target=sets, seed=seeds)
    def upload_at_once(self, seed: int) -> str:
        answer = self.call("POST", "/v1/sample-sets", content=body(seed))
        expected = self.id_of(seed)
        assert answer.status_code == (201 if expected is None else 200)
        assert expected in (None, answer.json()["id"])
        self.known[answer.json()["id"]] = seed
        return str(answer.json()["id"])

    @rule(target=uploads, seed=seeds)
    def begin_upload(self, seed: int) -> str:
        answer = self.call("POST", "/v1/uploads", headers={**TUS, "Upload-Length": str(len(body(seed)))})
        assert answer.status_code == 201
        url = str(answer.headers["location"])
        self.offsets[url], self.contents[url] = 0, seed
        return url

    @rule(url=uploads, size=st.integers(0, 1200), shift=st.sampled_from([0, 0, 0, 1, -1]))
    def continue_upload(self, url: str, size: int, shift: int) -> None:
        if url not in self.offsets:  # terminated
            assert self.call("HEAD", url, headers=TUS).status_code == 404
            return
        at, whole = self.offsets[url], body(self.contents[url])
        sent = whole[at : at + size]
        given = max(0, at + shift)
        answer = self.call("PATCH", url, content=sent, headers={**PATCH, "Upload-Offset": str(given)})
        if given != at:
            assert answer.status_code == 409
            return
        assert answer.status_code == 204, answer.text
        self.offsets[url] = at + len(sent)
        assert int(answer.headers["upload-offset"]) == self.offsets[url]
        if self.offsets[url] == len(whole):
            made = answer.headers["wdist-sample-set"]
            if at < len(whole):  # this part completed it
                assert self.id_of(self.contents[url]) in (None, made)
                self.known[made] = self.contents[url]

    @rule(url=uploads)
    def ask_for_the_offset(self, url: str) -> None:
        answer = self.call("HEAD", url, headers=TUS)
        if url in self.offsets:
            assert int(answer.headers["upload-offset"]) == self.offsets[url]
        else:
            assert answer.status_code == 404

    @rule(url=consumes(uploads))
    def terminate_upload(self, url: str) -> None:
        expected = 204 if self.offsets.pop(url, None) is not None else 404
        assert self.call("DELETE", url, headers=TUS).status_code == expected

    @rule(target=estimates, source=sets, target_set=sets, repeat=st.booleans())
    def submit(self, source: str, target_set: str, repeat: bool) -> str:
        headers = {"Idempotency-Key": f"{id(self)}-{source}-{target_set}"} if repeat else {}
        body = {"source": source, "target": target_set}
        answer = self.call("POST", "/v1/estimates", json=body, headers=headers)
        if not {source, target_set} <= set(self.known):
            again = any(job.get("key") == headers.get("Idempotency-Key", "") for job in self.jobs.values())
            assert answer.status_code == 404 or again
            return "est_none"
        assert answer.status_code in (201, 202), answer.text
        made = str(answer.json()["id"])
        if made in self.jobs:
            assert self.jobs[made]["key"] == headers["Idempotency-Key"]
        else:
            key = headers.get("Idempotency-Key")
            self.jobs[made] = {"status": "queued", "source": source, "target": target_set, "key": key}
        return made

    @rule(estimate=estimates)
    def cancel(self, estimate: str) -> None:
        answer = self.call("POST", f"/v1/estimates/{estimate}/cancel")
        if estimate not in self.jobs:
            assert answer.status_code == 404
            return
        self.jobs[estimate]["status"] = "canceled"
        assert answer.json()["status"] == "canceled"

    @rule(estimate=consumes(estimates))
    def delete_estimate(self, estimate: str) -> None:
        answer = self.call("DELETE", f"/v1/estimates/{estimate}")
        job = self.jobs.get(estimate)
        assert answer.status_code == (404 if job is None else 409 if job["status"] in ACTIVE else 204)
        if answer.status_code == 204:
            del self.jobs[estimate]

    @rule(identifier=sets)
    def delete_set(self, identifier: str) -> None:
        answer = self.call("DELETE", f"/v1/sample-sets/{identifier}")
        in_use = any(
            identifier in (job["source"], job["target"]) and job["status"] in ACTIVE for job in self.jobs.values()
        )
        assert answer.status_code == (404 if identifier not in self.known else 409 if in_use else 204)
        if answer.status_code == 204:
            del self.known[identifier]

    @rule(identifiers=st.lists(sets, min_size=2, max_size=3, unique=True))
    def submit_and_cancel_a_matrix(self, identifiers: list[str]) -> None:
        answer = self.call("POST", "/v1/batches", json={"matrix": identifiers})
        if not set(identifiers) <= set(self.known):
            assert answer.status_code == 404
            return
        assert answer.status_code == 202
        pairs = len(identifiers) * (len(identifiers) - 1) // 2
        assert answer.json()["counts"]["queued"] == pairs
        done = self.call("POST", f"/v1/batches/{answer.json()['id']}/cancel").json()
        assert (done["status"], done["counts"]["canceled"]) == ("canceled", pairs)
        lines = self.call("GET", f"/v1/batches/{done['id']}/results").text.splitlines()
        assert len(lines) == pairs
        for entry in self.everything("/v1/estimates"):
            if entry["id"] not in self.jobs:
                assert self.call("DELETE", f"/v1/estimates/{entry['id']}").status_code == 204

    @invariant()
    def lists_show_what_the_model_holds(self) -> None:
        assert {entry["id"] for entry in self.everything("/v1/sample-sets")} == set(self.known)
        listed = {entry["id"]: entry["status"] for entry in self.everything("/v1/estimates")}
        assert listed == {identifier: job["status"] for identifier, job in self.jobs.items()}


@pytest.mark.parametrize(("examples", "steps"), [(6, 15), pytest.param(100, 40, marks=pytest.mark.slow)])
def test_the_server_does_what_the_model_does(examples: int, steps: int, stores: Stores) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(Path(folder) / "data", ["--workers", "0"], stores.environment()) as server,
    ):

        class Run(Api):
            pass

        Run.server = server
        profile = settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, database=None, derandomize=examples < 50,
            suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink],
        )  # fmt: skip
        run_state_machine_as_test(Run, settings=profile)  # type: ignore[no-untyped-call]
        assert not list((server.data / "incoming").iterdir())
