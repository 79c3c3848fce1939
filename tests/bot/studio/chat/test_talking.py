"""What the tab Chat does with a message, where a browser would be too slow to come in between."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("gradio")

import gradio as gr

from bot.studio.chat.chats import new_secret
from bot.studio.chat.desk import ChatDesk, Shown
from bot.studio.chat.layout import Layout
from bot.studio.chat.review import Review
from bot.studio.chat.screen import Screen
from bot.studio.chat.talking import Talking
from bot.studio.chat.talks import How
from bot.studio.workshop import Workshop
from tests.bot.studio.scripted import Scripted, pretend

ME = new_secret()
REQUEST: Any = SimpleNamespace(
    client=SimpleNamespace(host="127.0.0.1"), session_hash="s", headers={}
)


@pytest.fixture
def desk(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> ChatDesk:
    models = Scripted(workshop, a="one two three", b="un deux trois")
    models.loaded = {"a", "b"}
    for run in ("a", "b"):
        pretend(workshop, run)
    monkeypatch.setattr("bot.studio.chat.desk.Models", lambda _workshop: models)
    return ChatDesk(workshop)


@pytest.fixture
def talking(desk: ChatDesk) -> Iterator[Talking]:
    with gr.Blocks() as page:
        with gr.Tabs(), gr.Tab("Chat") as tab:
            layout = Layout(tab)
        yield Talking(desk, layout, Screen(desk, layout), Review(desk))
    page.close(verbose=False)


def test_a_second_message_before_the_answer_to_the_first_goes_back_into_the_box(
    desk: ChatDesk, talking: Talking
) -> None:
    shown = Shown()
    talking.say(ME, shown, ["tuned:a"], "one", "", REQUEST)
    assert "two\nrest" in talking.say(ME, shown, ["tuned:a"], "two", "rest", REQUEST).values()
    list(talking.answer(ME, shown, How()))
    chat = desk.chats.open(ME, shown.chat)
    (only,) = chat.rounds
    assert only.user == "one" and only.replies["tuned:a"].text == "one two three"
    talking.say(ME, shown, ["tuned:a"], "two", "", REQUEST)
    list(talking.answer(ME, shown, How()))
    assert [one.user for one in desk.chats.open(ME, shown.chat).rounds] == ["one", "two"]


def test_stop_before_the_answer_begins_is_heard(desk: ChatDesk, talking: Talking) -> None:
    shown = Shown()
    talking.say(ME, shown, ["tuned:a"], "one", "", REQUEST)
    talking.stop(shown)
    *_, last = talking.answer(ME, shown, How())
    (box,) = last.values()
    assert box.submit_btn is True and box.stop_btn is False
    (only,) = desk.chats.open(ME, shown.chat).rounds
    assert only.replies == {} and shown.waits is None


def test_nothing_is_put_right_while_another_column_talks(desk: ChatDesk, talking: Talking) -> None:
    """What grows beside it would be kept over the correction when it ends."""
    shown = Shown()
    talking.say(ME, shown, ["tuned:a", "tuned:b"], "one", "", REQUEST)
    answer = talking.answer(ME, shown, How())
    next(answer), next(answer), next(answer)
    at = desk.chats.open(ME, shown.chat).rounds[0].id
    talking.put_right(ME, shown, (at, "tuned:a"), "right")
    list(answer)
    assert desk.chats.open(ME, shown.chat).rounds[0].replies["tuned:a"].text == "one two three"
    talking.put_right(ME, shown, (at, "tuned:a"), "right")
    assert desk.chats.open(ME, shown.chat).rounds[0].replies["tuned:a"].text == "right"


def test_undo_takes_back_only_what_the_page_shows(desk: ChatDesk, talking: Talking) -> None:
    shown, elsewhere = Shown(), Shown()
    talking.say(ME, shown, ["tuned:a"], "one", "", REQUEST)
    list(talking.answer(ME, shown, How()))
    elsewhere.chat = shown.chat
    talking.say(ME, elsewhere, ["tuned:a"], "two", "", REQUEST)
    list(talking.answer(ME, elsewhere, How()))
    talking.undo(ME, shown, "")
    assert [one.user for one in desk.chats.open(ME, shown.chat).rounds] == ["one", "two"]
    talking.undo(ME, elsewhere, "")
    talking.undo(ME, elsewhere, "")
    assert desk.chats.open(ME, shown.chat).rounds == []
    talking.undo(ME, shown, "")  # nothing is left, and nothing breaks
