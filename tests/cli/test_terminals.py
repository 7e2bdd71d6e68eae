"""Terminals that are not UTF-8: every command prints what it has to say, whatever alphabet its names are in."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wdist.cli.main import app

TERMINALS = {
    "the C locale": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "ASCII": {"PYTHONIOENCODING": "ascii"},
    "Latin-1": {"PYTHONIOENCODING": "latin-1"},
    "Windows": {"PYTHONIOENCODING": "cp1252"},
    "UTF-8": {"PYTHONIOENCODING": "utf-8"},  # bytes that are not UTF-8 are no characters there either
}
QUICK = ["--critic", "affine", "--steps", "1", "--baseline-rows", "0"]
GERMAN, CHINESE, BYTES = "größe-Ω.npy", "数据.npy", b"\xff\xe4.npy"
FILES = ["größe.csv", "数.csv"]
HERE = ["remote", "--url", ":local:"]
COMMANDS: dict[str, tuple[list[str | bytes], int, str]] = {  # arguments, exit status, a word that is said
    "estimate": (["estimate", GERMAN, CHINESE, *QUICK, "--progress", "--certificate", "c.cert"], 0, "value"),
    "estimate as JSON": (["estimate", GERMAN, BYTES, *QUICK, "--json", "--fail-above", "0.1"], 1, "is above"),
    "estimate, files": (
        [
            "estimate",
            GERMAN,
            BYTES,
            *QUICK,
            "--save",
            "größe.wdist",
            "--report",
            BYTES + b".html",
            "--save-critic",
            "ß",
        ],
        0,
        "lipschitz_bound",
    ),
    "columns": (["estimate", *FILES, *QUICK], 2, "have different columns"),
    "a column to drop": (["estimate", *FILES, *QUICK, "--drop", "数"], 2, "named"),
    "no such file": (["estimate", GERMAN, b"nowhere-\xff.npy", *QUICK], 2, "No such file"),
    "no format": (["estimate", GERMAN, "größe.bin", *QUICK], 2, "is not .npy"),
    "no directory": (["estimate", GERMAN, CHINESE, *QUICK, "--report", "数/x.html"], 2, "is not there"),
    "an option": (["estimate", GERMAN, CHINESE, "--größe", "1"], 2, "unknown option"),
    "a value": (["estimate", GERMAN, CHINESE, "--steps", "größe"], 2, "steps"),
    "a critic": (["estimate", GERMAN, CHINESE, "--critic", b"\xff"], 2, "critic"),
    "matrix": (["matrix", GERMAN, CHINESE, BYTES, *QUICK, "--progress"], 0, "between"),
    "compare": (["compare", GERMAN, CHINESE, BYTES, *QUICK, "--progress"], 0, "closer"),
    "plan": (["plan", GERMAN, BYTES, "--detect", "1", "--critic", "affine", "--steps", "1", "--progress"], 0, "rows"),
    "verify": (["verify", "c.cert", GERMAN, CHINESE], 0, "VERIFIED"),
    "verify, tables": (["verify", "c.cert", *FILES], 1, "NOT VERIFIED"),
    "verify, fresh": (["verify", "--fresh", "c.cert", *FILES], 2, "different columns"),
    "verify, no file": (["verify", b"\xff.cert", GERMAN, BYTES], 2, "cannot read"),
    "a command": (["größe"], 2, "unknown command"),
    "completion": (["completion", "bash"], 0, "wdist"),
    "a shell": (["completion", "数"], 2, "数"),
    "keys create": (["keys", "create", "--role", "admin", "--name", "größe 数", "--data", "daten-ß"], 0, "secret"),
    "keys of bytes": (
        ["keys", "create", "--role", "admin", "--name", b"\xff", "--data", "daten-ß"],
        2,
        "is no text in this locale",
    ),
    "keys list": (["keys", "list", "--data", "daten-ß"], 0, ""),
    "keys revoke": (["keys", "revoke", b"\xff", "--data", "daten-ß"], 2, ""),
    "doctor": (["doctor"], 0, "disk"),
    "serve": (["serve", "--port", "größe"], 2, "port"),
    "serve's settings": (["serve", "--data", "daten-数", "--port", "99999"], 78, "65535"),
    "worker": (["worker", "--größe"], 2, "unknown option"),
    "reproduce": (["reproduce", "größe"], 2, "größe"),
    "remote estimate": ([*HERE, "estimate", GERMAN, BYTES, *QUICK, "--report", "ü.html"], 0, "lipschitz_bound"),
    "remote upload": ([*HERE, "upload", BYTES], 0, "200 x 3"),
    "remote, no server": (["remote", "--url", "http://127.0.0.1:1/größe", "status"], 69, "no wdist server"),
    "remote, no file": ([*HERE, "upload", "größe.parquet"], 2, "größe"),
    "remote, no command": ([*HERE, "größe"], 2, "unknown command"),
}
# Python takes what is no ASCII there for bytes that are no text.
IN_THE_C_LOCALE = {
    "a column to drop": (2, "drop"),
    "keys create": (2, "PYTHONUTF8=1"),
    "keys list": (2, "no server keeps its keys"),  # a refused command makes no database
    "remote, no server": (2, "PYTHONUTF8=1"),
}

MANY = """
import sys
from wdist.cli.main import main
commands = [[]]
for word in sys.argv[1:]:
    commands.append([]) if word == "--then" else commands[-1].append(word)
