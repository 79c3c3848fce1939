"""A studio in an empty project, and a browser in which an error of the console fails the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio")

from bot.studio.app import css, studio_page
from bot.studio.jobs import Jobs
from bot.studio.page import theme
from bot.studio.serve import Door, serve
from bot.studio.workshop import Workshop

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """An empty project folder."""
    return Workshop(tmp_path)


@pytest.fixture
def jobs(workshop: Workshop) -> Iterator[Jobs]:
    jobs = Jobs(workshop)
    yield jobs
    for job in jobs.all():
        if job.state in ("waiting", "running"):
            jobs.stop(job.id)
    jobs.close()


@pytest.fixture
def studio_address(workshop: Workshop, jobs: Jobs) -> Iterator[str]:
    """The served studio of ``workshop``, in English (see the root conftest)."""
    page = studio_page(workshop, jobs)
    yield serve(page, Door(port=0), theme=theme(), css=css())
    page.close(verbose=False)


@pytest.fixture
def tab() -> Iterator[Any]:
    """A browser's tab, a Playwright page.

    The test fails on what the console complains of, and on requests that leave this machine.
    """
    sync_api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed")
    complaints: list[str] = []

    def heard(told: Any) -> None:
        if told.type in ("error", "warning"):
            complaints.append(told.text)

    def asked(request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            complaints.append(request.url)

    # A browser for each test: its loop must not be there when a coroutine test begins.
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = browser.new_page(viewport={"width": 1200, "height": 900}, locale="zh-CN")
        page.on("console", heard)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", asked)
        yield page
        browser.close()
    assert complaints == []
