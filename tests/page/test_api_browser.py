"""The API browser at /docs: on this server alone, under its own policy, and of use with a key."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_steps import PATIENCE_MS, OpenPage
from playwright.sync_api import Locator, Page, expect
from server_process import ServerProcess


def ask(url: str, method: str = "GET", **headers: str) -> tuple[int, Any, bytes]:
    """Status, headers and body of an answer, whatever the status."""
    request = urllib.request.Request(url, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def operation(page: Page, method: str, path: str) -> Locator:
    """An operation, unfolded."""
    block = page.locator(".opblock", has=page.locator(f'.opblock-summary-path[data-path="{path}"]'))
    block = block.filter(has=page.locator(".opblock-summary-method", has_text=re.compile(f"^{method}$")))
    block.locator(".opblock-summary-control").click()
    return block


def answer_of(block: Locator) -> Any:
    """Press Execute; the JSON of the response."""
    block.get_by_role("button", name="Execute").click()
    text = block.locator(".live-responses-table .response-col_description pre").first
    expect(text).to_be_visible(timeout=PATIENCE_MS)
    return json.loads(text.inner_text())


def test_the_page_links_to_it_and_it_lists_every_operation(open_page: OpenPage, server: ServerProcess) -> None:
    page = open_page()
    page.get_by_role("link", name="HTTP API").click()
    expect(page).to_have_url(re.compile("/docs$"))
    contract = json.loads(ask(f"{server.url}/openapi.json")[2])
    count = sum(len(operations) for operations in contract["paths"].values())
    expect(page.locator(".opblock")).to_have_count(count, timeout=PATIENCE_MS)


def test_an_operation_runs_on_this_server(open_page: OpenPage, server: ServerProcess, tmp_path: Path) -> None:
    np.save(tmp_path / "own.npy", np.arange(14.0).reshape(7, 2))  # it gets no name, which other tests need of theirs
    page = open_page("/docs")
    version = answer_of(operation(page, "GET", "/version"))
    assert version == json.loads(ask(f"{server.url}/version")[2])
    upload = operation(page, "POST", "/v1/sample-sets")
    upload.locator("input[type=file]").set_input_files(tmp_path / "own.npy")
    assert answer_of(upload)["shape"] == [7, 2]


def test_a_key_is_sent_and_not_kept(open_page: OpenPage, tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", ["--workers", "0"]) as closed:
        body = json.dumps({"role": "admin"}).encode()
        request = urllib.request.Request(f"{closed.url}/v1/api-keys", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            secret = json.load(answer)["secret"]
        page = open_page("/docs", base=closed.url, expected=("401",))
        block = operation(page, "GET", "/v1/estimates")
        assert answer_of(block)["status"] == 401
        page.get_by_role("button", name="Authorize").first.click()
        dialog = page.locator(".auth-container")
        dialog.locator("input").fill(secret)
        dialog.get_by_role("button", name="Apply credentials").click()
        page.locator(".auth-container").get_by_role("button", name="Close").click()
        block.get_by_role("button", name="Clear").click()
        assert answer_of(block)["data"] == []
        kept = page.evaluate("JSON.stringify([localStorage, sessionStorage, document.cookie, location.href])")
        assert secret not in kept


@pytest.mark.parametrize(("color_scheme", "is_dark"), [("light", False), ("dark", True)])
def test_it_follows_the_colour_scheme(open_page: OpenPage, color_scheme: str, is_dark: bool) -> None:
    page = open_page("/docs", color_scheme=color_scheme)
    expect(page.locator(".opblock").first).to_be_visible(timeout=PATIENCE_MS)
    colour = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (colour == "rgb(28, 32, 34)") == is_dark


def test_its_files_are_cached_and_others_are_problems(server: ServerProcess) -> None:
    for name in ("", "/browser.js", "/swagger-ui/swagger-ui-bundle.js", "/swagger-ui/swagger-ui.css"):
        url = f"{server.url}/docs{name}"
        status, headers, body = ask(url)
        assert (status, int(headers["Content-Length"])) == (200, len(body))
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert ask(url, "HEAD")[0::2] == (200, b"")
        assert ask(url, **{"If-None-Match": headers["ETag"]})[0::2] == (304, b"")
    for name in ("/nothing.js", "/swagger-ui", "/%2e%2e/endpoints.py", "/%00"):
        status, headers, _ = ask(f"{server.url}/docs{name}")
        assert (status, headers["Content-Type"]) == (404, "application/problem+json")