for command in commands:
    status = main(command)
    sys.stdout.flush()
    sys.stderr.flush()
    for stream in (sys.stdout, sys.stderr):
        stream.buffer.write(b"\\n--status %d\\n" % status)
        stream.flush()
"""


def run(folder: Path, terminal: dict[str, str], *arguments: str | bytes) -> subprocess.CompletedProcess[bytes]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LC_", "LANG", "WDIST"))
    }
    return subprocess.run(
        [sys.executable, *arguments],
        env={**kept, **terminal},
        cwd=folder,
        capture_output=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("namen")
    values = np.random.default_rng(0).normal(size=(200, 3))
    for k, name in enumerate((GERMAN, CHINESE, BYTES)):
        with open(os.fsencode(made) + b"/" + os.fsencode(name), "wb") as file:  # noqa: PTH123 - names are bytes
            np.save(file, values + k)
    for name, column in zip(FILES, ("Ω", "数"), strict=True):
        rows = "".join(f"{a},{b}\n" for a, b in values[:, :2])
        (made / name).write_text(f"größe,{column}\n{rows}", encoding="utf-8")
    (made / "größe.bin").write_text("text")
    return made


def _slow_unless(wanted: str) -> list[Any]:
    """Every terminal; each takes some 10 s, so that the one that can spell least stands for the others."""
    return [pytest.param(name, marks=[] if name == wanted else pytest.mark.slow) for name in TERMINALS]


@pytest.fixture(scope="module", params=_slow_unless("ASCII"))
def said(request: pytest.FixtureRequest, folder: Path) -> tuple[str, dict[str, tuple[int, bytes]]]:
    """The terminal, and each command's exit status and output there; of one process, as each would import torch."""
    words: list[str | bytes] = []
    for arguments, _, _ in COMMANDS.values():
        words += ["--then", *arguments] if words else arguments
    found = run(folder, TERMINALS[request.param], "-c", MANY, *words)
    assert found.returncode == 0, found.stderr[-2000:]
    answers = list(zip(found.stdout.split(b"\n--status "), found.stderr.split(b"\n--status "), strict=True))
    statuses = [int(out.partition(b"\n")[0]) for out, _ in answers[1:]]
    texts = [out.partition(b"\n")[2] if k else out for k, (out, _) in enumerate(answers)]
    errors = [err.partition(b"\n")[2] if k else err for k, (_, err) in enumerate(answers)]
    assert len(statuses) == len(COMMANDS)
    return request.param, {name: (statuses[k], texts[k] + errors[k]) for k, name in enumerate(COMMANDS)}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_on_a_terminal_that_is_not_utf_8(said: tuple[str, dict[str, tuple[int, bytes]]], name: str) -> None:
    _, status, word = COMMANDS[name]
    terminal, answers = said
    if terminal == "the C locale":
        status, word = IN_THE_C_LOCALE.get(name, (status, word))
    found, text = answers[name]
    assert found == status, text.decode(errors="replace")[-1500:]
    assert b"UnicodeEncodeError" not in text
    assert b"Traceback" not in text
    if word.isascii():  # the others are spelled as each terminal can
        assert word.encode() in text


def every_command() -> list[list[str]]:
    """All commands, and those below them."""
    found = []
    for name in app:
        if not name.startswith("-"):
            found.append([name])
            found += [[name, below] for below in app[name] if not below.startswith("-")]
    return found


@pytest.mark.parametrize("terminal", TERMINALS)
def test_help_of_every_command(folder: Path, terminal: str) -> None:
    words: list[str] = []
    for command in every_command():
        words += ["--then", *command, "--help"] if words else [*command, "--help"]
    found = run(folder, TERMINALS[terminal], "-c", MANY, *words)
    assert found.returncode == 0, found.stderr[-2000:]
    assert found.stdout.count(b"--status 0") == len(every_command())


def test_a_name_is_shown_as_far_as_the_terminal_can(folder: Path) -> None:
    wdist = ["-m", "wdist.cli.main", "estimate", "größe-数.npy", CHINESE]
    assert "gr\\xf6\\xdfe-\\u6570.npy: No such file" in run(folder, TERMINALS["ASCII"], *wdist).stderr.decode("ascii")
    assert "größe-\\u6570.npy: No such file" in run(folder, TERMINALS["Latin-1"], *wdist).stderr.decode("latin-1")
    assert "größe-数.npy: No such file" in run(folder, TERMINALS["UTF-8"], *wdist).stderr.decode()


@pytest.mark.parametrize(
    "module", [["wdist.verify", "--sha256", "größe"], ["wdist_client", "--url", ":local:", "upload"]]
)
def test_the_verifier_and_the_client_alone(folder: Path, module: list[str]) -> None:
    files = [b"\xff.cert", GERMAN, BYTES] if module[0] == "wdist.verify" else [b"\xff.npy"]
    found = run(folder, TERMINALS["ASCII"], "-m", *module, *files)
    assert found.returncode == 2
    assert (b"cannot read" if module[0] == "wdist.verify" else b"there is no file \\udcff.npy") in found.stderr
    assert len(found.stderr.splitlines()) == 1
