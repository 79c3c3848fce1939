"""Dialogues that were written somewhere else: pasted, and read line by line.

People keep conversations as ``A: … / B: …``, as a copy out of QQ, WeChat or Telegram with
names and times, or as a model's transcript. Who of them is the persona only the person
who pastes knows; so this finds the speakers and what they said, and asks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from trainer.language import say

Speaker = Literal["user", "bot"]

NAME_LENGTH = 32
"""Characters in a speaker's name at most; a longer text before a colon is a sentence."""

_USER = ("user", "human", "me", "you", "我", "对方", "用户", "问", "q", "客人", "旅人")
_BOT = ("bot", "assistant", "ai", "model", "char", "她", "他", "它", "答", "a", "角色", "助手")

# Runs of white space are matched possessively (``*+``): else a line of a hundred blanks would
# be divided among them in every way, for minutes.
_TIME = (
    r"(?:\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}日?|\d{1,2}[-/.月]\d{1,2}日?(?:[-/.]\d{2,4})?)?"
    r"[\sT,，]*+(?:上午|下午|凌晨|早上|晚上|中午)?\s*+\d{1,2}:\d{2}(?::\d{2})?(?:\s*+[AaPp][Mm])?"
)
# Telegram: [12.03.24 21:05] Name: text; WhatsApp: 12/03/2024, 21:05 - Name: text
_STAMPED = re.compile(rf"^[\[(【]?\s*+{_TIME}\s*+[\])】]?\s*+[-–—]?\s*+(?P<rest>\S.*)?$")
# QQ: "Name 2024/3/12 21:05:33" or "Name(12345678) 21:05:33", the text on the next lines
_HEADED = re.compile(
    rf"^(?P<name>\S.{{0,{NAME_LENGTH - 1}}}?)(?:\s*+[(<（][^()<>（）]{{1,64}}[)>）])?"
    rf"[\s,，]++[\[(（【]?{_TIME}[\])）】]?\s*+[:：]?\s*+$"
)
_NAMED = re.compile(
    rf"^(?P<name>[^\s:：][^:：\n]{{0,{NAME_LENGTH - 1}}}?)\s*+[:：]\s*(?P<said>.*)$"
)
_BULLET = re.compile(r"^(?:[-*•>]+\s+|\*\*(?=[^*]+[:：]?\*\*))")
_BOLD = re.compile(r"^\*\*(?P<name>[^*:：]{1,32})\s*[:：]?\s*\*\*\s*[:：]?\s*(?P<said>.*)$")


@dataclass(frozen=True)
class Line:
    """One thing that somebody said.

    Attributes:
        speaker: a name, or ``user`` and ``bot`` once it is known who is who.
        text: what was said; further lines of it follow line breaks.
    """

    speaker: str
    text: str


@dataclass(frozen=True)
class Pasted:
    """What was read of a pasted text.

    Attributes:
        talks: the conversations, parted by blank or ruled lines where speakers are named.
        unread: lines before anybody was named.
    """

    talks: tuple[tuple[Line, ...], ...]
    unread: tuple[str, ...]

    @property
    def speakers(self) -> dict[str, int]:
        """Each speaker and how often they speak, in order of appearance."""
        return dict(Counter(line.speaker for talk in self.talks for line in talk))


def read_pasted(text: str) -> Pasted:
    """Read a pasted text; never fails, what cannot be read is in ``unread``."""
    unread: list[str] = []
    talks: list[list[Line]] = [[]]
    blank = False
    for raw in text.replace("\r", "\n").split("\n"):
        row = raw.strip().lstrip("\ufeff").strip()
        if not row or re.fullmatch(r"[-=*_—~]{3,}", row):
            ruled = bool(row)
            blank = blank or not row
            if ruled and talks[-1]:
                talks.append([])
            continue
        found = _speaker(row)
        if found is not None:
            if blank and _ends(talks[-1], found[0]):
                talks.append([])
            talks[-1].append(Line(*found))
        elif talks[-1]:
            last = talks[-1][-1]
            talks[-1][-1] = Line(last.speaker, f"{last.text}\n{row}".strip("\n"))
        else:
            unread.append(row)
        blank = False
    merged = [tuple(_merged(talk)) for talk in talks]
    return Pasted(tuple(talk for talk in merged if talk), tuple(unread))


