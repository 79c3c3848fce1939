"""Where a page stands and what it has been through: sent to the browser and back.

Where a page stands (which persona, opened from which content, which fact) travels
together with the fields it belongs to. So fields of a fact that was left can never be
written over another, and a server that was restarted misses nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from bot.studio.persona.desk import Opened

UNDO_STEPS, UNDO_SIZE = 100, 4_000_000
"""Steps, and characters in all, that can be undone."""

TYPING = 2.0
"""Seconds within which edits of one side are one step of undo."""


@dataclass(frozen=True)
class Place:
    """Where a page stands.

    Attributes:
        id: of the persona; empty when none is open.
        digest: of the content that was opened; empty for a file that is not there.
        newline: what ends the file's lines.
        fact: index of the fact whose fields are shown.
        talk: index of the dialogue that is shown.
    """

    id: str = ""
    digest: str = ""
    newline: str = "\n"
    fact: int = 0
    talk: int = 0

    def sent(self) -> str:
        """Return it as it travels."""
        return json.dumps(asdict(self))

    @classmethod
    def received(cls, text: str) -> Place:
        """Read what a page sent; what is no place is none."""
        try:
            values = json.loads(text)
            place = cls(**values)
            kinds = {key: type(value) for key, value in asdict(cls()).items()}
        except (ValueError, TypeError):
            return cls()
        fine = all(type(value) is kinds[key] for key, value in asdict(place).items())
        return place if fine and min(place.fact, place.talk) >= 0 else cls()

    @property
    def opened(self) -> Opened:
        """What was opened, as far as a save asks."""
        return Opened("", self.digest, self.newline if self.newline == "\r\n" else "\n")


@dataclass(frozen=True)
class History:
    """The texts of a page, the present one last, so that each step can be undone.

    Attributes:
        side: of what kind the last step was; empty for a step that stands alone.
        time: when, in seconds.
    """

    texts: tuple[str, ...] = ()
    side: str = ""
    time: float = 0.0

    def then(self, text: str, side: str, now: float) -> History:
        """Return it with one more text; typing goes on in one step."""
        if self.texts and self.texts[-1] == text:
            return self
        goes_on = len(self.texts) > 1 and side and side == self.side and now - self.time < TYPING
        texts = (*(self.texts[:-1] if goes_on else self.texts), text)[-UNDO_STEPS:]
        while len(texts) > 2 and sum(map(len, texts)) > UNDO_SIZE:
            texts = texts[1:]
        return History(texts, side, now)

    def undone(self) -> History:
        """Return it without the last step."""
        return History(self.texts[:-1]) if len(self.texts) > 1 else self
