"""The server against its own contract: Schemathesis on every operation and on sequences of linked ones.

What is left out, and why, is in schemathesis.toml.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
from service_process import Server, normal, npy

ROOT = Path(__file__).resolve().parents[2]
CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A server with a key, two sample sets and small limits."""
    environment = {"WDIST_SERVER_MAX_JSON_BYTES": "100000", "WDIST_SERVER_MAX_UPLOAD_BYTES": "1000000"}
    with Server(tmp_path_factory.mktemp("contract") / "data", ["--workers", "0"], environment) as server:
        yield server, server.client.post("/v1/api-keys", json={"role": "admin"}).json()["secret"]


@pytest.fixture(scope="module")
def contract(keyed: tuple[Server, str]) -> dict[str, Any]:
    return dict(keyed[0].client.get("/openapi.json").json())


def existing(server: Server, key: dict[str, str]) -> dict[str, list[str]]:
    """Ids of what a path may name, by the name that it has there: two sample sets, and one of the others."""

    def made(path: str, **given: Any) -> httpx.Response:
        answer = server.client.post(path, headers={**key, **given.pop("headers", {})}, **given)
        assert answer.is_success, answer.text
        return answer

    sets = [made("/v1/sample-sets", content=npy(normal(seed))).json()["id"] for seed in (1, 2)]
    pair = {"source": sets[0], "target": sets[1]}
    begun = made("/v1/uploads", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "2528"})
    for webhook in server.client.get("/v1/webhooks", headers=key).json()["data"]:  # runs before have made many
        assert server.client.delete(f"/v1/webhooks/{webhook['id']}", headers=key).is_success
    wanted = {"url": "https://receiver.invalid/", "events": ["batch.finished"]}
    webhook = made("/v1/webhooks", json=wanted).json()["id"]
    return {
        "webhook_id": [webhook],
        "delivery_id": [made(f"/v1/webhooks/{webhook}/test").json()["id"]],
        "sample_set_id": sets,
        "estimate_id": [made("/v1/estimates", json=pair).json()["id"]],
        "batch_id": [made("/v1/batches", json={"pairs": [pair]}).json()["id"]],
        "upload_id": [begun.headers["location"].rpartition("/")[2]],
    }


def schemathesis(keyed: tuple[Server, str], folder: Path, *options: str) -> None:
    server, secret = keyed
    command = [Path(sys.executable).with_name("schemathesis"), "--config-file", CONFIG, "run"]
    command += [f"{server.url}/openapi.json", "--header", f"Authorization: Bearer {secret}", "--no-color"]
    command += ["--suppress-health-check", "all", "--generation-database", "none", *options]
    ids = json.dumps(existing(server, {"Authorization": f"Bearer {secret}"}))
    hooks = {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(CONFIG.parent), "WDIST_IDS": ids}
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, cwd=folder, env={**os.environ, **hooks}
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    assert server.client.get("/readyz").status_code == 200


def test_every_operation_keeps_the_contract(keyed: tuple[Server, str], tmp_path: Path) -> None:
    schemathesis(keyed, tmp_path, "--phases", "examples,coverage", "--seed", "1")


@pytest.mark.slow
def test_sequences_of_linked_operations(keyed: tuple[Server, str], tmp_path: Path) -> None:
    schemathesis(keyed, tmp_path, "--phases", "stateful", "--max-examples", "5", "--seed", "1")


@pytest.mark.slow
@pytest.mark.timeout(1200)  # 5,300 requests: 3 minutes where nothing else runs, over 5 beside other work
def test_the_contract_at_length(keyed: tuple[Server, str], tmp_path: Path) -> None:
    schemathesis(keyed, tmp_path, "--max-examples", "100")


def test_every_operation_is_described(contract: dict[str, Any]) -> None:
    for path, methods in contract["paths"].items():
        for method, operation in methods.items():
            where = f"{method.upper()} {path}"
            assert operation.get("description"), where
            assert operation.get("operationId"), where
            for status, answer in operation["responses"].items():
                assert answer["description"], f"{where} {status}"
                if int(status) >= 400 and path.startswith("/v1/"):
                    assert "application/problem+json" in answer["content"], f"{where} {status}"
            if path.startswith("/v1/"):
                assert {"400", "401", "403", "429", "503"} <= set(operation["responses"]), where
            if "application/json" in operation.get("requestBody", {}).get("content", {}):
                assert {"413", "415", "422"} <= set(operation["responses"]), where


def test_bodies_and_answers_have_examples_that_fit(contract: dict[str, Any]) -> None:
    schemas = contract["components"]["schemas"]
    without = {"EvaluationView"}  # values and gradient of the rows sent: its schema says it all
    for path, methods in contract["paths"].items():
        for method, operation in methods.items():
            bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
            for body in bodies if path.startswith("/v1/") else ():
                media = body.get("content", {}).get("application/json", {})
                name = media.get("schema", {}).get("$ref", "").rpartition("/")[2]
                if name and name not in without:
                    assert schemas[name].get("examples"), f"{method.upper()} {path} {name}"
    for name, schema in schemas.items():
        for example in schema.get("examples", ()):
            validator = jsonschema_rs.validator_for({**schema, "components": contract["components"]})
            assert not [error.message for error in validator.iter_errors(example)], name


def test_the_page_of_the_contract_has_every_operation(contract: dict[str, Any]) -> None:
    spec = importlib.util.spec_from_file_location("generate_api", ROOT / "docs" / "generate_api.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = module.page(contract)
    missing = [
        f"{method.upper()} {path}"
        for path, methods in contract["paths"].items()
        for method in methods
        if f"{method.upper()} {path}" not in page
    ]
    assert not missing
    assert all(f"# {schema}" in page for schema in ("EstimateRequest", "ResultView", "Problem"))


def test_the_security_page_names_tests_that_exist() -> None:
    named = set(re.findall(r"`((?:tests/)?\w+(?:\.py)?)`", (ROOT / "docs" / "security.md").read_text()))
    tests = {name for name in named if name.startswith("test")}
    assert len(tests) > 8
    for name in tests:
        assert list((ROOT / "tests").rglob(name)) or (ROOT / name).exists(), name
