"""One place of the table as HTML: what was said before, what was asked, and how it went.

A share tells how often a fact is lost; only the dialogue tells why.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from bot.studio.evaluate.results import Results
from bot.studio.evaluate.view import note
from trainer.chat import Message
from trainer.language import say
from trainer.persona import Persona
from trainer.probes import history_name
from trainer.report_facts import SIGNS, badge_class, replies_of
from trainer.retention_file import Cell, Reply
from trainer.wording import finds

SHOWN_ROUNDS = 2
"""Rounds before a question that are shown at once."""


def unpicked() -> str:
    """Return what stands in the place of a dialogue before one was chosen."""
    told = say(
        zh="点一个格子，看看当时是怎么聊的：前面说了什么、怎么问的、它答了什么、哪里对哪里错。",
        en="Click a place to read how it went: what was said before, what was asked, what it "
        "replied, and what was right or wrong about it.",
    )
    return f'<p class="lead">{escape(told)}</p>'


def dialogue(
    found: Results, cell: Cell, fact: str, before: Sequence[Message], fault: str = ""
) -> str:
    """Return all that was asked about a fact in one place, after what, and how it went.

    Args:
        found: the run's results.
        cell: the place.
        fact: the fact's id.
        before: what was said before.
        fault: why that cannot be told, if it cannot.
    """
    # A persona that was edited and trained again expects other things than those of then.
    persona = None if found.retention_is_old or found.card is None else found.card.persona
    said = note(fault) if fault else _before(before)
    asked = "".join(_fork(reply, persona) for reply in replies_of(cell, fact))
    where = _where(cell)
    fork = (
        say(zh="接着问，每个问法都从这里单独问起：", en="Then asked, each wording on its own:")
        if before
        else say(zh="每个问法单独问：", en="Asked, each wording on its own:")
    )
    return (
        f"<h3>{escape(fact)} <small>{escape(where)}</small></h3>{said}"
        f'<p class="fork">{escape(fork)}</p>{asked}'
    )


def _where(cell: Cell) -> str:
    if not cell.depth:
        return say(zh="一上来就问", en="asked at once")
    name = history_name(cell.history)
    return say(zh=f"{name} {cell.depth} 轮以后", en=f"after {cell.depth} rounds of {name}")


def _before(messages: Sequence[Message]) -> str:
    """Return what was said before, all but the last rounds folded away."""
    bubbles = [_bubble(message.role, message.text, "dim") for message in messages]
    earlier = bubbles[: -2 * SHOWN_ROUNDS]
    if not earlier:
        return "".join(bubbles)
    count = len(earlier) // 2
    told = say(zh=f"更早的 {count} 轮", en=f"{count} rounds before")
    folded = f'<details class="earlier"><summary>{told}</summary>{"".join(earlier)}</details>'
    return folded + "".join(bubbles[len(earlier) :])


def _bubble(role: str, text: str, kind: str = "") -> str:
    shown = escape(text) or f"<i>{say(zh='（什么也没说）', en='(nothing)')}</i>"
    return f'<div class="bubble {role} {kind}">{shown}</div>'


def _fork(reply: Reply, persona: Persona | None) -> str:
    known = say(zh="教过的问法", en="taught") if reply.taught else say(zh="没教过的问法", en="new")
    verdict = f'<span class="v {badge_class(reply.verdict)}">{SIGNS[reply.verdict]}</span>'
    why = "".join(f"<li>{line}</li>" for line in _reasons(reply, persona))
    return (
        f'<div class="asked"><small>{escape(known)}</small>{_bubble("user", reply.question)}'
        f"{_bubble('assistant', reply.reply, badge_class(reply.verdict))}"
        f'<ul class="why"><li>{verdict} {escape(_verdict(reply))}</li>{why}</ul></div>'
    )


def _verdict(reply: Reply) -> str:
    if reply.leaked:
        return say(zh="露馅了：说了不该说的话", en="It leaked: it said what it must not")
    if reply.right and reply.taught:
        return say(zh="和写好的回答差不多", en="Nearly what was written")
    if reply.right:
        return say(zh="说到了该说的", en="It says what it must")
    if reply.contradicts:
        return say(zh="和事实相反", en="It contradicts the fact")
    if reply.taught:
        return say(zh="和写好的回答差得远", en="Far from what was written")
    return say(zh="没有说到该说的", en="It does not say what it must")


def _reasons(reply: Reply, persona: Persona | None) -> Iterator[str]:
    """Yield what was expected, as HTML: the written answer, and the patterns that judged."""
    written = say(zh="你写的", en="you wrote")
    yield f"{written}: {escape(reply.written)}"
    fact = next((f for f in persona.facts if f.id == reply.fact), None) if persona else None
    if persona is None or fact is None:
        return
    if not reply.taught:
        yield _pattern(say(zh="要说到", en="must say"), fact.expect)
    if reply.contradicts and fact.reject:
        yield _pattern(say(zh="不能说", en="must not say"), fact.reject)
    for pattern in persona.leaks if reply.leaked else ():
        if finds(pattern, reply.reply):
            yield _pattern(say(zh="露馅的词", en="gave it away"), pattern)


def _pattern(name: str, pattern: str) -> str:
    alternatives = escape(pattern).replace("|", "</code> / <code>")
    return f"{escape(name)}: <code>{alternatives}</code>"
