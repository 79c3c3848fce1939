"""What of a chat a page shows: Gradio's messages, and what each of them is."""

from __future__ import annotations

import re
from html import escape
from typing import Any, Literal, NamedTuple

from bot.studio.chat.chats import Chat, Reply
from bot.studio.chat.talks import Look
from trainer.errors import Fault, RensheError
from trainer.guard import Counts
from trainer.language import say

Messages = list[dict[str, Any]]

_INVISIBLE = "\u2060"
_MARKUP = re.compile(r"<(?=[A-Za-z/!?])|&(?=#|\w+;)")


class Place(NamedTuple):
    """What a shown message is: a round's ``user`` or ``assistant``, or a ``note`` below it."""

    round: str
    role: Literal["user", "assistant", "note"]


class Column(NamedTuple):
    """What one speaker said, as messages, and the place of each."""

    key: str
    messages: Messages
    places: list[Place]


def column(chat: Chat, key: str, at: str = "", look: Look | None = None) -> Column:
    """Return what a speaker's column shows: the rounds that it answers.

    Args:
        chat: as it is on disk.
        key: the speaker.
        at: id of the round that is being answered.
        look: how far that one is.
    """
    shown = Column(key, [], [])
    for one in chat.rounds:
        live = look if one.id == at else None
        reply = live.replies.get(key) if live else None
        reply = reply or one.replies.get(key)
        if reply is None and chat.speakers and _is_answered(chat, one.id):
            continue  # it was not there then
        _put(shown, Place(one.id, "user"), one.user)
        if reply is not None:
            _put_reply(shown, one.id, reply, live.loading if live else "")
    return shown


def plain(text: str) -> str:
    """Return text that Gradio shows letter by letter.

    Even without Markdown it takes text for HTML. An invisible letter after what would begin
    a tag or an entity keeps it from that, and a copy still reads the same.
    """
    return _MARKUP.sub(rf"\g<0>{_INVISIBLE}", text)


def unplain(text: str) -> str:
    """Return what :func:`plain` was given, after a visitor edited it."""
    return text.replace(_INVISIBLE, "")


def note(reply: Reply) -> str:
    """Return what is to be noted of a reply: how it ended, and what the guard did for it."""
    ended = {
        "stopped": say(zh="停下了", en="stopped"),
        "cut": say(zh="没说完就断了", en="cut off"),
        "put-right": say(zh="改过了", en="put right"),
    }
    noted = [ended[reply.state]] if reply.state in ended else []
    if guarded := guard_notes(reply.counts):
        head = say(zh="露馅检查：", en="leak guard: ")
        noted.append(head + say(zh="，", en=", ").join(guarded))
    return " · ".join(noted)


def guard_notes(counts: Counts) -> list[str]:
    """Return what a guard did, a few words each."""
    done = [
        (counts.redrawn, say(zh="重说 {} 次", en="drawn again {}×")),
        (counts.replaced, say(zh="改说台词", en="fallback line")),
        (counts.shortened, say(zh="截短", en="cut short")),
        (counts.dropped, say(zh="旧对话 {} 轮没给它看", en="{} old rounds kept from it")),
    ]
    return [text.format(number) for number, text in done if number]


def fault_text(error: RensheError) -> str:
    """Return an error as a page's short message: its problems and fixes, without files' paths."""
    return "\n".join(_fault_lines(fault) for fault in error.faults)


def fault_box(*faults: Fault) -> str:
    """Return faults as a box of HTML; nothing without any."""
    if not faults:
        return ""
    lines = []
    for fault in faults:
        place = f"{fault.path.name}:{fault.line}" if fault.path and fault.line else ""
        place = f"<code>{escape(place)}</code> " if place else ""
        fix = f"<div class='fix'>→ {escape(fault.fix)}</div>" if fault.fix else ""
        lines.append(f"<li>{place}{escape(fault.problem)}{fix}</li>")
    return f"<ul class='faults' role='alert'>{''.join(lines)}</ul>"


def _fault_lines(fault: Fault) -> str:
    return f"{fault.problem}\n→ {fault.fix}" if fault.fix else fault.problem


def _is_answered(chat: Chat, at: str) -> bool:
    return bool(chat.round(at).replies)


def _put(shown: Column, place: Place, text: str, **more: Any) -> None:
    role = "user" if place.role == "user" else "assistant"
    shown.messages.append({"role": role, "content": plain(text), **more})
    shown.places.append(place)


def _put_reply(shown: Column, at: str, reply: Reply, loading: str) -> None:
    waiting = (loading or "…") if reply.state == "growing" else ""
    nothing = "" if reply.problem else say(zh="（没有回答）", en="(no reply)")
    _put(shown, Place(at, "assistant"), reply.text or waiting or nothing)
    if reply.problem:
        said = "\n".join(filter(None, [reply.text, f"⚠ {reply.problem}"]))
        shown.messages[-1]["content"] = plain(said)
    if reply.state != "growing" and (noted := note(reply)):
        _put(
            shown, Place(at, "note"), _explained(reply), metadata={"title": noted, "status": "done"}
        )


def _explained(reply: Reply) -> str:
    """Return what stands behind a note, for whoever opens it."""
    lines = []
    if reply.state == "stopped":
        lines.append(say(zh="你让它停下的。", en="You stopped it."))
    if reply.state == "cut":
        lines.append(
            say(
                zh="服务器停了，或者页面关了；点重试再说一遍。",
                en="The server stopped or the page was closed; retry to hear it again.",
            )
        )
    if reply.state == "put-right":
        lines.append(
            say(
                zh="这是你写的；之后的对话都当它是这么说的。",
                en="You wrote this; the talk goes on as if it had been said.",
            )
        )
    if guard_notes(reply.counts):
        lines.append(
            say(
                zh="露馅检查挡下了会暴露底座的话（人设的 leaks）。",
                en="The leak guard held back words that betray the base (the persona's leaks).",
            )
        )
    return "\n".join(lines)
