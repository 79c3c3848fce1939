"""Every tab on a phone: whatever it shows fits, or scrolls within itself."""

import shutil
from typing import Any

import pytest

pytest.importorskip("gradio")

from bot.studio.workshop import Workshop
from tests.bot.studio.runs import DORY, make_run, measure

TABS = {
    "Chat": "#chat-message",
    "Persona": "#persona-status",
    "Train": "#train-now",
    "Evaluate": "#tab-evaluate svg",
    "Bots": "#tab-bots",
}


@pytest.mark.browser
def test_no_tab_is_wider_than_a_phone(workshop: Workshop, studio_address: str, tab: Any) -> None:
    shutil.copy(DORY, workshop.persona_file("dory"))
    measure(make_run(workshop, "dory"))
    tab.set_viewport_size({"width": 375, "height": 812})
    tab.goto(studio_address)
    for name, shown in TABS.items():
        opener = tab.get_by_role("tab", name=name, exact=True)
        opener.wait_for()
        opener.click()
        tab.locator(shown).first.wait_for()
        tab.wait_for_timeout(1000)  # for what is laid out late
        width, room = tab.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width <= room == 375, f"{name} is {width} wide"
