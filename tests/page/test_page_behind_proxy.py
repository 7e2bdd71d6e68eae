"""The page and the API browser under a path, behind a real nginx and a real Caddy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from page_steps import PATIENCE_MS, OpenPage, choose, result_of, start
from playwright.sync_api import expect
from proxy_process import PREFIX
from server_process import ServerProcess


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    environment = {"WDIST_SERVER_PATH_PREFIX": PREFIX}
    with ServerProcess(tmp_path_factory.mktemp("behind") / "data", environment=environment) as running:
        yield running


def test_files_become_a_result(open_page: OpenPage, behind_proxy: str, files: dict[str, Path], tmp_path: Path) -> None:
    large = np.zeros((300_000, 8), dtype=np.float32)  # 9.6 MB, above what the page sends in one request
    large[:, :4] = np.resize(np.load(files["left"]), (300_000, 4))
    large[:, 4:] = np.arange(300_000)[:, None] % 11
    moved = large[:4000].copy()
    moved[:, 0] += 2
    np.save(tmp_path / "large.npy", large)
    np.save(tmp_path / "moved.npy", moved)
    asked: list[str] = []
    page = open_page("/", base=behind_proxy)
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    choose(page, tmp_path / "large.npy", tmp_path / "moved.npy")
    start(page)
    expect(result_of(page)).to_contain_text("at least", timeout=PATIENCE_MS)
    assert f"{PREFIX}/v1/uploads" in asked
    assert all(path.startswith(f"{PREFIX}/") for path in asked if not path.startswith("blob")), asked
    assert f"Client(&quot;{behind_proxy}&quot;)".replace("&quot;", '"') in page.locator("pre.code").first.inner_text()


def test_the_api_browser_calls_this_server(open_page: OpenPage, behind_proxy: str) -> None:
    page = open_page("/", base=behind_proxy)
    page.get_by_role("link", name="HTTP API").click()
    expect(page).to_have_url(re.compile(f"{PREFIX}/docs$"))
    block = page.locator(".opblock", has=page.locator('.opblock-summary-path[data-path="/version"]'))
    block.locator(".opblock-summary-control").click(timeout=PATIENCE_MS)
    block.get_by_role("button", name="Execute").click()
    expect(block.locator(".request-url")).to_contain_text(f"{behind_proxy}/version", timeout=PATIENCE_MS)
    expect(block.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
    page.get_by_role("link", name="wdist").click()
    expect(page.get_by_role("button", name="Estimate the distance")).to_be_visible(timeout=PATIENCE_MS)
    assert page.url.startswith(f"{behind_proxy}/")
