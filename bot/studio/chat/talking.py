"""What happens when something is said in the tab Chat, or put right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from html import escape

import gradio as gr

from bot.studio.chat.chats import Chat, Reply, checked
from bot.studio.chat.desk import ChatDesk, Shown, Waits
from bot.studio.chat.layout import Layout
from bot.studio.chat.review import Review
from bot.studio.chat.screen import Screen, Updates, message_box, nothing_new
from bot.studio.chat.talks import How, Look, busy
from bot.studio.chat.view import fault_text, unplain
from bot.studio.visitors import visitor
from trainer.errors import RensheError
from trainer.language import say


class Talking:
    """Handlers; those that stream are generators.

    Args:
        desk: the chats and models.
        layout: the components.
        screen: shows chats.
        review: shows the examples that wait.
    """

    def __init__(self, desk: ChatDesk, layout: Layout, screen: Screen, review: Review) -> None:
        self._desk = desk
        self._ui = layout
        self._screen = screen
        self._review = review

    def say(
        self,
        secret: str,
        shown: Shown,
        keys: list[str],
        text: str,
        box: str,
        request: gr.Request,
    ) -> Updates:
        """Keep a message for :meth:`answer`; one that is refused goes back into the ``box``."""
        desk, back = self._desk, "\n".join(filter(None, [text, box]))
        try:
            text = checked(text)
            desk.visitors.ask(visitor(request))
            keys = desk.checked(keys)
            self._refuse_busy(shown)
            if not shown.chat:
                shown.chat = desk.chats.begin(secret, keys).id
            chat = desk.chats.say(secret, shown.chat, text)
            if chat.speakers != keys:
                chat = desk.chats.choose(secret, chat.id, keys)
        except RensheError as error:
            gr.Warning(fault_text(error))
            return {self._ui.message: back}
        return self._waiting(secret, shown, chat, keys)

    def suggested(
        self,
        secret: str,
        shown: Shown,
        keys: list[str],
        box: str,
        request: gr.Request,
        chosen: gr.SelectData,
    ) -> Updates:
        """Say one of the questions that are offered."""
        return self.say(secret, shown, keys, str(chosen.value["text"]), box, request)

    def answer(self, secret: str, shown: Shown, how: How) -> Iterator[Updates]:
        """Answer what was said or reworded last, if that still waits."""
        yield nothing_new()  # Gradio clears the outputs of a stream that yields nothing
        waits, shown.waits = shown.waits, None
        if waits is None:
            return
        try:
            chat = None if waits.stopped else self._desk.chats.open(secret, waits.chat)
        except RensheError:  # deleted meanwhile
            chat = None
        if chat is None:
            yield {self._ui.message: message_box(busy=False)}
        else:
            yield from self._answer(secret, shown, chat, waits.round, waits.keys, how)

    def retry(
        self,
        secret: str,
        shown: Shown,
        keys: list[str],
        how: How,
        number: int,
        request: gr.Request,
        asked: gr.RetryData,
    ) -> Iterator[Updates]:
        """Have one speaker answer anew."""
        try:
            self._desk.visitors.ask(visitor(request))
            key, place = self._screen.place(shown, number, asked)
            chat = self._desk.chats.open(secret, shown.chat)
            chat.round(place.round)
        except RensheError as error:
            gr.Warning(fault_text(error))
            yield self._screen.texts(shown, self._screen.chat(secret, shown, keys))
            return
        yield from self._answer(secret, shown, chat, place.round, [key], how.warmer())

    def edit(
        self,
        secret: str,
        shown: Shown,
        keys: list[str],
        number: int,
        request: gr.Request,
        edited: gr.EditData,
    ) -> Updates:
        """Reword a message for :meth:`answer`; or put a reply right."""
        text, former = unplain(str(edited.value)), unplain(str(edited.previous_value))
        try:
            key, place = self._screen.place(shown, number, edited)
            if place.role == "note" or text.strip() == former.strip():
                return nothing_new()
            if place.role == "assistant":
                chat = self._desk.chats.open(secret, shown.chat)
                return self._put_right(secret, shown, chat, place.round, key, text)
            self._desk.visitors.ask(visitor(request))
            self._refuse_busy(shown)
            keys = self._desk.checked(keys)
            chat = self._desk.chats.reword(secret, shown.chat, place.round, text)
        except RensheError as error:
            gr.Warning(fault_text(error))
            return self._screen.columns(shown, self._screen.chat(secret, shown, keys))
        if chat.id != shown.chat:
            gr.Info(say(zh="原来的对话还在列表里", en="the chat as it was is still in the list"))
            shown.chat = chat.id
        return self._waiting(secret, shown, chat, keys)

    def undo(self, secret: str, shown: Shown, text: str) -> Updates:
        """Take the last message back, into the box in which it was written."""
        try:
            self._refuse_busy(shown)
            last = self._screen.last(shown, self._desk.chats.open(secret, shown.chat))
            chat = self._desk.chats.undo(secret, shown.chat, last.id)
        except RensheError as error:
            gr.Warning(fault_text(error))
            return self._screen.columns(shown, self._screen.chat(secret, shown, []))
        box = "\n".join(filter(None, [last.user, text]))
        return {self._ui.message: box, **self._screen.columns(shown, chat)}

    def stop(self, shown: Shown) -> None:
        """End what grows in the chat that is shown, or is about to."""
        if shown.waits and shown.waits.chat == shown.chat:
            shown.waits = replace(shown.waits, stopped=True)
        self._desk.talks.stop(shown.chat)

    def dislike(self, secret: str, shown: Shown, number: int, liked: gr.LikeData) -> Updates:
        """Ask what a reply should have been."""
        ui = self._ui
        try:
            key, place = self._screen.place(shown, number, liked)
            one = self._desk.chats.open(secret, shown.chat).round(place.round)
        except RensheError as error:
            gr.Warning(fault_text(error))
            return self._screen.columns(shown, self._screen.chat(secret, shown, []))
        if liked.liked is not False or key not in one.replies:
            return {ui.correcting: gr.Column(visible=False)}
        reply = one.replies[key].text
        you, it = say(zh="你", en="you"), escape(self._desk.name(key))
        quoted = f"<b>{you}</b> {escape(one.user)}<br><b>{it}</b> {escape(reply)}"
        return {
            ui.correcting: gr.Column(visible=True),
            ui.wrong: (place.round, key),
            ui.wrong_text: f"<div class='quoted'>{quoted}</div>",
            ui.right: gr.Textbox(reply, autofocus=True),
        }

    def put_right(self, secret: str, shown: Shown, wrong: tuple[str, str], right: str) -> Updates:
        """Note what a reply should have been."""
        try:
            chat = self._desk.chats.open(secret, shown.chat)
            hidden = {self._ui.correcting: gr.Column(visible=False)}
            return self._put_right(secret, shown, chat, *wrong, right) | hidden
        except RensheError as error:
            gr.Warning(fault_text(error))
            return nothing_new()  # what was typed stays

    def _put_right(
        self, secret: str, shown: Shown, chat: Chat, at: str, key: str, right: str
    ) -> Updates:
        self._desk.talks.refuse_busy(chat.id)  # what grows beside it would be kept over it
        chat = self._desk.put_right(secret, chat, at, key, right)
        gr.Info(
            say(
                zh="记下了：在下面的「等你过目的例子」里",
                en="noted: see “Examples to review” below",
            )
        )
        return self._screen.columns(shown, chat) | self._review.refreshed()

    def _refuse_busy(self, shown: Shown) -> None:
        """Refuse while a reply grows in the chat that is shown, or is about to.

        Raises:
            RensheError: one does.
        """
        if shown.waits:
            raise busy()
        self._desk.talks.refuse_busy(shown.chat)

    def _waiting(self, secret: str, shown: Shown, chat: Chat, keys: Sequence[str]) -> Updates:
        """Show a chat whose last message is to be answered."""
        shown.waits = Waits(chat.id, chat.rounds[-1].id, tuple(keys))
        return {
            **self._screen.columns(shown, chat),
            **self._screen.list(secret, shown),
            self._ui.message: message_box(busy=True),
        }

    def _answer(
        self, secret: str, shown: Shown, chat: Chat, at: str, keys: Sequence[str], how: How
    ) -> Iterator[Updates]:
        """Show replies as they grow, while it is their chat that is shown."""
        box, start = self._ui.message, Look({key: Reply() for key in keys})
        if shown.chat == chat.id:
            yield {**self._screen.texts(shown, chat, at, start), box: message_box(busy=True)}
        try:
            for look in self._desk.talks.answer(secret, chat, at, keys, how):
                if shown.chat == chat.id:
                    yield self._screen.texts(shown, chat, at, look)
        except RensheError as error:
            gr.Warning(fault_text(error))
        if shown.chat == chat.id:
            now = self._screen.chat(secret, shown, [])
            yield {**self._screen.texts(shown, now), box: message_box(busy=False)}
