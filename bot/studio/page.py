"""The page on which anyone talks to a persona.

It must work where a bot does: on a machine without internet, for someone who was given
nothing but the address. So it loads nothing from elsewhere, greets first, and offers
questions to begin with. What is said stays in the visitor's browser, also when the server
is stopped in the middle of a reply (:mod:`bot.studio.chat.remembered`).

The page takes text and nothing else: Gradio's own chat would take from the browser what is
shown, files and components included, so it is only ever written to here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from bot.config import Limits
from bot.engine import Engine
from bot.studio.chat.chats import LONGEST, checked
from bot.studio.chat.remembered import (
    LONGEST_REPLY,
    MOST_ROUNDS,
    Said,
    conversation,
    first_questions,
    remembered,
    shown,
    to_keep,
)
from bot.studio.chat.view import fault_text
from bot.studio.visitors import Visitors, visitor
from trainer.errors import RensheError
from trainer.language import say, spoken, use

VISITORS = 4
"""Replies that grow at the same time; further visitors see their place in the queue."""

CSS = """
.gradio-container { width: 100% !important; max-width: 860px !important;
  margin: 0 auto !important; }
#talk h1 { text-align: center; margin: 0.4rem 0; }
#talk-shown .message-content { white-space: pre-wrap; overflow-wrap: anywhere; }
"""

_TEXT_FONTS = ("system-ui", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC")
_EMOJI_FONTS = ("Apple Color Emoji", "Segoe UI Emoji", "Noto Color Emoji")

_KEPT = 1.0
"""Seconds after which a growing reply is handed to the browser's memory again."""

log = logging.getLogger(__name__)

Updates = dict[Any, Any]


def chat_page(engine: Engine, limits: Limits | None = None) -> gr.Blocks:
    """Build the page, worded in the spoken language.

    Args:
        engine: who answers.
        limits: how much a visitor may ask.
    """
    page = gr.Blocks(title=engine.persona.name, analytics_enabled=False)
    with page:
        _Page(engine, Visitors(limits)).wire(page)
    return page


