"""Changes that a click makes to a persona, where a keystroke would not do.

Each takes a place and a text and returns both as they are afterwards.
"""

from __future__ import annotations

from dataclasses import replace

from bot.studio.persona.check import check_text
from bot.studio.persona.edit import Change, edited, sound
from bot.studio.persona.fields import lines, shown
from bot.studio.persona.page import with_dialogues, with_fact, without
from bot.studio.persona.pasted import Line
from bot.studio.persona.place import Place
from trainer.language import say
from trainer.talk import intents


def add_fact(place: Place, text: str) -> tuple[Place, str]:
    """Add an empty fact and open it."""
    text, index = with_fact(text)
    return replace(place, fact=index), text


def drop_fact(place: Place, text: str) -> tuple[Place, str]:
    """Delete the open fact."""
    return place, without(text, "facts", place.fact)


def drop_talk(place: Place, text: str) -> tuple[Place, str]:
    """Delete the open dialogue."""
    return place, without(text, "dialogues", place.talk)


def add_talk(place: Place, text: str) -> tuple[Place, str]:
    """Add a dialogue to be filled in and open it."""
    hello = [
        Line("user", say(zh="你好", en="Hello")),
        Line("bot", say(zh="……", en="...")),
    ]
    text, index = with_dialogues(text, [hello])
    return replace(place, talk=index), text


def pick_fact(place: Place, text: str, data: dict[str, str]) -> tuple[Place, str]:
    """Open the fact that was clicked."""
    return replace(place, fact=_number(data, place.fact)), text


def pick_talk(place: Place, text: str, data: dict[str, str]) -> tuple[Place, str]:
    """Open the dialogue that was clicked."""
    return replace(place, talk=_number(data, place.talk)), text


def add_wording(place: Place, text: str, data: dict[str, str]) -> tuple[Place, str]:
    """Add the wording that was clicked to the open fact."""
    document = sound(text)
    asked = lines(shown(document, place.fact, place.talk).ask)
    new = data.get("wording", "").strip()
    if not new or new in asked:
        return place, text
    return place, edited(text, [Change(("facts", place.fact, "ask"), [*asked, new])])


def add_missing(place: Place, text: str, data: dict[str, str]) -> tuple[Place, str]:
    """Begin a fact that answers the question that was clicked."""
    persona = check_text(text).persona
    known = intents(persona.language) if persona else ()
    for intent in known:
        if intent.name == data.get("intent"):
            text, index = with_fact(text, intent.name, intent.wordings[:4])
            return replace(place, fact=index), text
    return place, text


def _number(data: dict[str, str], former: int) -> int:
    value = data.get("fact", "")
    return int(value) if value.isdecimal() and len(value) < 7 else former
