"""The persona as a form: what each field shows of a file, and what an edit of it means.

A list is one member a line, which anyone can write; a line break inside a member shows as
``↵``. Fields are read from the tree and not from a finished persona, so the form works
while something else in the file is still wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from bot.studio.persona.edit import Change
from bot.studio.persona.pasted import Line, speech, written
from trainer.strict_yaml import Document, Loc

BREAK = "↵"
"""Stands for a line break inside a member of a list."""

TEXTS: dict[str, Loc] = {
    "name": ("name",),
    "language": ("language",),
    "summary": ("summary",),
    "greeting": ("greeting",),
}
LISTS: dict[str, Loc] = {
    "aliases": ("aliases",),
    "first_person": ("voice", "first_person"),
    "habits": ("voice", "habits"),
    "avoid": ("voice", "avoid"),
    "leaks": ("leaks",),
    "fallback": ("fallback",),
}
FACT_TEXTS = {"fact_id": "id", "expect": "expect", "reject": "reject"}
FACT_LISTS = {"ask": "ask", "answer": "answer"}

OPTIONAL = frozenset({"greeting", "reject"})
"""Texts that are left out when they are empty."""


@dataclass(frozen=True)
class Fields:
    """What the form shows; every field is text.

    Attributes:
        fact_id, ask, answer, expect, reject: of the fact that is open.
        talk: the dialogue that is open, a line for each turn.
        lorebook: an entry a line: its keys, ``=`` and its content.
    """

    name: str = ""
    aliases: str = ""
    language: str = ""
    summary: str = ""
    greeting: str = ""
    first_person: str = ""
    habits: str = ""
    avoid: str = ""
    leaks: str = ""
    fallback: str = ""
    lorebook: str = ""
    fact_id: str = ""
    ask: str = ""
    answer: str = ""
    expect: str = ""
    reject: str = ""
    talk: str = ""


NAMES = tuple(field.name for field in fields(Fields))


def shown(document: Document, fact: int, talk: int) -> Fields:
    """Return what the form shows of a file, with one fact and one dialogue open.

    Args:
        document: the file's tree.
        fact: index of the fact; its fields are empty if there is none.
        talk: index of the dialogue, likewise.
    """
    values = {name: _text(document, *loc) for name, loc in TEXTS.items()}
    values |= {name: _joined(document, *loc) for name, loc in LISTS.items()}
    values |= {name: _text(document, "facts", fact, key) for name, key in FACT_TEXTS.items()}
    values |= {name: _joined(document, "facts", fact, key) for name, key in FACT_LISTS.items()}
    values["lorebook"] = "\n".join(_lore(document))
    values["talk"] = written(turns(document, talk))
    return Fields(**values)


def changes(document: Document, wanted: Fields, fact: int, talk: int) -> list[Change]:
    """Return what must change in a file so that the form shows ``wanted``.

    Args:
        document: the file's tree.
        wanted: the form as the user left it.
        fact: index of the fact that is open; one past the last makes a new one.
        talk: index of the dialogue that is open, likewise.
    """
    had = shown(document, fact, talk)
    made: list[Change] = []
    for name in NAMES:
        if lines(getattr(had, name)) != lines(getattr(wanted, name)):
            made += _change(document, name, getattr(wanted, name), fact, talk)
    return made


def lines(text: str) -> list[str]:
    """Return the members of a list that a field shows, blank lines left out."""
    return [line.strip().replace(BREAK, "\n").strip() for line in text.split("\n") if line.strip()]


def unshown(text: str) -> str:
    """Return a member of a list as its line in a field."""
    return text.strip().replace("\n", BREAK)


def turns(document: Document, talk: int) -> list[Line]:
    """Return the turns of a dialogue; none if there is no such dialogue."""
    found: list[Line] = []
    for turn in document.members("dialogues", talk):
        for speaker in ("user", "bot"):
            found += [Line(speaker, text) for _, text in document.texts(*turn, speaker)]
    return found


def talk_value(said: list[Line]) -> list[dict[str, str]]:
    """Return turns as the file has them."""
    return [{line.speaker: line.text} for line in said]


def facts_count(document: Document) -> int:
    """Return how many facts a file has."""
    return len(document.members("facts"))


def talks_count(document: Document) -> int:
    """Return how many dialogues a file has."""
    return len(document.members("dialogues"))


def new_fact(document: Document, name: str = "", ask: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a fact to begin with, under an id that is not taken."""
    taken = {text for fact in document.members("facts") for _, text in document.texts(*fact, "id")}
    base = name or "fact"
    number = 2 if name else len(taken) + 1
    chosen = name or f"{base}-{number}"
    while not chosen or chosen in taken:
        chosen = f"{base}-{number}"
        number += 1
    return {"id": chosen, "ask": list(ask), "answer": [], "expect": ""}


def _change(document: Document, name: str, text: str, fact: int, talk: int) -> Iterator[Change]:
    if name in TEXTS:
        yield Change(TEXTS[name], _value(name, text))
    elif name in LISTS:
        yield Change(LISTS[name], lines(text))
    elif name in FACT_TEXTS and document.node("facts", fact):
        yield Change(("facts", fact, FACT_TEXTS[name]), _value(name, text))
    elif name in FACT_LISTS and document.node("facts", fact):
        yield Change(("facts", fact, FACT_LISTS[name]), lines(text))
    elif name == "talk" and document.node("dialogues", talk):
        said = speech(text, {_text(document, "name"): "bot"})
        yield Change(("dialogues", talk), talk_value(said))
    elif name == "lorebook":
        yield Change(("lorebook",), [_entry(line) for line in lines(text)])


def _value(name: str, text: str) -> str | None:
    text = text.strip()
    return None if name in OPTIONAL and not text else text


def _text(document: Document, *loc: int | str) -> str:
    node = document.node(*loc)
    return node.text.strip() if node and node.items is None and node.entries is None else ""


def _joined(document: Document, *loc: int | str) -> str:
    return "\n".join(unshown(text) for _, text in document.texts(*loc))


def _lore(document: Document) -> Iterator[str]:
    for entry in document.members("lorebook"):
        keys = ", ".join(text for _, text in document.texts(*entry, "keys"))
        yield f"{keys} = {unshown(_text(document, *entry, 'content'))}"


def _entry(line: str) -> dict[str, Any]:
    keys, _, content = line.partition("=")
    words = keys.replace("，", ",").replace("、", ",").split(",")
    return {"keys": [word.strip() for word in words if word.strip()], "content": content.strip()}
