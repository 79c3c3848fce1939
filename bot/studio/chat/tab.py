"""The tab Chat: talk to runs and bases side by side, and put right what they say."""

from __future__ import annotations

from typing import Any

import gradio as gr

from bot.studio.chat.chats import is_secret, new_secret
from bot.studio.chat.desk import ChatDesk, Shown
from bot.studio.chat.layout import CSS, Layout
from bot.studio.chat.review import Review
from bot.studio.chat.screen import Screen, Updates, nothing_new
from bot.studio.chat.speakers import Speaker
from bot.studio.chat.talking import Talking
from bot.studio.chat.talks import How
from bot.studio.chat.view import fault_text
from bot.studio.jobs import Jobs
from bot.studio.workshop import Workshop
from trainer.errors import RensheError
from trainer.language import say

__all__ = ["CSS", "build", "title"]

VISITORS = 16
"""Messages that are answered at the same time, in turns; further ones wait."""


def title() -> str:
    """Return what the tab is called."""
    return say(zh="对话", en="Chat")


def build(page: gr.Blocks, tab: gr.Tab, workshop: Workshop, jobs: Jobs, led: gr.State) -> None:
    """Build the tab."""
    desk = ChatDesk(workshop)
    layout = Layout(tab)
    _Handlers(desk, layout, Review(desk)).wire(page, tab, led)


class _Handlers:
    """What happens when something is clicked."""

    def __init__(self, desk: ChatDesk, layout: Layout, review: Review) -> None:
        self._desk = desk
        self._ui = layout
        self._review = review
        self._screen = Screen(desk, layout)
        self._talking = Talking(desk, layout, self._screen, review)

    def wire(self, page: gr.Blocks, tab: gr.Tab, led: gr.State) -> None:
        """Bind the handlers; those that stream share a limit."""
        ui, talking = self._ui, self._talking
        own: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        limit = {"concurrency_limit": VISITORS, "concurrency_id": "talks"}
        streams = {**own, **limit, "trigger_mode": "multiple"}
        own["concurrency_limit"] = None
        at_once = {**own, "trigger_mode": "multiple"}
        own_tab, whole = ui.outputs(), ui.outputs() + self._review.outputs()
        here = [ui.secret, ui.shown]
        answered, talk = [*here, ui.how], [*ui.bots, ui.message]
        settings: list[Any] = [ui.temperature, ui.top_p, ui.length, ui.guarded]
        changes = [setting.change for setting in settings]
        gr.on(changes, How, settings, ui.how, queue=False, **own)
        page.load(self.enter, [ui.secret], whole, **own)
        come = [*here, ui.speakers, self._review.which, led]
        tab.select(self.refresh, come, whole, **own)
        send = "(text) => [text, '']"
        ui.message.submit(
            None, [ui.message], [ui.sent, ui.message], js=send, trigger_mode="multiple"
        ).then(talking.say, [*here, ui.speakers, ui.sent, ui.message], own_tab, **at_once).then(
            talking.answer, answered, talk, **streams
        )
        ui.message.stop(talking.stop, [ui.shown], None, queue=False, **own)
        for index, bot in enumerate(ui.bots):
            number = gr.State(index)
            chosen = [*here, ui.speakers, ui.message]
            bot.example_select(talking.suggested, chosen, own_tab, **at_once).then(
                talking.answer, answered, talk, **streams
            )
            bot.retry(talking.retry, [*here, ui.speakers, ui.how, number], talk, **streams)
            # An edited reply with a note below it is two edits at once.
            bot.edit(talking.edit, [*here, ui.speakers, number], whole, **at_once).then(
                talking.answer, answered, talk, **streams
            )
            bot.undo(talking.undo, [*here, ui.message], own_tab, **own)
            bot.like(talking.dislike, [*here, number], own_tab, **own)
        right = [*here, ui.wrong, ui.right]
        gr.on([ui.keep.click, ui.right.submit], talking.put_right, right, whole, **own)
        ui.never_mind.click(lambda: gr.Column(visible=False), None, ui.correcting, **own)
        ui.speakers.input(self.choose, [*here, ui.speakers], own_tab, **own)
        ui.new.click(self.new, [*here, ui.speakers], own_tab, **own)
        ui.chats.input(self.open, [*here, ui.chats], own_tab, **own)
        ui.delete.click(lambda: _asking(ui, asked=True), None, [ui.delete, ui.sure], **own)
        ui.spare.click(lambda: _asking(ui, asked=False), None, [ui.delete, ui.sure], **own)
        ui.really.click(self.delete, [*here, ui.speakers], own_tab, **own)
        self._review.wire(own)

    def enter(self, secret: object) -> Updates:
        """Show the latest chat of a browser that comes, or comes back."""
        own = secret if isinstance(secret, str) and is_secret(secret) else new_secret()
        listed = self._desk.chats.listed(own)
        shown = Shown(listed[0].id if listed else "", entered=True)
        updates = {self._ui.secret: own, self._ui.shown: shown}
        return updates | self._screen.whole(own, shown, []) | self._review.refreshed()

    def refresh(
        self,
        secret: object,
        shown: Shown,
        keys: list[str],
        example: str | None,
        led: dict[str, str],
    ) -> Updates:
        """Show what other tabs have made meanwhile, and begin with the run they led here with."""
        if not isinstance(secret, str) or not shown.entered:
            return nothing_new()
        run = led.pop("chat", "")
        if run in self._desk.workshop.runs():
            shown.chat, keys = "", [Speaker("tuned", run).key]
        return self._screen.whole(secret, shown, keys) | self._review.refreshed(example, kept=True)

    def new(self, secret: str, shown: Shown, keys: list[str]) -> Updates:
        """Show an empty chat; it is kept from its first message on."""
        shown.chat = ""
        return self._screen.whole(secret, shown, keys) | self._uncorrected()

    def open(self, secret: str, shown: Shown, chat: str) -> Updates:
        """Show an earlier chat."""
        shown.chat = chat
        return self._screen.whole(secret, shown, []) | self._uncorrected()

    def delete(self, secret: str, shown: Shown, keys: list[str]) -> Updates:
        """Delete the chat that is shown."""
        self._desk.talks.stop(shown.chat)
        self._desk.chats.delete(secret, shown.chat)
        return self.new(secret, shown, keys)

    def choose(self, secret: str, shown: Shown, keys: list[str]) -> Updates:
        """Let others answer from here on."""
        try:
            if shown.chat and keys:
                self._desk.chats.choose(secret, shown.chat, self._desk.checked(keys))
        except RensheError as error:
            gr.Warning(fault_text(error))
        return self._screen.columns(shown, self._screen.chat(secret, shown, keys))

    def _uncorrected(self) -> Updates:
        """Put away what is asked about a reply of the former chat."""
        return {self._ui.correcting: gr.Column(visible=False)}


def _asking(ui: Layout, *, asked: bool) -> Updates:
    return {ui.delete: gr.Button(visible=not asked), ui.sure: gr.Row(visible=asked)}
