"""What the page does while a server is busy, and while workers evaluate stored sets."""

from __future__ import annotations

import json
import re
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_steps import PATIENCE_MS, OpenPage, choose, result_of, start, zone
from playwright.sync_api import expect
from server_process import ServerProcess

CONNECTIONS = 12
EVALUATED = 12_000  # rows, above what is scored at once


@pytest.fixture(scope="module")
def small_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server without workers that few clients fill."""
    environment = {"WDIST_SERVER_MAX_CONNECTIONS": str(CONNECTIONS)}
    data = tmp_path_factory.mktemp("small") / "data"
    with ServerProcess(data, ["--workers", "0"], environment=environment) as running:
        yield running


@contextmanager
def all_connections(server: ServerProcess, estimate: str) -> Iterator[None]:
    """Streams of events take every connection that the server has."""
    request = f"GET /v1/estimates/{estimate}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    with ExitStack() as streams:
        for _ in range(CONNECTIONS):
            stream = streams.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
            stream.sendall(request)
            assert stream.recv(100).startswith(b"HTTP/1.1 200")
        yield


def test_page_says_that_the_server_is_busy_and_tries_again(
    open_page: OpenPage, small_server: ServerProcess, files: dict[str, Path]
) -> None:
    page = open_page(base=small_server.url, expected=("503",))
    choose(page, files["left"], files["right"])
    estimate = start(page)
    page.get_by_role("link", name="Jobs").click()
    expect(page.get_by_role("link", name="left.npy and right.npy")).to_be_visible(timeout=PATIENCE_MS)
    busy = page.get_by_text("The server is busy; trying again")
    page.wait_for_timeout(1500)  # the page's own connections are idle by then, and make room
    with all_connections(small_server, estimate):
        page.get_by_role("link", name="Compare", exact=True).click()
        expect(busy).to_be_visible(timeout=PATIENCE_MS)
        zone(page, "Source").get_by_role("button", name="Choose another").click()
        zone(page, "Source").locator("input[type=file]").set_input_files(files["other"])
        page.wait_for_timeout(1500)
        expect(busy).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(0)
    expect(busy).to_be_hidden(timeout=PATIENCE_MS)
    expect(zone(page, "Source").get_by_role("button", name="Choose another")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("#server")).to_contain_text("no worker is running")


def ask(
    server: ServerProcess, method: str, path: str, body: bytes | None = None, kind: str = "application/json"
) -> Any:
    headers = {"Content-Type": kind} if body is not None else {}
    request = urllib.request.Request(server.url + path, body, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read() or "null")


def test_evaluations_are_shown_stopped_and_saved(
    open_page: OpenPage, server: ServerProcess, files: dict[str, Path], tmp_path: Path
) -> None:
    page = open_page()
    choose(page, files["left"], files["right"])
    estimate = start(page)
    result_of(page)
    np.save(tmp_path / "many.npy", np.random.default_rng(5).normal(size=(EVALUATED, 4)).astype(np.float32))
    body = (tmp_path / "many.npy").read_bytes()
    many = ask(server, "POST", "/v1/sample-sets?name=many", body, "application/octet-stream")["id"]
    pair = {"source": many, "target": many, "critic": "groupsort", "steps": 1_000_000, "baseline_rows": 0}
    long = ask(server, "POST", "/v1/estimates", json.dumps(pair).encode())["id"]  # it takes the only slot
    evaluate = f"/v1/estimates/{estimate}/evaluate?sample_set={many}"
    first = ask(server, "POST", evaluate, b"")["id"]
    page.reload()
    card = page.locator("section", has=page.get_by_role("heading", name="Scores of stored sets"))
    row = card.get_by_role("row", name=re.compile("many"))
    expect(row).to_contain_text(f"0 of {EVALUATED:,}", timeout=PATIENCE_MS)
    expect(row).to_contain_text("waiting its turn")
    row.get_by_role("button", name="Stop many").click()
    expect(card).to_be_hidden(timeout=PATIENCE_MS)
    assert first not in [each["id"] for each in ask(server, "GET", f"/v1/estimates/{estimate}/evaluations")["data"]]
    ask(server, "POST", evaluate, b"")
    page.reload()
    expect(row).to_contain_text("waiting its turn", timeout=PATIENCE_MS)
    ask(server, "POST", f"/v1/estimates/{long}/cancel", b"")
    with page.expect_download(timeout=PATIENCE_MS) as saved:
        row.get_by_role("button", name=re.compile("Save")).click(timeout=PATIENCE_MS)
    saved.value.save_as(tmp_path / "scores.npy")
    assert np.load(tmp_path / "scores.npy").shape == (EVALUATED,)
    row.get_by_role("button", name="Delete many").click()
    expect(card).to_be_hidden(timeout=PATIENCE_MS)