def guess_bot(speakers: Sequence[str], names: Sequence[str]) -> str | None:
    """Return which speaker is most likely the persona.

    Args:
        speakers: in order of appearance.
        names: the persona's name and aliases.
    """
    known = [name.casefold() for name in names]
    for speaker in speakers:
        if speaker.casefold() in known:
            return speaker
    for speaker in speakers:
        if speaker.casefold() in _BOT and not (speaker.casefold() == "a" and "B" in speakers):
            return speaker
    others = [speaker for speaker in speakers if speaker.casefold() not in _USER]
    if len(others) == 1:
        return others[0]
    return speakers[1] if len(speakers) > 1 else None


def as_dialogues(pasted: Pasted, bot: str) -> list[list[Line]]:
    """Return conversations as a persona has them: user begins, bot ends, in turns.

    Everybody who is not ``bot`` is the user. What one says in a row becomes one turn, what
    the bot says before anybody spoke and what nobody answered is left out.
    """
    dialogues: list[list[Line]] = []
    for talk in pasted.talks:
        said = [Line("bot" if line.speaker == bot else "user", line.text) for line in talk]
        turns = list(_merged(said))
        while turns and turns[0].speaker == "bot":
            turns.pop(0)
        while turns and turns[-1].speaker == "user":
            turns.pop()
        if turns:
            dialogues.append(turns)
    return dialogues


def speech(text: str, names: Mapping[str, Speaker]) -> list[Line]:
    """Read a dialogue as its field shows it; the inverse of :func:`written`.

    Args:
        text: a turn a line, each with its speaker; lines without one go on.
        names: further names of the two.
    """
    known: dict[str, Speaker] = {name.casefold(): who for name, who in names.items()}
    known |= {name.casefold(): "user" for name in _USER}
    known |= {name.casefold(): "bot" for name in _BOT if name.casefold() not in known}
    said: list[Line] = []
    for row in text.split("\n"):
        found = _NAMED.match(row.strip())
        who = known.get(found["name"].strip().casefold()) if found else None
        if found and who:
            said.append(Line(who, found["said"].strip()))
        elif row.strip():
            last = said.pop() if said else Line("user", "")
            said.append(Line(last.speaker, f"{last.text}\n{row.strip()}".strip("\n")))
    return said


def written(said: Sequence[Line]) -> str:
    """Return a dialogue as its field shows it: a turn a line, the speaker before a colon."""
    return "\n".join(f"{label(line.speaker)}{line.text}" for line in said)


def label(speaker: str) -> str:
    """Return what stands before a turn; never the persona's name, which may be edited beside."""
    if speaker == "bot":
        return say(zh="它：", en="Bot: ")
    return say(zh="对方：", en="User: ")


def _speaker(row: str) -> tuple[str, str] | None:
    """Return who speaks in a line, and what; the text may be empty and follow below."""
    row = _BULLET.sub("", row) if not row.startswith("**") else row
    if bold := _BOLD.match(row):
        return bold["name"].strip(), bold["said"].strip()
    if headed := _HEADED.match(row):
        return headed["name"].strip(" :：[]【】"), ""
    if (stamped := _STAMPED.match(row)) and (rest := stamped["rest"]):
        row = rest
        if named := _NAMED.match(row):
            return named["name"].strip(), named["said"].strip()
        # A time alone, then a name alone: the text is below.
        return (row.strip(" :：[]"), "") if len(row) <= NAME_LENGTH else None
    named = _NAMED.match(row)
    if named and not _is_link_or_time(row, named["name"]):
        return named["name"].strip(), named["said"].strip()
    return None


def _is_link_or_time(row: str, name: str) -> bool:
    clock = re.search(r"\d$", name) and re.match(r":\d\d", row[len(name) :])
    return bool(re.match(r"\w+://", row) or re.fullmatch(r"\d{1,2}", name) or clock)


def _ends(talk: Sequence[Line], speaker: str) -> bool:
    """Tell whether a talk ended at a blank line: whoever began it begins again."""
    return bool(talk) and talk[0].speaker == speaker and talk[-1].speaker != speaker


def _merged(talk: Sequence[Line]) -> Iterator[Line]:
    """Yield what one says in a row as one line, empty ones left out."""
    former: Line | None = None
    for line in talk:
        if not line.text.strip():
            continue
        if former is not None and former.speaker == line.speaker:
            former = Line(former.speaker, f"{former.text}\n{line.text}")
            continue
        if former is not None:
            yield former
        former = line
    if former is not None:
        yield former
