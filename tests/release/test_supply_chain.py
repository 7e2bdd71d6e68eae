"""What a server is made of is known: a bill of materials, and an advisory service's word on every pinned version."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tools import audit, sbom

ROOT = Path(__file__).resolve().parents[2]


def key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    lines = (line for line in audit.CONSTRAINTS.read_text().splitlines() if "==" in line)
    return {key(name): version for name, version in (line.split("==") for line in lines)}


def test_nothing_is_known_against_any_pinned_version() -> None:
    try:
        audit.probe()
    except audit.NoServiceError as error:
        pytest.skip(f"no advisory service on this machine ({error})")
    found = audit.audit(audit.CONSTRAINTS)
    assert not found, "\n".join(found)


class Advisories(BaseHTTPRequestHandler):
    """An advisory service (of the kind OSV) that knows one thing: pillow below 99 is vulnerable."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        versions = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99"}]}
        about = {"package": {"name": "pillow", "ecosystem": "PyPI"}, "ranges": [versions]}
        known: dict[str, Any] = {"vulns": [{"id": "TEST-1", "summary": "a hole", "affected": [about]}]}
        body = json.dumps(known if asked["package"]["name"] == "pillow" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service(tmp_path: Path) -> Iterator[list[str]]:
    """Arguments of pip-audit for a service on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Advisories) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1/query"
        yield ["-s", "osv", "--osv-url", url, "--cache-dir", str(tmp_path / "cache")]
        server.shutdown()


def constraints(folder: Path, *lines: str) -> Path:
    path = folder / "constraints.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_a_known_hole_is_a_finding(service: list[str], tmp_path: Path) -> None:
    assert audit.audit(constraints(tmp_path, "numpy==2.4.0"), *service) == []
    (found,) = audit.audit(constraints(tmp_path, "numpy==2.4.0", "pillow==12.0.0"), *service)
    assert found == "pillow 12.0.0: TEST-1, mended in 99"


def test_a_package_that_was_skipped_is_a_finding(service: list[str], tmp_path: Path) -> None:
    file = constraints(tmp_path, "numpy==2.4.0", "wdist @ https://example.org/wdist-0.1-py3-none-any.whl")
    (found,) = audit.audit(file, *service)
    assert found.startswith("wdist: not audited: ")


def test_a_service_that_does_not_answer_is_told_from_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    nobody = ["-s", "osv", "--osv-url", "http://127.0.0.1:1/", "--cache-dir", str(tmp_path / "cache")]
    with pytest.raises(audit.NoServiceError):
        audit.audit(constraints(tmp_path, "numpy==2.4.0"), *nobody)
    with pytest.raises(RuntimeError):
        audit.audit(constraints(tmp_path, "numpy>=2"), *nobody)


def test_the_bill_of_materials_names_what_a_server_is_made_of() -> None:
    text = sbom.bill_of_materials()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    assert (bill["metadata"]["component"]["name"], bill["metadata"]["component"]["type"]) == ("wdist", "application")
    made_of = {each["name"]: each["version"] for each in bill["components"] if each["purl"].startswith("pkg:pypi/")}
    assert {"torch", "fastapi", "sqlalchemy", "obstore", "pyarrow", "h5py"} <= set(made_of)
    assert "pytest" not in made_of
    pinned = pins()
    assert made_of == {name: pinned[name] for name in made_of}
    assert any(each["purl"].startswith("pkg:npm/swagger-ui-dist@") for each in bill["components"])
    assert all(each.get("licenses") for each in bill["components"])
    needs = {each["ref"].partition("@")[0]: each.get("dependsOn", []) for each in bill["dependencies"]}
    assert any(ref.startswith("pkg:pypi/starlette@") for ref in needs["pkg:pypi/fastapi"])
    assert sbom.bill_of_materials() == text
