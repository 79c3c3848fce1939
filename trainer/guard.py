"""What keeps a served persona in character: console, page and bots all answer through it.

A tuned persona still betrays its base now and then, and worse, a model that reads its own
slip in the history goes on from there. So replies that match the persona's ``leaks`` are
not shown, and those of an older history are not shown to the model:

1. Rounds whose reply leaked are left out; the rest is cut to the trained depth
   (:meth:`trainer.model.Tuned.window`), and the chat format counts its rounds anew.
2. The reply is passed on as it grows, but for an end that may still become a leak
   (:mod:`trainer.partial_match`).
3. Once it leaks, the drawing stops. It is drawn again, at most :data:`REDRAWS` times,
   warm enough to differ, with seeds that follow from the first.
4. If they all leak, one of the persona's ``fallback`` lines takes their place. We write no
   line for a persona that has none: then the whole sentences before the last leak are all
   that is said, and if there are none, the reply is empty.

What was shown of a drawing before it leaked is harmless, but it is no part of the reply:
the text that is yielded then begins anew. A persona without ``leaks`` is passed through.
Nothing here needs torch, so that an engine on another machine is guarded just so.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from trainer.chat import Message
from trainer.partial_match import SENTENCE_END, GrowingText, PartialPattern

if TYPE_CHECKING:
    from trainer.model import Tuned
    from trainer.persona import Persona
    from trainer.sampling import Sampling

Draw = Callable[[Sequence[Message], "Sampling"], Iterator[str]]
"""Answers a conversation; yields the reply so far, each the beginning of the next."""

REDRAWS = 2
"""How often a reply that leaks is drawn again."""

RETRY_TEMPERATURE = 0.7
"""Greedy decoding would only say the same again."""

_REMEMBERED = 4096
"""Replies of which is known whether they leak: a history comes again with each question."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a guard did so far.

    Attributes:
        asked: replies that were asked for.
        redrawn: drawings thrown away because they leaked, and made again.
        replaced: replies that a fallback line took the place of.
        shortened: replies cut before a leak, down to nothing perhaps, for want of such lines.
        withheld: characters that were drawn and thrown away unseen.
        dropped: rounds of a history that the model was not shown because their reply leaked.
    """

    asked: int = 0
    redrawn: int = 0
    replaced: int = 0
    shortened: int = 0
    withheld: int = 0
    dropped: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Return the sums."""
        names = [field.name for field in fields(Counts)]
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in names})


class Guard:
    """Answers as ``draw`` does, but never with a leak; may be called from several threads.

    Args:
        persona: whose leaks and fallback lines count.
        draw: the unguarded model.
    """

    def __init__(self, persona: Persona, draw: Draw) -> None:
        self._persona = persona
        self._draw = draw
        self._patterns = [PartialPattern(pattern) for pattern in persona.leaks]
        self._leaked = lru_cache(_REMEMBERED)(persona.leaked)
        self._counts = Counts()
        self._counting = threading.Lock()

    @property
    def counts(self) -> Counts:
        """What it did so far."""
        return self._counts

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[str]:
        """Answer the last message; yields the reply so far, each time it has changed.

        Mostly it has grown. After a leak it begins anew, and may be empty in the end. No text
        that is yielded leaks, and the last one is the reply.

        Args:
            messages: user and assistant in turn, the user first and last.
            sampling: of the first drawing.
        """
        seen = self._without_leaks(messages)
        self._count(Counts(asked=1, dropped=(len(messages) - len(seen)) // 2))
        chance = Random(sampling.seed)
        how, shown = sampling, ""
        for redraws in range(REDRAWS + 1):
            drawn = yield from self._pass_on(self._draw(seen, how), shown)
            if not drawn.leaks:
                return
            shown = drawn.shown
            again = redraws < REDRAWS
            self._count(Counts(redrawn=int(again), withheld=len(drawn.text) - drawn.passed))
            warm = max(sampling.temperature, RETRY_TEMPERATURE)
            how = replace(sampling, temperature=warm, seed=chance.getrandbits(32))
        if (reply := self._instead(drawn.text, chance)) != shown:
            yield reply

    def reply(self, messages: Sequence[Message], sampling: Sampling) -> str:
        """Return the whole reply; see :meth:`stream`."""
        last = deque(self.stream(messages, sampling), maxlen=1)
        return last[0] if last else ""

    def _pass_on(self, drawing: Iterator[str], shown: str) -> Generator[str, None, _Drawn]:
        """Yield what is sure of a drawing, after ``shown``; stops drawing at a leak."""
        growing = GrowingText(self._patterns)
        text, passed = "", 0
        for text in drawing:
            safe = growing.grow(text) if self._patterns else len(text)
            if safe is None:
                return _Drawn(text, passed, shown, leaks=True)
            if safe > passed:
                shown, passed = text[:safe], safe
                yield shown
        if self._leaked(text):
            return _Drawn(text, passed, shown, leaks=True)
        if text != shown:
            yield text
        return _Drawn(text, len(text), text, leaks=False)

    def _without_leaks(self, messages: Sequence[Message]) -> list[Message]:
        """Leave out each reply that leaked, with its question."""
        kept: list[Message] = []
        for message in messages:
            if message.role == "assistant" and self._leaked(message.text):
                kept.pop()
            else:
                kept.append(message)
        return kept

    def _instead(self, leak: str, chance: Random) -> str:
        """Return what is said when every drawing leaked; ``leak`` is the last of them."""
        if self._persona.fallback:
            self._count(Counts(replaced=1))
            return chance.choice(self._persona.fallback)
        self._count(Counts(shortened=1))
        ends = [end.end() for end in SENTENCE_END.finditer(leak)]
        beginnings = (leak[:end].strip() for end in reversed(ends))
        return next((text for text in beginnings if not self._leaked(text)), "")

    def _count(self, more: Counts) -> None:
        with self._counting:
            self._counts += more


class _Drawn(NamedTuple):
    """A drawing that ended: its text, of which ``passed`` letters were; what is shown now."""

    text: str
    passed: int
    shown: str
    leaks: bool


def guarded(tuned: Tuned) -> Guard:
    """Return a guard over a tuned model on this machine."""
    return Guard(tuned.card.persona, unguarded(tuned))


def unguarded(tuned: Tuned) -> Draw:
    """Return what the model itself answers, in its trained window."""
    from trainer.generate import stream_reply  # needs torch, the guard does not

    def draw(messages: Sequence[Message], sampling: Sampling) -> Iterator[str]:
        window = tuned.window(messages, reserve=sampling.max_new_tokens)
        return stream_reply(tuned.base, tuned.prefix, window, sampling=sampling)

    return draw
