"""Who can answer in a chat: a run, or the base of one without its prefix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from bot.studio.workshop import is_id
from trainer.errors import RensheError
from trainer.language import say

Kind = Literal["tuned", "base", "told"]


@dataclass(frozen=True)
class Speaker:
    """Somebody who answers.

    Attributes:
        kind: ``tuned``; ``base`` without its prefix; ``told``, the base with the persona's
            summary as system text.
        run: id of the run.
    """

    kind: Kind
    run: str

    @property
    def key(self) -> str:
        """What a page and a chat call it."""
        return f"{self.kind}:{self.run}"


def speaker(key: str) -> Speaker:
    """Return the speaker of a key.

    Raises:
        RensheError: it is none.
    """
    kind, _, run = key.partition(":")
    for known in get_args(Kind):
        if kind == known and is_id(run):
            return Speaker(known, run)
    raise RensheError(
        say(zh=f"没有 {key[:80]!r} 这个说话人", en=f"there is no speaker {key[:80]!r}"),
        fix=say(zh="在列表里选", en="choose one in the list"),
        code="speaker",
    )
