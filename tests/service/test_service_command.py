"""The `wdist` command and the settings: quick, and clear about what is wrong."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from service_process import normal

from wdist_service import settings as settings_module
from wdist_service.settings import Settings, SettingsError, load


def wdist(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wdist_service", *arguments],
        capture_output=True, text=True, timeout=120, env={**os.environ, **environment},
    )  # fmt: skip


def imports(code: str, *modules: str) -> list[str]:
    """Which of the modules are loaded after the code ran in a fresh interpreter."""
    program = f"{code}\nimport sys, json\nprint(json.dumps([m for m in {modules!r} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_help_and_version() -> None:
    assert wdist("--version").stdout.startswith("wdist 0.")
    text = wdist("--help").stdout
    assert all(command in text for command in ("estimate", "serve", "worker", "keys"))


def test_help_is_quick_because_it_imports_little() -> None:
    # benchmarks/service.py times it
    code = "from wdist.cli.main import main\ntry:\n main(['--help'])\nexcept SystemExit: pass"
    assert imports(code, "torch", "numpy", "fastapi", "sqlalchemy", "dbos", "pydantic") == []


def test_api_and_worker_processes_do_not_import_torch() -> None:
    code = "import wdist_service.app, wdist_service.http.connections"
    assert imports(code, "torch", "fastapi", "numpy") == ["fastapi", "numpy"]
    assert imports("import wdist_service.processes.api", "uvicorn", "fastapi", "numpy") == []  # a second of them
    assert imports("import wdist_service.worker.worker", "torch", "dbos") == ["dbos"]


def test_estimate_prints_a_result(tmp_path: Path) -> None:
    for name, shift in (("a", 0.0), ("b", 1.0)):
        np.save(tmp_path / f"{name}.npy", normal(len(name) + int(shift), shift=shift))
    files = str(tmp_path / "a.npy"), str(tmp_path / "b.npy")
    certificate = str(tmp_path / "certificate")
    done = wdist("estimate", *files, "--steps", "20", "--critic", "groupsort", "--json", "--certificate", certificate)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert 0 <= result["lower_bound"] <= result["value"]
    assert wdist("verify", certificate, *files).returncode == 0
    assert wdist("verify", certificate, *reversed(files)).returncode != 0
    shown = wdist("estimate", *files, "--critic", "affine", "--save-critic", str(tmp_path / "critic"))
    assert "lower_bound" in shown.stdout
    assert (tmp_path / "critic" / "critic.safetensors").exists()


@pytest.mark.parametrize(("content", "words"), [
    (b"not an array", "not a .npy file"),
    (None, "No such file"),
])  # fmt: skip
def test_estimate_says_what_is_wrong_in_one_line(tmp_path: Path, content: bytes | None, words: str) -> None:
    np.save(tmp_path / "a.npy", normal(1))
    if content is not None:
        (tmp_path / "b.npy").write_bytes(content)
    done = wdist("estimate", str(tmp_path / "a.npy"), str(tmp_path / "b.npy"))
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_serve_says_that_the_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = wdist("serve", "--port", str(taken.getsockname()[1]), "--data", str(tmp_path / "data"))
    assert done.returncode == 69
    assert "it is taken" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_serve_says_that_there_is_no_room(tmp_path: Path) -> None:
    done = wdist("serve", "--port", "0", "--data", str(tmp_path / "data"), WDIST_SERVER_MIN_FREE_BYTES=str(1 << 60))
    assert done.returncode == 73
    assert "bytes are free" in done.stderr
    file = tmp_path / "file"
    file.write_text("")
    done = wdist("serve", "--port", "0", "--data", str(file))
    assert done.returncode == 73
    assert "cannot use the data directory" in done.stderr


def test_unknown_settings_are_refused_with_a_hint(tmp_path: Path) -> None:
    done = wdist("serve", "--data", str(tmp_path), WDIST_SERVER_PROT="1")
    assert done.returncode == 78
    assert "WDIST_SERVER_PROT" in done.stderr
    assert "WDIST_SERVER_PORT" in done.stderr
    done = wdist("serve", "--data", str(tmp_path), WDIST_SERVER_PORT="high")
    assert done.returncode == 78
    assert "WDIST_SERVER_PORT" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("option", "value"), [("--port", "99999"), ("--workers", "-1"), ("--threads", "0")])
def test_a_value_out_of_range_is_named_as_it_was_given(tmp_path: Path, option: str, value: str) -> None:
    done = wdist("serve", "--data", str(tmp_path), option, value)
    assert done.returncode == 78
    assert done.stderr.startswith(f"wdist: {option}: ")
    variable = f"WDIST_SERVER_{option.removeprefix('--').upper()}"
    done = wdist("serve", "--data", str(tmp_path), **{variable: value})
    assert done.returncode == 78
    assert done.stderr.startswith(f"wdist: {variable}: ")


def test_options_win_over_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WDIST_SERVER_PORT", "9001")
    monkeypatch.setenv("WDIST_SERVER_ALLOWED_HOSTS", '["a.example", "b.example"]')
    assert load(data=tmp_path).port == 9001
    given = load(data=tmp_path, port=9002)
    assert given.port == 9002
    # What a child process reads from this environment is the same.
    for name, value in given.environment().items():
        monkeypatch.setenv(name, value)
    assert load() == given


def test_a_file_of_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "wdist.toml"
    file.write_text('port = 9001\nallowed_hosts = ["a.example"]\nlog_level = "warning"\nquota_bytes = 10_000_000\n')
    monkeypatch.setenv("WDIST_SERVER_SETTINGS_FILE", str(file))
    monkeypatch.setenv("WDIST_SERVER_LOG_LEVEL", "error")
    found = load(data=tmp_path, port=9002)
    assert (found.port, found.log_level, found.allowed_hosts) == (9002, "error", ["a.example"])
    assert found.quota_bytes == 10_000_000
    for name, value in found.environment().items():
        monkeypatch.setenv(name, value)
    assert load() == found
    for text, words in (("prot = 1", "did you mean port"), ("port =", "cannot be read"), ("nonsense = 1", "remove it")):
        file.write_text(text)
        done = wdist("serve", "--data", str(tmp_path), WDIST_SERVER_SETTINGS_FILE=str(file))
        assert (done.returncode, words in done.stderr) == (78, True), done.stderr
    file.write_text("slots = 0")
    with pytest.raises(SettingsError, match="WDIST_SERVER_SLOTS"):
        load()


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_settings_outside_their_range(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WDIST_SERVER_LEASE_SECONDS", "-1")
    with pytest.raises(SettingsError, match="WDIST_SERVER_LEASE_SECONDS"):
        load()
    assert settings_module.PREFIX == "WDIST_SERVER_"