def theme() -> gr.Theme:
    """Return Gradio's theme with the fonts of the visitor's own system, Chinese ones included."""
    return gr.themes.Soft(
        font=[*_TEXT_FONTS, *_EMOJI_FONTS, "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    )


@dataclass
class _Reply:
    """The reply that grows in one tab, if any; its visitor may stop it, or forget the talk."""

    grows: bool = False
    stopped: bool = False
    forgotten: bool = False


class _Page:
    """The components and what happens in them; handlers run in threads of Gradio's."""

    def __init__(self, engine: Engine, visitors: Visitors) -> None:
        self._engine = engine
        self._visitors = visitors
        self._language = spoken()
        name = engine.persona.name
        # A fixed key, so that the browser's memory outlives the server.
        key = f"renshe-{engine.persona.digest()[:12]}"
        self.kept = gr.BrowserState([], storage_key=key, secret="renshe")
        self.reply = gr.State(_Reply())
        gr.Markdown(f"# {name}", elem_id="talk")
        self.talk = self._chatbot()
        # What was sent leaves the box at once, in the browser, so that the next message can be
        # typed there and is not taken for sent when the server gets to it.
        self.sent = gr.Textbox(visible=False)
        self.message = gr.Textbox(
            placeholder=say(zh=f"对{name}说点什么", en=f"Say something to {name}"),
            show_label=False,
            lines=1,
            max_lines=6,
            max_length=LONGEST,
            submit_btn=True,
            autofocus=True,
        )

    def _chatbot(self) -> gr.Chatbot:
        persona = self._engine.persona
        asks = first_questions(persona) if persona.greeting is None else ()
        return gr.Chatbot(
            shown(persona, ()),
            show_label=False,
            height="calc(100dvh - 12rem)",
            buttons=["copy"],
            layout="bubble",
            render_markdown=False,
            allow_tags=False,
            latex_delimiters=[],
            examples=[{"text": question} for question in asks],
            elem_id="talk-shown",
        )

    def wire(self, page: gr.Blocks) -> None:
        """Bind the handlers; only ``/chat`` is there for programs."""
        own: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        grows = {
            **own,
            "concurrency_limit": VISITORS,
            "concurrency_id": "replies",
            "trigger_mode": "multiple",
            "show_progress": "minimal",  # the place in the queue
            "show_progress_on": [self.talk],
        }
        seen = [self.talk, self.kept, self.message]
        here = [self.kept, self.reply]
        page.load(self.enter, [self.kept], seen, **own)
        send = "(text) => [text, '']"
        self.message.submit(
            None, [self.message], [self.sent, self.message], js=send, trigger_mode="multiple"
        ).then(self.say, [*here, self.sent, self.message], seen, **grows)
        for asked in (self.talk.option_select, self.talk.example_select):
            asked(self.suggested, [*here, self.message], seen, **grows)
        self.talk.retry(self.retry, here, seen, **grows)
        self.talk.undo(self.undo, [*here, self.message], seen, **own)
        self.talk.clear(self.clear, here, seen, **own)
        self.message.stop(self.stop, [self.reply], None, queue=False, **own)
        self._wire_programs()

    def _wire_programs(self) -> None:
        """Let programs talk, each session with a history of its own."""
        hidden = gr.Button(visible=False)
        rounds, answer = gr.State([]), gr.Textbox(visible=False)
        hidden.click(
            self.answer_program,
            [self.sent, rounds],
            [answer, rounds],
            api_name="chat",
            concurrency_limit=VISITORS,
            concurrency_id="replies",
        )

    def enter(self, kept: Any) -> Updates:
        """Show what the browser kept; a message that was never answered goes back in the box."""
        use(self._language)
        rounds = remembered(kept)
        unanswered = rounds.pop().user if rounds and not rounds[-1].bot else None
        updates = self._seen(rounds)
        return updates if unanswered is None else {**updates, self.message: unanswered}

    def say(
        self, kept: Any, reply: _Reply, text: str, box: str, request: gr.Request
    ) -> Iterator[Updates]:
        """Answer a message; one that is refused goes back into the ``box``."""
        use(self._language)
        try:
            text = checked(text)
            self._admit(reply, request)
        except RensheError as error:
            gr.Warning(fault_text(error))
            yield {self.message: "\n".join(filter(None, [text, box]))}
            return
        yield from self._answer([*remembered(kept), Said(user=text)], reply)

    def suggested(
        self, kept: Any, reply: _Reply, box: str, request: gr.Request, chosen: gr.SelectData
    ) -> Iterator[Updates]:
        """Answer a question that was offered."""
        value = chosen.value
        text = str(value["text"] if isinstance(value, dict) else value)
        yield from self.say(kept, reply, text, box, request)

    def retry(self, kept: Any, reply: _Reply, request: gr.Request) -> Iterator[Updates]:
        """Answer the last message anew."""
        use(self._language)
        rounds = remembered(kept)
        try:
            self._admit(reply, request)
        except RensheError as error:
            gr.Warning(fault_text(error))
            yield self._seen(rounds)
            return
        if not rounds:  # only the greeting is there
            yield self._seen(rounds)
            return
        yield from self._answer([*rounds[:-1], Said(user=rounds[-1].user)], reply)

    def undo(self, kept: Any, reply: _Reply, box: str) -> Updates:
        """Take the last round back, into the box in which it was written."""
        use(self._language)
        rounds = remembered(kept)
        if not rounds or reply.grows:
            return self._seen(rounds)
        text = "\n".join(filter(None, [rounds.pop().user, box]))
        return {**self._seen(rounds), self.message: text}

    def clear(self, kept: Any, reply: _Reply) -> Updates:
        """Forget all that was said."""
        use(self._language)
        reply.stopped = reply.forgotten = True
        return self._seen([])

    def stop(self, reply: _Reply) -> None:
        """End the reply at its next word; what was said stays."""
        reply.stopped = True

    def answer_program(
        self, message: str, rounds: list[Said], request: gr.Request
    ) -> Iterator[tuple[str, list[Said]]]:
        """Answer a program, which sees the reply grow."""
        use(self._language)
        try:
            self._visitors.ask(visitor(request))
            said = [*rounds, Said(user=checked(message))]
        except RensheError as error:
            raise gr.Error(fault_text(error), print_exception=False) from None
        reply = ""
        yield reply, rounds
        for reply in self._engine.stream(conversation(said)):
            yield reply, rounds
        said[-1].bot = reply[:LONGEST_REPLY]
        yield reply, said[-MOST_ROUNDS:]

    def _admit(self, reply: _Reply, request: gr.Request) -> None:
        """Count a message.

        Raises:
            RensheError: it is one too many, or the last one is still being answered.
        """
        if reply.grows:
            raise RensheError(
                say(zh="还在回答上一句", en="the last message is still being answered"),
                fix=say(zh="等一等，或先停下", en="wait for it, or stop it first"),
                code="busy",
            )
        self._visitors.ask(visitor(request))

    def _answer(self, rounds: list[Said], reply: _Reply) -> Iterator[Updates]:
        """Let the reply grow, and hand it to the browser's memory before and as it grows."""
        reply.grows, reply.stopped, reply.forgotten = True, False, False
        try:
            yield {**self._seen(rounds, growing=True), self.message: _box(growing=True)}
            yield from self._grow(rounds, reply)
        except Exception:
            log.exception("no reply")
            gr.Warning(
                say(zh="它现在说不了话，过一会儿再试", en="it cannot answer just now: try later")
            )
        finally:
            reply.grows = False
        # Once more after it was cleared: a word that was on its way may have come later.
        seen = self._seen([] if reply.forgotten else rounds)
        yield {**seen, self.message: _box(growing=False)}

    def _grow(self, rounds: list[Said], reply: _Reply) -> Iterator[Updates]:
        kept = time.monotonic()
        for text in self._engine.stream(conversation(rounds)):
            if reply.stopped:
                return
            rounds[-1].bot = text[:LONGEST_REPLY]
            updates = self._seen(rounds, growing=True)
            if time.monotonic() - kept < _KEPT:
                del updates[self.kept]
            else:
                kept = time.monotonic()
            yield updates

    def _seen(self, rounds: Sequence[Said], *, growing: bool = False) -> Updates:
        return {
            self.talk: shown(self._engine.persona, rounds, growing=growing),
            self.kept: to_keep(rounds),
        }


def _box(*, growing: bool) -> gr.Textbox:
    return gr.Textbox(submit_btn=not growing, stop_btn=growing)
