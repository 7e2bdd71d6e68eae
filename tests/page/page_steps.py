"""Which browser, and what a person does on the page; for the tests and for the screenshots."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome")
OpenPage = Callable[..., Page]
PATIENCE_MS = 60_000


def find_chromium() -> str | None:
    """The system's own browser: nothing is downloaded."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def zone(page: Page, side: str) -> Locator:
    """The place for the source or the target."""
    return page.get_by_role("region", name=side, exact=True)


def choose(page: Page, source: Path, target: Path) -> None:
    """Choose a file for each side, and wait until the server has both."""
    for side, path in (("Source", source), ("Target", target)):
        zone(page, side).locator("input[type=file]").set_input_files(path)
        expect(zone(page, side).get_by_role("button", name="Choose another")).to_be_visible(timeout=PATIENCE_MS)


def start(page: Page, critic: str = "affine", **more: str) -> str:
    """Press the button; returns the estimate's id."""
    page.get_by_label("Kind of critic").select_option(critic)
    for label, value in more.items():
        page.get_by_label(label.replace("_", " ")).select_option(value)
    page.get_by_role("button", name="Estimate the distance").click()
    expect(page).to_have_url(re.compile(r"#/estimates/est_\w+$"), timeout=PATIENCE_MS)
    return page.url.rsplit("/", 1)[1]


def result_of(page: Page) -> Locator:
    """The card of the result, once it is there."""
    card = page.locator(".result")
    expect(card).to_be_visible(timeout=PATIENCE_MS)
    return card


def alert(page: Page) -> Locator:
    return page.get_by_role("alert")


def serious_findings(page: Page) -> list[tuple[str, list[str]]]:
    """What axe finds that keeps people from using the page: rules, and the elements that break them."""
    serious = [each for each in Axe().run(page).response["violations"] if each["impact"] in ("serious", "critical")]
    return [
        (each["id"], [node["html"][:120] + " " + node["failureSummary"][:200] for node in each["nodes"][:3]])
        for each in serious
    ]
