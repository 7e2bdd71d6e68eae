"""A real `wdist serve`, over HTTP."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import samples
from bench import Bench, Case
from exact import of_certificate, of_critic

ENDED = {"succeeded", "failed", "canceled", "finished"}
PROSE = {"description", "summary", "title", "example", "examples", "version"}  # of the contract: not behaviour
GROUPSORT = {"critic": "groupsort", "steps": 30, "baseline_rows": 100, "device": "cpu"}
AFFINE = {"critic": "affine", "steps": 5, "baseline_rows": 0, "device": "cpu"}


class RunningServer:
    """`wdist serve` on a free port, with a data directory of its own; used in `with`.

    Ids are random: `known` has the name that stands for each of them in what the cases return.
    """

    def __init__(self, command: Sequence[str], data: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        self._log = data.with_suffix(".log")
        self._command = [*command, "serve", "--host", "127.0.0.1", "--port", port, "--data", str(data)]
        self.url = f"http://127.0.0.1:{port}"
        self._client = httpx.Client(base_url=self.url, timeout=120)
        self.known: dict[str, str] = {}

    def __enter__(self) -> RunningServer:
        environment = {**os.environ, "WDIST_SERVER_THREADS": "1", "WDIST_SERVER_SPARE_TRAINER": "false"}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, cwd=self._log.parent, env=environment, start_new_session=True
            )
        deadline = time.monotonic() + 120
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if self._client.get("/readyz").status_code == 200:
                    return self
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._end()
                raise RuntimeError(f"wdist serve is not ready:\n{self._log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.1)

    def __exit__(self, *error: object) -> None:
        self._client.close()
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(30)
        self._end()

    def _end(self) -> None:
        """Kill what is left of the server and its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def ask(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Raises RuntimeError for an answer that is an error."""
        answer = self._client.request(method, path, **arguments)
        if answer.is_error:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer

    def try_to(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        answer = self._client.request(method, path, **arguments)
        return {"status": answer.status_code, "type": answer.headers["content-type"], "body": answer.json()}

    def upload(self, name: str, rows: np.ndarray[Any, Any]) -> dict[str, Any]:
        return self.upload_file(name, samples.npy(rows))

    def upload_file(self, name: str, content: bytes, **query: str) -> dict[str, Any]:
        answer = self.ask("POST", "/v1/sample-sets", params={"name": name, **query}, content=content)
        record: dict[str, Any] = answer.json()
        self.known[record["id"]] = f"set {name}"
        return record

    def finished(self, path: str, body: dict[str, Any], name: str) -> dict[str, Any]:
        """Submit a job and wait; its record."""
        record = self.ask("POST", path, json=body).json()
        self.known[record["id"]] = name
        deadline = time.monotonic() + 300
        while record["status"] not in ENDED:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{record} after 300 s:\n{self._log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.1)
            record = self.ask("GET", f"{path}/{record['id']}").json()
        return dict(record)

    def named(self, value: Any) -> Any:
        """The same with names in place of ids."""
        if isinstance(value, str):
            return self.known.get(value, value)
        if isinstance(value, Mapping):
            return {self.named(key): self.named(item) for key, item in value.items()}
        return [self.named(item) for item in value] if isinstance(value, list) else value


def of_estimate(server: RunningServer, record: dict[str, Any], source: str) -> dict[str, Any]:
    """All that the server has of a finished estimate."""
    path = f"/v1/estimates/{record['id']}"
    parts = [server.ask("GET", f"{path}/critic", params={"part": part}).content for part in ("config", "weights")]
    evaluation = {"sample_set": source, "gradient": "true"}
    job = server.ask("POST", f"{path}/evaluate", params=evaluation, headers={"Prefer": "respond-async, wait=60"})
    server.known[job.json()["id"]] = "the evaluation"
    return {
        "record": record,
        "curve": server.ask("GET", f"{path}/curve").json(),
        "certificate": of_certificate(server.ask("GET", f"{path}/certificate").content),
        "critic": of_critic(*parts),
        "evaluation": server.ask("POST", f"{path}/evaluate", params=evaluation).json(),
        "evaluation_job": job.json(),
        "evaluation_content": np.load(io.BytesIO(server.ask("GET", f"{job.headers['location']}/content").content)),
    }


def estimated(make: Any, options: dict[str, Any], name: str) -> Case:
    def case(bench: Bench) -> dict[str, Any]:
        server = bench.server
        sets = [server.upload(f"{name} {side}", rows) for side, rows in zip("xy", make(), strict=True)]
        body = {"source": sets[0]["id"], "target": sets[1]["id"], **options}
        record = server.finished("/v1/estimates", body, f"estimate {name}")
        return dict(server.named({"sets": sets, **of_estimate(server, record, sets[0]["id"])}))

    return case


def grouped(bench: Bench) -> dict[str, Any]:
    server, labels = bench.server, np.repeat(np.arange(120), 3)
    sets = [server.upload(f"patients {k}", rows)["id"] for k, rows in enumerate(samples.patients(101))]
    groups = [server.upload(f"labels {k}", labels + 120 * k)["id"] for k in range(2)]
    body = {"source": sets[0], "target": sets[1], "groups": dict(zip(sets, groups, strict=True)), **AFFINE}
    record = server.finished("/v1/estimates", body, "estimate of groups")
    return dict(server.named(of_estimate(server, record, sets[0])))


def formats(bench: Bench) -> dict[str, Any]:
    """Files that the server decodes: what it says of them, and the rows that it keeps."""
    server, found = bench.server, {}
    for name, (content, query) in samples.files(130).items():
        record = server.upload_file(f"file {name}", content, **query)
        found[name] = {"record": record, "rows": server.ask("GET", f"/v1/sample-sets/{record['id']}/content").content}
    return dict(server.named({name: each | {"rows": samples.read_npy(each["rows"])} for name, each in found.items()}))


def matrix(bench: Bench) -> dict[str, Any]:
    """Ten pairs of five sets, which the server may train together."""
    server = bench.server
    sets = [server.upload(f"matrix {k}", samples.normals(110 + k)[0] + np.float32(0.3 * k))["id"] for k in range(5)]
    body = {"matrix": sets, "simultaneous": True, "diameter": 40.0, **GROUPSORT}
    record = server.finished("/v1/batches", body, "the batch")
    lines = server.ask("GET", f"/v1/batches/{record['id']}/results").text.splitlines()
    results = [{"record": each} for each in map(_parsed, lines)]
    server.known |= {each["record"]["id"]: f"estimate {k}" for k, each in enumerate(results)}
    figures = server.ask("GET", f"/v1/batches/{record['id']}/matrix").json()
    return dict(server.named({"record": record, "results": results, "matrix": figures}))


def _parsed(line: str) -> dict[str, Any]:
    return dict(httpx.Response(200, text=line).json())


def refusals(bench: Bench) -> dict[str, Any]:
    """Problem details of requests that cannot be met, and an estimate that fails."""
    server = bench.server
    source, target = (server.upload(f"refused {k}", rows)["id"] for k, rows in enumerate(samples.normals(120)))
    pair = {"source": source, "target": target}
    answers = {
        "unknown set": server.try_to("POST", "/v1/estimates", json={**pair, "target": "ss_" + "0" * 26}),
        "unknown option": server.try_to("POST", "/v1/estimates", json={**pair, "rate": 1}),
        "confidence": server.try_to("POST", "/v1/estimates", json={**pair, "confidence": 2}),
        "not JSON": server.try_to("POST", "/v1/estimates", content=b"{", headers={"content-type": "application/json"}),
        "not npy": server.try_to("POST", "/v1/sample-sets", content=b"no array"),
        "one set": server.try_to("POST", "/v1/batches", json={"matrix": [source]}),
        "nowhere": server.try_to("GET", "/v1/nothing"),
    }
    failed = server.finished("/v1/estimates", {**pair, "diameter": 0.1, **AFFINE}, "estimate that failed")
    return dict(server.named({"answers": answers, "failed": {"record": failed}}))


def contract(bench: Bench) -> dict[str, Any]:
    """Paths, parameters and schemas of the OpenAPI document, without its prose."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            is_schema = not isinstance(value.get("title"), dict)  # a property may have one of these names
            return {name: plain(item) for name, item in value.items() if not (is_schema and name in PROSE)}
        return [plain(item) for item in value] if isinstance(value, list) else value

    return dict(plain(bench.server.ask("GET", "/openapi.json").json()))


CASES: dict[str, Case] = {
    "estimate": estimated(lambda: samples.mixtures(100), {**GROUPSORT, "statements": 5, "confidence": 0.9}, "mixtures"),
    "auto": estimated(
        lambda: samples.diamonds(40), {"steps": 120, "scale": "standardize", "device": "cpu"}, "diamonds"
    ),
    "images": estimated(
        lambda: samples.coloured(102),
        {**AFFINE, "critic": "bcop", "steps": 4, "layout": "nhwc", "confidence": 0.9},
        "images",
    ),
    "groups": grouped,
    "formats": formats,
    "matrix": matrix,
    "refusals": refusals,
    "contract": contract,
}
