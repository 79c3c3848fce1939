"""What a visitor's own browser keeps of a talk on the shared page, and what is shown of it.

Nothing that visitors say is kept on the server, so nobody can read what another said. What
a browser hands back is whatever somebody put there: it is read with care, and bounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, StringConstraints, TypeAdapter, ValidationError

from bot.studio.chat.chats import LONGEST
from bot.studio.chat.view import plain
from trainer.chat import Message
from trainer.language import say
from trainer.persona import Persona

MOST_ROUNDS = 50
"""Latest rounds that are kept."""

LONGEST_REPLY = 8000
"""Characters of a reply that are kept."""

QUESTIONS = 6
"""Example questions that are offered."""


class Said(BaseModel):
    """A round: what the visitor said, and what was answered so far; nothing when it was cut."""

    user: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST)]
    bot: Annotated[str, StringConstraints(max_length=LONGEST_REPLY)] = ""


_ROUNDS: TypeAdapter[list[Said]] = TypeAdapter(list[Said])


def remembered(kept: Any) -> list[Said]:
    """Return the rounds that a browser kept; none if it is anything else."""
    try:
        return _ROUNDS.validate_python(kept or [])[-MOST_ROUNDS:]
    except ValidationError:
        return []


def to_keep(rounds: Sequence[Said]) -> list[dict[str, str]]:
    """Return rounds as a browser keeps them."""
    return [one.model_dump() for one in rounds[-MOST_ROUNDS:]]


def conversation(rounds: Sequence[Said]) -> list[Message]:
    """Return what the last of ``rounds`` is to be answered with, in turns.

    A question that was never answered is left out, since the model was never shown two in a
    row; so is the greeting, because in training nobody was greeted first.
    """
    messages: list[Message] = []
    for one in rounds[:-1]:
        if one.bot:
            messages += [Message("user", one.user), Message("assistant", one.bot)]
    return [*messages, Message("user", rounds[-1].user)]


def first_questions(persona: Persona) -> Sequence[str]:
    """Return questions to begin with: the first wordings of the first facts."""
    return tuple(fact.ask[0] for fact in persona.facts[:QUESTIONS])


def shown(persona: Persona, rounds: Sequence[Said], *, growing: bool = False) -> Any:
    """Return what the page shows of a talk, in Gradio's messages."""
    messages: list[dict[str, Any]] = []
    if persona.greeting is not None:
        messages.append({"role": "assistant", "content": plain(persona.greeting)})
        if not rounds:
            options = [{"value": question} for question in first_questions(persona)]
            messages[0]["options"] = options
    for one in rounds:
        nothing = "…" if growing else say(zh="（没有回答）", en="(no reply)")
        messages.append({"role": "user", "content": plain(one.user)})
        messages.append({"role": "assistant", "content": plain(one.bot or nothing)})
    return messages
