"""The page on which anyone talks to a persona.

It must work where a bot does: on a machine without internet, for someone who was given
nothing but the address. So it loads nothing from elsewhere, greets first, and offers
questions to begin with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gradio as gr

from bot.engine import Engine
from trainer.chat import Message, Role
from trainer.language import Language, say, spoken, use
from trainer.persona import Persona

QUESTIONS = 6
"""Example questions that are offered."""

VISITORS = 4
"""Replies that grow at the same time; further visitors see their place in the queue."""

_TEXT_FONTS = ("system-ui", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC")
_EMOJI_FONTS = ("Apple Color Emoji", "Segoe UI Emoji", "Noto Color Emoji")

Turns = list[dict[str, Any]]
"""A conversation as Gradio keeps it: ``role``, ``content`` and more."""


def chat_page(engine: Engine) -> gr.ChatInterface:
    """Build the page, worded in the spoken language."""
    persona = engine.persona
    chatbot = gr.Chatbot(
        value=_opening(persona),
        placeholder=persona.greeting,  # shown once everything was cleared
        show_label=False,
        height="70vh",
        buttons=["copy"],
        layout="bubble",
    )
    textbox = gr.Textbox(
        placeholder=say(zh=f"对{persona.name}说点什么", en=f"Say something to {persona.name}"),
        submit_btn=True,
        stop_btn=True,
        autofocus=True,
    )
    return gr.ChatInterface(
        _answering(engine, spoken()),
        chatbot=chatbot,
        textbox=textbox,
        title=persona.name,
        examples=list(first_questions(persona)),
        concurrency_limit=VISITORS,
        analytics_enabled=False,
        cache_examples=False,
        api_name="chat",
        flagging_mode="never",
    )


def theme() -> gr.Theme:
    """Return Gradio's theme with the fonts of the visitor's own system, Chinese ones included."""
    return gr.themes.Soft(
        font=[*_TEXT_FONTS, *_EMOJI_FONTS, "sans-serif"],
        font_mono=["ui-monospace", "Consolas", "monospace"],
    )


def first_questions(persona: Persona) -> Sequence[str]:
    """Return questions to begin with: the first wordings of the first facts."""
    return tuple(fact.ask[0] for fact in persona.facts[:QUESTIONS])


def conversation(message: str, history: Turns) -> list[Message]:
    """Return what was said, in turns that begin with the user, and ``message`` last.

    The greeting is left out, because in training nobody was greeted first; so is a question
    that was never answered, since the model was never shown two in a row.
    """
    messages: list[Message] = []
    for turn in history:
        role: Role = "user" if turn["role"] == "user" else "assistant"
        text = _text(turn["content"])
        if messages and messages[-1].role == role == "user":
            messages.pop()
        if text and (messages[-1].role if messages else "assistant") != role:
            messages.append(Message(role, text))
    if messages and messages[-1].role == "user":
        messages.pop()
    return [*messages, Message("user", message)]


def _opening(persona: Persona) -> Any:
    if persona.greeting is None:
        return []
    options = [{"value": question} for question in first_questions(persona)]
    return [{"role": "assistant", "content": persona.greeting, "options": options}]


def _answering(engine: Engine, language: Language) -> Callable[[str, Turns], Iterator[str]]:
    """Return what Gradio calls for each message; it runs in a thread of its own."""

    def answer(message: str, history: Turns) -> Iterator[str]:
        use(language)
        if not message.strip():
            gr.Info(say(zh="说点什么吧", en="Say something"))
            return
        reply = ""
        for reply in engine.stream(conversation(message.strip(), history)):
            yield reply
        if not reply:
            gr.Info(say(zh="它没有回答", en="There was no reply"))

    return answer


def _text(content: Any) -> str:
    """Return the text of a turn: Gradio keeps a string, or a list of parts."""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content if isinstance(part, dict))
