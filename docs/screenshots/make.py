"""Draw the screenshots again: `.venv/bin/python docs/screenshots/make.py` (a minute; needs Chromium).

It starts a server of its own with an empty data directory, compares two cuts of diamonds, asks for a small matrix, and
watches orders whose price rises after eleven weeks.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from wdist_client import Client

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
        expect(page.locator(".gap-text")).to_be_visible(timeout=PATIENCE_MS)
        keep(page, "result")
        dark = opened(browser, f"{server.url}/#/estimates/{estimate}", "dark", width=400)
        expect(dark.locator(".gap-text")).to_be_visible(timeout=PATIENCE_MS)
        keep(dark, "small-dark", full_page=False)
        matrix(page, server.url, Path(folder))
        monitor(page, server.url)
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


def monitor(page: Page, url: str) -> None:
    random = np.random.default_rng(6)

    def orders(rows: int, rise: float = 0.0) -> pd.DataFrame:
        columns = {
            "price": random.normal(rise, 1, rows),
            "items": random.poisson(3, rows),
            "weight": random.gamma(2, 1, rows),
        }
        return pd.DataFrame(columns)

    with Client(url) as client:
        made = client.monitors.create(
            client.sample_sets.create(orders(3000), name="spring"), name="orders", tolerance=0.2, critic="affine"
        )
        for week in range(18):
            batch = client.sample_sets.create(orders(600, 0.12 * max(0, week - 10)), name=f"week {week + 1}")
            made.update(batch, at=str(date(2026, 6, 1) + timedelta(weeks=week)))
    page.goto(f"{url}/#/monitors/{made.id}")
    page.get_by_role("button", name="Show its most unusual rows").click()
    expect(page.get_by_role("region", name="Unusual target rows")).to_be_visible(timeout=PATIENCE_MS)
    page.evaluate("scrollTo(0, 0)")
    keep(page, "monitor", full_page=False, height=1500)


def keep(page: Page, name: str, *, full_page: bool = True, height: int | None = None) -> None:
    if height:
        page.set_viewport_size({"width": 1100, "height": height})
        page.wait_for_timeout(300)
    page.evaluate("document.activeElement.blur()")
    path = HERE / f"{name}.png"
    page.screenshot(path=path, full_page=full_page)
    Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)  # half the bytes


if __name__ == "__main__":
    main()
