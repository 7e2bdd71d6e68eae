"""Webhooks on the page: an address is added, tested, disabled and removed, and its log tells what was answered."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from page_steps import PATIENCE_MS, OpenPage, alert, serious_findings
from playwright.sync_api import Page, expect
from server_process import ServerProcess

pytestmark = pytest.mark.timeout(120)
LOOPBACK = {"WDIST_SERVER_WEBHOOK_PRIVATE": '["127.0.0.0/8"]'}


class Receiver(ThreadingHTTPServer):
    """Keeps what it is sent, and answers `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 204
        self.received: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Receiver)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("webhooks") / "data", environment=LOOPBACK) as running:
        yield running


def add(page: Page, url: str, description: str) -> str:
    """Add an address by the form, and open its page; returns the secret."""
    page.get_by_label("Address").fill(url)
    page.get_by_label("Description").fill(description)
    page.get_by_role("button", name="Add").click()
    secret = page.get_by_role("note", name="Secret").locator("code").inner_text()
    page.get_by_role("row", name=re.compile(description)).get_by_role("link").click()
    expect(page.get_by_role("heading", name=url)).to_be_visible()
    return secret


def test_an_address_is_added_tested_and_removed(open_page: OpenPage, server: ServerProcess, receiver: Receiver) -> None:
    page = open_page("/#/monitors", base=server.url, expected=("404",))  # of a poll under way when the webhook goes
    page.get_by_role("link", name="Send alarms to an address").click()
    page.get_by_label("monitor.update_failed").check()
    secret = add(page, receiver.url, "pager")
    assert secret.startswith("whsec_")
    expect(page.get_by_text("monitor.alarm_raised, monitor.alarm_cleared, monitor.update_failed")).to_be_visible()
    page.get_by_role("button", name="Send a test").click()
    line = page.locator("tr", has_text="webhook.ping")
    expect(line).to_contain_text(re.compile("done.*204"), timeout=PATIENCE_MS)
    headers, body = receiver.received[0]
    assert headers["webhook-signature"].startswith("v1,")
    assert json.loads(body)["type"] == "webhook.ping"
    page.get_by_role("button", name="New secret").click()  # the confirmation is accepted by open_page
    fresh = page.get_by_role("note", name="Secret").locator("code").inner_text()
    assert fresh.startswith("whsec_")
    assert fresh != secret
    page.get_by_role("button", name="Disable").click()
    expect(page.get_by_text("disabled", exact=True)).to_be_visible()
    page.get_by_role("button", name="Enable").click()
    expect(page.get_by_text("enabled", exact=True)).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Webhooks", exact=True)).to_be_visible()
    expect(page.get_by_text("pager")).to_have_count(0)


def test_the_log_says_why_a_delivery_failed_and_sends_it_again(
    open_page: OpenPage, server: ServerProcess, receiver: Receiver
) -> None:
    receiver.status = 500
    page = open_page("/#/webhooks", base=server.url)
    add(page, receiver.url, "failing")
    page.get_by_role("button", name="Send a test").click()
    line = page.locator("tr", has_text="webhook.ping")
    expect(line).to_contain_text("500", timeout=PATIENCE_MS)
    receiver.status = 200
    line.get_by_role("button", name="Send again").click()
    expect(line).to_contain_text(re.compile("done.*200"), timeout=PATIENCE_MS)
    ids = {headers["webhook-id"] for headers, _ in receiver.received}
    assert len(receiver.received) >= 2
    assert len(ids) == 1


def test_an_address_that_may_not_be_reached_is_refused_in_words(open_page: OpenPage, server: ServerProcess) -> None:
    page = open_page("/#/webhooks", base=server.url, expected=("422",))
    page.get_by_label("Address").fill("https://192.168.7.7/hook")
    page.get_by_role("button", name="Add").click()
    expect(alert(page)).to_contain_text("192.168.7.7")


def test_webhooks_are_for_administrators(open_page: OpenPage, tmp_path: Path) -> None:
    def key(role: str, headers: dict[str, str]) -> str:
        body = json.dumps({"role": role}).encode()
        all_headers = {"Content-Type": "application/json", **headers}
        with urllib.request.urlopen(urllib.request.Request(f"{own.url}/v1/api-keys", body, all_headers)) as answer:
            return str(json.load(answer)["secret"])

    with ServerProcess(tmp_path / "data", ["--workers", "0"]) as own:
        user = key("user", {"Authorization": f"Bearer {key('admin', {})}"})
        page = open_page("/#/webhooks", base=own.url, expected=("401", "403"))
        page.get_by_role("button", name="API key", exact=False).first.click()
        page.get_by_label("Key", exact=True).fill(user)
        page.get_by_role("button", name="Use this key").click()
        expect(page.locator("#main").get_by_role("alert")).to_contain_text("admin")


@pytest.mark.parametrize("color_scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_webhooks_are_accessible_and_fit_a_small_screen(
    open_page: OpenPage, server: ServerProcess, receiver: Receiver, color_scheme: str
) -> None:
    page = open_page("/#/webhooks", base=server.url, color_scheme=color_scheme, expected=("Trusted",))  # axe's own
    add(page, f"{receiver.url}/{'long-' * 20}", f"axe {color_scheme}")
    page.get_by_role("button", name="Send a test").click()
    expect(page.locator("tr", has_text="webhook.ping")).to_be_visible(timeout=PATIENCE_MS)
    one = page.url
    for address in (one, f"{server.url}/#/webhooks"):
        page.goto(address)
        expect(page.locator("tbody tr").first).to_be_visible()
        assert not serious_findings(page), address
        page.set_viewport_size({"width": 320, "height": 640})
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, address
        page.set_viewport_size({"width": 1200, "height": 850})
