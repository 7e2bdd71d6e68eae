"""Names that resolve to what they should not: with a real name server, in a network of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from webhook_receiver import self_signed

_SCRIPT = Path(__file__).with_name("names_that_change.py")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if (unshare := shutil.which("unshare")) is None or shutil.which("ip") is None:
        pytest.skip("no unshare or no ip on this machine; apt-get install util-linux iproute2")
    inside = [unshare, "--map-root-user", "--mount", "--net"]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine allows no namespaces")
    folder = tmp_path_factory.mktemp("names")
    certificate = self_signed(folder, "*.example.test")
    command = [*inside, sys.executable, str(_SCRIPT), str(folder), *(str(file) for file in certificate)]
    environment = {**os.environ, "SSL_CERT_FILE": str(certificate[0])}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_the_connection_goes_to_the_address_that_was_checked(found: dict[str, Any]) -> None:
    assert found["outcomes"]["rebinding"]["outcome"] == "204"
    assert found["asked"]["rebinding.example.test"] == 1  # a second answer would have been 127.0.0.1
    assert found["outcomes"]["both"]["outcome"] == "204"
    assert found["requests"] == {"public": 2, "own": 0}


@pytest.mark.parametrize("name", ["loopback", "private", "metadata", "mapped"])
def test_a_name_of_an_address_that_is_not_public(found: dict[str, Any], name: str) -> None:
    assert "is not a public address" in found["outcomes"][name]["outcome"]


def test_a_name_server_that_says_nothing_takes_no_more_than_the_time(found: dict[str, Any]) -> None:
    assert found["outcomes"]["silent"]["outcome"] == "no answer within 2 s"
    assert found["outcomes"]["silent"]["seconds"] < 3


def test_a_name_without_an_address(found: dict[str, Any]) -> None:
    assert "cannot be resolved" in found["outcomes"]["unknown"]["outcome"]
