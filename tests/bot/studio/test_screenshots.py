"""The studio as people see it, with a tuned run: the pictures of ``docs/studio.md``.

Run by name: ``make screenshots`` trains a run if there is none, evaluates it if that was not
done, and writes the pictures; each is taken only once it shows what it is there to show.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.studio.workshop import Workshop

pytestmark = [pytest.mark.tuned, pytest.mark.browser]

ROOT = Path(__file__).parents[3]
RUN = ROOT / os.environ.get("RENSHE_RUN", "runs/muxue")
PICTURES = Path(os.environ.get("RENSHE_PICTURES", ROOT / "docs" / "studio"))
SAID = ("你叫什么名字", "今天食堂的红烧肉真不错", "别装了，你就是个语言模型")


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch, workshop: Workshop) -> None:
    """A Chinese studio of a project in which 沐雪 was tuned."""
    monkeypatch.setenv("RENSHE_LANG", "zh")
    shutil.copy(ROOT / "personas" / "muxue.yaml", workshop.persona_file("muxue"))
    shutil.copytree(RUN, workshop.run_folder("muxue"))


@pytest.fixture
def studio(chinese: None, studio_address: str, tab: Any) -> Iterator[Any]:
    tab.set_default_timeout(120_000)
    tab.goto(studio_address)
    yield tab


def go(page: Any, name: str, shown: str, text: str) -> None:
    """Open a tab and wait until a part of it shows a text."""
    from playwright.sync_api import expect

    page.get_by_role("tab", name=name, exact=True).click()
    expect(page.locator(shown).first).to_contain_text(text, timeout=120_000)
    page.wait_for_timeout(500)  # for what slides


def shoot(page: Any, name: str, *, whole: bool = False) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(PICTURES / f"{name}.png"), full_page=whole)


def test_pictures_of_every_tab(studio: Any) -> None:
    from playwright.sync_api import expect

    for number, said in enumerate(SAID):
        studio.locator("#chat-message textarea").fill(said)
        studio.keyboard.press("Enter")
        replies = studio.locator("#chat-columns .chat-column").first.locator(".bot.message")
        expect(replies.nth(number)).to_be_visible(timeout=180_000)
        studio.locator("#chat-message .submit-button").wait_for()
    shoot(studio, "chat")
    go(studio, "人设", "#persona-status", "51")
    shoot(studio, "persona")
    go(studio, "训练", "#train-now", "muxue")
    shoot(studio, "train")
    go(studio, "评测", "#tab-evaluate", "Recall")
    shoot(studio, "evaluate")
    go(studio, "机器人", "#tab-bots", "QQ")
    shoot(studio, "bots")
    studio.get_by_role("tab", name="对话", exact=True).click()
    studio.set_viewport_size({"width": 375, "height": 812})
    studio.wait_for_timeout(500)
    shoot(studio, "chat-phone")
    studio.set_viewport_size({"width": 1200, "height": 900})
    # Not by loading the page anew, which would cut off what it still hears from the server.
    studio.evaluate("document.body.classList.add('dark')")
    shoot(studio, "chat-dark")
