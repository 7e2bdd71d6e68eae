"""A real Chromium on a real server; every page that a test opens is watched for errors and for other hosts."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from page_steps import ARGUMENTS, OpenPage, find_chromium
from playwright.sync_api import Browser, Page, Playwright, sync_playwright
from proxy_process import behind_proxy
from server_process import ServerProcess

__all__ = ["behind_proxy"]


@pytest.fixture(scope="session")
def chromium_path() -> str:
    found = find_chromium()
    if found is None:
        pytest.skip("no Chromium on this machine; apt-get install chromium")
    return found


@pytest.fixture(scope="module")
def playwright_session(chromium_path: str) -> Iterator[Playwright]:
    # Module by module: while it lives, asyncio.run cannot be used in this thread, and other tests do.
    with sync_playwright() as session:
        yield session


@pytest.fixture(scope="module")
def browser(playwright_session: Playwright, chromium_path: str) -> Iterator[Browser]:
    """Chromium with a profile of its own, gone afterwards."""
    chromium = playwright_session.chromium.launch(executable_path=chromium_path, args=list(ARGUMENTS))
    yield chromium
    chromium.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("browser") / "data") as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_left_running(server: ServerProcess) -> Iterator[None]:
    """What a failed test leaves running would hold up those that follow: the server has one worker."""
    yield
    with urllib.request.urlopen(f"{server.url}/v1/estimates?status=queued&status=running", timeout=60) as answer:
        left = [each["id"] for each in json.load(answer)["data"]]
    for each in reversed(left):
        urllib.request.urlopen(f"{server.url}/v1/estimates/{each}/cancel", b"", timeout=60).close()


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small sample sets by name; `clouds` differ by a shift of 2 along the first of 4 columns, so W1 = 2."""
    folder = tmp_path_factory.mktemp("files")
    random = np.random.default_rng(7)
    cloud = random.normal(size=(3, 600, 4)).astype(np.float32)
    cloud[1, :, 0] += 2
    cloud[2, :, 1] += 0.2
    images = random.integers(0, 200, size=(2, 300, 8, 8), dtype=np.uint8)
    images[1, :, :4] //= 3
    holed = cloud[0].copy()
    holed[17, 2] = np.nan
    arrays = {
        "left": cloud[0], "right": cloud[1], "other": cloud[2], "narrow": cloud[1][:, :3],
        "holed": holed, "short": cloud[0][:60],
        "again": cloud[0][::-1], "wide": cloud[0] * np.float32([1, 3000, 1, 1]),
        "bright": images[0], "dark": images[1],
        "same": random.normal(size=(600, 4)).astype(np.float32),  # of the population of `left`
    }  # fmt: skip
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    np.savetxt(folder / "table.csv", cloud[0], delimiter=",", header="one,two,three,four", comments="")
    (folder / "text.npy").write_text("this is no array")
    return {path.stem: path for path in folder.iterdir()}


@pytest.fixture
def open_page(browser: Browser, server: ServerProcess) -> Iterator[OpenPage]:
    """open_page(address="/", width=..., color_scheme=..., expected=("404",)): a fresh profile on that address.

    At the end of the test no page may have met an error that is not expected, broken its own security policy, or asked
    another host for anything.
    """
    contexts = []
    found: list[str] = []

    def make(
        address: str = "/",
        *,
        base: str = server.url,
        width: int = 1200,
        height: int = 850,
        color_scheme: str = "light",
        expected: tuple[str, ...] = (),
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=color_scheme, reduced_motion="reduce",
            accept_downloads=True, permissions=["clipboard-read", "clipboard-write"],
        )  # fmt: skip
        contexts.append(context)
        page = context.new_page()
        host = urlsplit(base).netloc

        def on_console(message: str) -> None:
            if not any(text in message for text in expected):
                found.append(message)

        page.on("console", lambda entry: on_console(entry.text) if entry.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: on_console(str(error)))
        page.on(
            "request",
            lambda request: (
                None
                if urlsplit(request.url).netloc == host or request.url.startswith("blob:")
                else found.append(f"asked another host: {request.url}")
            ),
        )
        page.on("dialog", lambda dialog: dialog.accept())
        page.goto(base + address)
        return page

    yield make
    for context in contexts:
        context.close()
    assert not found
