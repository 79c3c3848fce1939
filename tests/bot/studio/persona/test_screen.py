"""What the Persona tab shows when the disk or the file does not play along."""

from __future__ import annotations

import gradio as gr
import pytest

from bot.studio import whole_file
from bot.studio.persona.page import PersonaPage
from bot.studio.persona.parts import Parts, build_parts
from bot.studio.persona.place import History, Place
from bot.studio.persona.screen import Screen
from bot.studio.workshop import Workshop
from trainer.templates import new_persona

TEXT = new_persona("Lin", "en")


@pytest.fixture
def screen(workshop: Workshop) -> Screen:
    with gr.Blocks():
        parts: Parts = build_parts(workshop)
    return Screen(PersonaPage(workshop), parts)


def test_a_full_disk_is_told_and_the_text_stays_on_the_page(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whole_file, "_replace", full)
    shown = screen.show(Place("lin"), TEXT, History((TEXT,)), "one")
    assert "No draft" in shown[screen.parts.status]
    assert "No space left on device" in shown[screen.parts.status]
    assert shown[screen.parts.code] == TEXT


def test_a_broken_text_locks_the_form_and_leaves_its_values(screen: Screen) -> None:
    shown = screen.show(Place("lin"), TEXT + "facts: [", History((TEXT,)), "one", code=False)
    fields = [shown[field] for field in screen.parts.form.inputs]
    assert all(update["interactive"] is False and "value" not in update for update in fields)
    assert "cannot be read" in shown[screen.parts.notice]
    assert screen.page.drafts.all("lin")[0].text == TEXT + "facts: ["


def test_a_file_that_is_deleted_meanwhile_is_told(screen: Screen, workshop: Workshop) -> None:
    screen.page.create("Lin", "en")
    place = screen.page.open("lin", "one").place
    workshop.persona_file("lin").unlink()
    shown = screen.show(place, TEXT + "# more", History((TEXT,)), "one")
    assert "changed elsewhere" in shown[screen.parts.status]
