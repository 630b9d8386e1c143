"""Headless Chromium for pages: one browser a session, one context a page, no network."""

import os
import shutil
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def chromium():
    """A browser that is on the machine already; nothing is downloaded."""
    playwright = pytest.importorskip("playwright.sync_api")
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"needs one of {', '.join(NAMES)} on the PATH")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """``open_page(path, **context_options)`` gives the page and the list of its problems.

    Problems are console errors, uncaught errors and requests for anything but the file
    itself; they are still added while the page is used.
    """
    contexts = []

    def open_file(path, **options):
        context = chromium.new_context(**{"offline": True} | options)
        contexts.append(context)
        page, problems, url = context.new_page(), [], Path(path).resolve().as_uri()
        page.on("pageerror", lambda error: problems.append(f"uncaught: {error}"))
        page.on("console", lambda m: m.type == "error" and problems.append(f"error: {m.text}"))
        page.on("request", lambda r: _is_foreign(r.url, url) and problems.append(r.url))
        page.set_default_timeout(10_000)
        page.goto(url)
        return page, problems

    yield open_file
    for context in contexts:
        context.close()


def _is_foreign(url, own):
    return url != own and not url.startswith(("data:", "blob:"))


@pytest.fixture
def screenshot():
    """``screenshot(page, name)`` keeps a picture in the folder SCREENSHOTS, if that is set."""

    def take(page, name):
        if folder := os.environ.get("SCREENSHOTS"):
            page.wait_for_timeout(700)  # until everything has faded in
            page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)

    return take
