"""What the tab Chat shows of a chat, as new values of its components."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr

from bot.studio.chat.chats import Chat, Round
from bot.studio.chat.desk import ChatDesk, Shown
from bot.studio.chat.layout import Layout
from bot.studio.chat.talks import Look
from bot.studio.chat.view import Column, Place, column, fault_box, fault_text, plain
from trainer.errors import RensheError
from trainer.language import say

Updates = dict[Any, Any]
"""New values of components."""

QUESTIONS = 4
"""Example questions that are offered."""


class Screen:
    """Shows chats.

    Args:
        desk: whose chats they are.
        layout: the components.
    """

    def __init__(self, desk: ChatDesk, layout: Layout) -> None:
        self._desk = desk
        self._ui = layout

    def texts(self, shown: Shown, chat: Chat, at: str = "", look: Look | None = None) -> Updates:
        """Return what the columns of a chat say, as plain values.

        Gradio makes the schema of a component anew that is given as one, which takes it 30 ms.
        """
        shown.columns = [column(chat, key, at, look) for key in chat.speakers]
        return {bot: one.messages for bot, one in zip(self._ui.bots, shown.columns, strict=False)}

    def place(self, shown: Shown, number: int, event: gr.EventData) -> tuple[str, Place]:
        """Return which speaker's message an event is about, and what that message is.

        Raises:
            RensheError: the page shows something else by now.
        """
        index = event._data.get("index")
        one = shown.columns[number] if number < len(shown.columns) else None
        if one is None or not isinstance(index, int) or not 0 <= index < len(one.places):
            raise _changed()
        return one.key, one.places[index]

    def last(self, shown: Shown, chat: Chat) -> Round:
        """Return the last round of a chat, if that is what the page shows.

        Raises:
            RensheError: another tab has said more by now, or taken it back.
        """
        seen = {place.round for column in shown.columns for place in column.places}
        if not chat.rounds or chat.rounds[-1].id not in seen:
            raise _changed()
        return chat.rounds[-1]

    def chat(self, secret: str, shown: Shown, keys: Sequence[str]) -> Chat:
        """Return the chat that is shown; a new one with ``keys`` if it is none, or is gone."""
        chat = Chat(speakers=list(keys))
        if shown.chat:
            try:
                chat = self._desk.chats.open(secret, shown.chat)
            except RensheError as error:
                gr.Warning(fault_text(error))
                shown.chat = ""
        chat.speakers = chat.speakers or self._desk.first_speakers()
        return chat

    def whole(self, secret: str, shown: Shown, keys: Sequence[str]) -> Updates:
        ui, chat = self._ui, self.chat(secret, shown, keys)
        listed = self.list(secret, shown)
        choices = self._desk.choices(chat)
        told = self._desk.told()
        nobody = not choices and not self._desk.chats.listed(secret)
        return {
            **listed,
            ui.told: gr.HTML(fault_box(*told), visible=bool(told)),
            ui.empty: gr.Column(visible=nobody),
            ui.room: gr.Row(visible=not nobody),
            ui.speakers: gr.Dropdown(choices=choices, value=chat.speakers),
            ui.message: message_box(busy=self._desk.talks.is_answering(shown.chat)),
            **self.columns(shown, chat),
        }

    def list(self, secret: str, shown: Shown) -> Updates:
        ui, listed = self._ui, self._desk.chats.listed(secret)
        choices = [(plain(one.title) or "…", one.id) for one in listed]
        value = shown.chat or None
        return {
            ui.chats: gr.Radio(choices=choices, value=value, visible=bool(choices)),
            ui.delete: gr.Button(visible=bool(value)),
            ui.sure: gr.Row(visible=False),
        }

    def columns(self, shown: Shown, chat: Chat, at: str = "", look: Look | None = None) -> Updates:
        """Return a column for each who answers, with greeting and questions while it is empty."""
        shown.columns = [column(chat, key, at, look) for key in chat.speakers]
        updates: Updates = {}
        for index, bot in enumerate(self._ui.bots):
            if index < len(shown.columns):
                updates[bot] = self._bot(shown.columns[index], first=index == 0)
            else:
                updates[bot] = gr.Chatbot([], visible=index == 0)
        return updates

    def _bot(self, shown: Column, *, first: bool) -> gr.Chatbot:
        persona = self._desk.persona(shown.key)
        tuned = persona is not None and shown.key.startswith("tuned:")
        asks = [fact.ask[0] for fact in persona.facts[:QUESTIONS]] if persona and first else []
        return gr.Chatbot(
            shown.messages,  # type: ignore[arg-type]
            visible=True,
            label=self._desk.label(shown.key),
            placeholder=escape(persona.greeting or "") if persona and tuned else None,
            examples=[{"text": text} for text in asks],
        )


def _changed() -> RensheError:
    return RensheError(
        say(zh="页面已经变了，再点一次", en="the page has changed: try again"), code="changed"
    )


def nothing_new() -> Updates:
    """Return that all stays as it is."""
    return dict(gr.skip())


def message_box(*, busy: bool, **more: Any) -> gr.Textbox:
    """Return the box for messages with its button: to stop while a reply grows, else to send."""
    return gr.Textbox(submit_btn=not busy, stop_btn=busy, **more)
