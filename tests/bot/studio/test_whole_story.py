"""From an empty project to talking to a tuned persona, on the real base, as a newcomer does it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from bot.studio.jobs import Jobs
from bot.studio.workshop import Workshop
from trainer.bases import EMBEDDED
from trainer.persona import load_persona

STEPS = 8
"""Enough for the three facts of the template."""


@pytest.mark.base
@pytest.mark.browser
@pytest.mark.skipif(EMBEDDED[0].paths() is None, reason="the base tiny is not installed")
def test_someone_without_a_terminal_writes_tunes_and_talks(
    studio_address: str, tab: Any, workshop: Workshop, jobs: Jobs
) -> None:
    from playwright.sync_api import expect

    tab.set_default_timeout(60_000)
    tab.goto(studio_address)
    tab.get_by_role("button", name="Write a persona").click()
    tab.locator("#persona-new-name textarea, #persona-new-name input").fill("Lin")
    tab.locator("#persona-create").click()
    expect(tab.locator("#persona-status")).to_contain_text("ready to train", timeout=60_000)

    tab.get_by_role("tab", name="Train", exact=True).click()
    expect(tab.get_by_label("Name of the run")).to_have_value("lin-1", timeout=60_000)
    tab.get_by_role("radio", name="tiny").check()
    tab.get_by_role("button", name="More settings").click()
    tab.locator("#train-steps textarea, #train-steps input").fill(str(STEPS))
    tab.get_by_role("button", name="Start", exact=True).click()
    expect(tab.locator("#train-now")).to_contain_text("lin-1", timeout=60_000)
    expect(tab.locator("#train-now")).to_contain_text("done", timeout=600_000)
    assert [job.state for job in jobs.all()] == ["done"]

    tab.get_by_role("tab", name="Chat", exact=True).click()
    fact = load_persona(workshop.persona_file("lin")).facts[0]
    expect(tab.locator("#chat-speakers")).to_contain_text("lin-1", timeout=60_000)
    tab.locator("#chat-message textarea").fill(fact.ask[0])
    tab.keyboard.press("Enter")
    reply = tab.locator("#chat-columns .bot.message").last
    # First it says that the model gets ready; then the reply grows until it is as written.
    written = re.compile("|".join(re.escape(answer) for answer in fact.answer))
    expect(reply).to_contain_text(written, timeout=180_000)
