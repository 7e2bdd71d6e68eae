"""What every test shares: skips must be known, and continuous integration fails on one that is not."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

# A skip is a promise that somebody else runs the test. Each pattern says when that is.
ALLOWED_SKIPS = (
    r"no CUDA device",  # run on a GPU host
    r"no (zsh|fish) on this machine",  # completion for a shell that its users have
    r"no (curl|jq|openssl) on this machine",  # the command lines of the documentation; continuous integration has them
    r"no right to mount",  # the disk that is full: root, as in continuous integration
    r"no C compiler",  # the clock that steps, the disk that keeps what was synced
    r"a real power cut needs root|mounts no loop device",  # a file system that is cut off: root, as above
    r"needs root|only root can|needs setpriv",  # files of another user: root, as above
    r"no (nginx|caddy|strace) on this machine",  # continuous integration installs them
    r"no advisory service",  # where the known vulnerabilities of Python packages can be asked for
    r"no (buildah|debootstrap|Python 3.11) on this machine|no Debian packages",  # images: where they can be built
    r"images that \S+ takes from a registry cannot be had",  # where a registry answers
    r"no container engine on this machine",  # compose files: where docker or podman answers on its socket
    r"no CUDA device on this machine",  # wdist/device.py has all that only runs where there is one
    r"no promtool on this machine",  # comes with Prometheus, whose users have it
    r"no Chromium on this machine",  # continuous integration installs it
    r"shared data .* absent",  # data sets that the repository does not carry
)

_unlisted: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--stores",
        choices=["local", "shared", "both"],
        default="local",
        help="run the tests of the service on SQLite and files, on PostgreSQL and S3, or on both",
    )


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        _note(report.nodeid, report.longrepr)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        _note(report.nodeid, report.longrepr)


def _note(nodeid: str, longrepr: Any) -> None:
    reason = longrepr[2] if isinstance(longrepr, tuple) else str(longrepr)
    if not any(re.search(pattern, reason) for pattern in ALLOWED_SKIPS):
        _unlisted.append(f"{nodeid}: {reason}")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """What `--dist load` keeps in one process: tests of a file with the same stores, so that a process starts the
    servers of each kind of store once; and all of the page, whose browsers and trainers want a whole core.

    Groups by marks (`--dist loadgroup`) have no effect in pytest 9.2 (pytest-dev/pytest-xdist#1386).
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            stores = next((kind for kind in ("sqlite+files", "postgresql+s3") if f"[{kind}" in nodeid), "")
            return "page" if "tests/page/" in file else f"{file} {stores}"

    # In the order of the collection, in which tests of the same stores are neighbours.
    config.option.loadscopereorder = False
    return ByFile(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Skips of whole modules, which pytest-xdist tells only the process that collected them."""
    for line in node.workeroutput.get("unlisted", ()):
        if line not in _unlisted:
            _unlisted.append(line)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["unlisted"] = _unlisted
    if _unlisted and os.environ.get("CI") and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if _unlisted:
        verdict = "an error, as CI is set" if os.environ.get("CI") else "an error when CI is set"
        terminalreporter.section(f"skips that tests/conftest.py does not list ({verdict})", red=True)
        for line in _unlisted:
            terminalreporter.write_line(line)
