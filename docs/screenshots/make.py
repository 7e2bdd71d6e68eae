"""Draw the screenshots again: `.venv/bin/python docs/screenshots/make.py` (a minute; needs Chromium).

It starts a server of its own with an empty data directory, compares two cuts of diamonds, and asks for a small matrix.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "page")]

from page_steps import ARGUMENTS, PATIENCE_MS, choose, find_chromium, result_of, start  # noqa: E402
from server_process import ServerProcess  # noqa: E402

DIAMONDS = ROOT / "examples" / "diamonds"
WEEK = {"Monday": 0.0, "Tuesday": 0.3, "Wednesday": 0.2, "Thursday": 0.5, "Saturday": 1.8, "Sunday": 2.3}


def main() -> None:
    chromium = find_chromium()
    if chromium is None:
        sys.exit("no Chromium on this machine; apt-get install chromium")
    with (
        tempfile.TemporaryDirectory() as folder,
        ServerProcess(Path(folder) / "data") as server,
        sync_playwright() as run,
    ):
        browser = run.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        page = opened(browser, server.url, "light")
        keep(page, "start")
        choose(page, DIAMONDS / "very_good.npy", DIAMONDS / "premium.npy")
        page.get_by_label("Units of the distance").select_option("standardize")
        estimate = start(page, "auto", Training_time="5")
        result_of(page)
        expect(page.locator(".hill.source")).to_be_visible(timeout=PATIENCE_MS)
        keep(page, "result")
        dark = opened(browser, f"{server.url}/#/estimates/{estimate}", "dark", width=400)
        expect(dark.locator(".hill.source")).to_be_visible(timeout=PATIENCE_MS)
        keep(dark, "small-dark", full_page=False)
        matrix(page, server.url, Path(folder))
        browser.close()


def opened(browser: Browser, address: str, color_scheme: str, width: int = 1100) -> Page:
    page = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=color_scheme).new_page()
    page.goto(address)
    expect(page.locator("h1")).to_be_visible()
    page.wait_for_load_state("networkidle")
    return page


def matrix(page: Page, url: str, folder: Path) -> None:
    random = np.random.default_rng(5)
    for day, shift in WEEK.items():
        np.save(
            folder / f"{day}.npy",
            (random.normal(size=(800, 4)) + np.array([shift, 0, shift / 3, 0])).astype(np.float32),
        )
    page.goto(f"{url}/#/matrix")
    page.get_by_role("region", name="Files").locator("input").set_input_files([folder / f"{day}.npy" for day in WEEK])
    expect(page.get_by_text("800 rows of 4 numbers")).to_have_count(len(WEEK), timeout=PATIENCE_MS)
    page.get_by_label("Kind of critic").select_option("affine")
    page.get_by_role("button", name="Estimate all pairs").click()
    expect(page.get_by_text("15 of 15 pairs done")).to_be_visible(timeout=3 * PATIENCE_MS)
    keep(page, "matrix")


def keep(page: Page, name: str, *, full_page: bool = True) -> None:
    page.evaluate("document.activeElement.blur()")
    path = HERE / f"{name}.png"
    page.screenshot(path=path, full_page=full_page)
    Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)  # half the bytes


if __name__ == "__main__":
    main()
