"""Several speakers answer one message side by side, and all of it is kept as it grows.

They take turns word by word in one thread, since a model serves one step at a time anyway.
A speaker that fails says why in its place, and the others go on.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import NamedTuple

from bot.studio.chat.chats import Chat, Chats, Reply
from bot.studio.chat.models import Answer, Models, Voice
from bot.studio.chat.speakers import Speaker, speaker
from trainer.chat import Message
from trainer.errors import RensheError
from trainer.guard import RETRY_TEMPERATURE
from trainer.language import say
from trainer.sampling import Sampling

MOST_SPEAKERS = 3
"""Speakers side by side."""

_MOMENT = 0.04
"""Seconds between two looks at growing replies; the eye asks for no more."""

_SAVED = 1.0
"""Seconds after which growing replies are written to disk again."""

_POLL = 0.1

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class How:
    """How replies are chosen.

    Attributes:
        temperature, top_p, max_new_tokens: see :class:`trainer.sampling.Sampling`.
        guarded: tuned runs do not show what betrays their base.
    """

    temperature: float = 0.3
    top_p: float = 0.9
    max_new_tokens: int = 128
    guarded: bool = True

    def warmer(self) -> How:
        """Return how to say it differently: greedy decoding would only say the same again."""
        return replace(self, temperature=self.temperature or RETRY_TEMPERATURE)

    def sampling(self) -> Sampling:
        """Return a new draw."""
        seed = secrets.randbits(32)
        return Sampling(self.temperature, self.top_p, int(self.max_new_tokens), seed)


class Look(NamedTuple):
    """Replies at one moment, by key of their speaker; what is being loaded, if anything."""

    replies: dict[str, Reply]
    loading: str = ""


class Talks:
    """Answers the chats of a studio.

    Args:
        chats: where they are kept.
        models: who answers.
    """

    def __init__(self, chats: Chats, models: Models) -> None:
        self._chats = chats
        self._models = models
        self._answering: dict[str, threading.Event] = {}

    def is_answering(self, chat: str) -> bool:
        """Tell whether a reply grows in a chat."""
        return chat in self._answering

    def stop(self, chat: str) -> None:
        """End the replies that grow in a chat at their next word; what was said stays."""
        if (stopped := self._answering.get(chat)) is not None:
            stopped.set()

    def refuse_busy(self, chat: str) -> None:
        """Refuse a message to a chat in which a reply grows.

        Raises:
            RensheError: one does, in another tab perhaps.
        """
        if self.is_answering(chat):
            raise busy()

    def answer(
        self, secret: str, chat: Chat, at: str, keys: Sequence[str], how: How
    ) -> Iterator[Look]:
        """Answer a round; yields what is there so far, and last how it ended.

        Closing the iterator ends the replies and marks them as cut.

        Args:
            secret: of the browser.
            chat: as it is now.
            at: id of the round.
            keys: who answers.
            how: settings.

        Raises:
            RensheError: another reply grows in this chat.
        """
        with self._only(chat.id) as stopped:
            replies = {key: Reply() for key in keys}

            def keep() -> None:
                self._chats.answer(secret, chat.id, at, replies)

            keep()
            yield Look(dict(replies))
            try:
                voices = yield from self._voices(replies, stopped)
                answers = {
                    key: voice.answer(_asked(chat, key, at), how.sampling(), guarded=how.guarded)
                    for key, voice in voices.items()
                }
                yield from _grow(answers, replies, stopped, keep)
                _end(replies, "stopped")
            finally:
                _end(replies, "cut")
                keep()
            yield Look(dict(replies))

    @contextmanager
    def _only(self, chat: str) -> Iterator[threading.Event]:
        stopped = threading.Event()
        if self._answering.setdefault(chat, stopped) is not stopped:
            raise busy()
        try:
            yield stopped
        finally:
            del self._answering[chat]

    def _voices(
        self, replies: dict[str, Reply], stopped: threading.Event
    ) -> Generator[Look, None, dict[str, Voice]]:
        """Load who answers, one after the other."""
        voices: dict[str, Voice] = {}
        for key in replies:
            if stopped.is_set():
                break
            with _contained(key, replies):
                who = speaker(key)
                voice = self._models.ready(who)
                if voice is None:
                    voice = yield from self._load(who, replies, stopped)
                if voice is not None:
                    voices[key] = voice
        return voices

    def _load(
        self, who: Speaker, replies: dict[str, Reply], stopped: threading.Event
    ) -> Generator[Look, None, Voice | None]:
        """Load one in a thread, so that its progress is seen and the visitor may stop."""
        told = [say(zh="准备模型", en="getting the model ready")]

        def report(stage: str, done: float) -> None:
            told[0] = f"{stage} {done:.0%}"

        loading = _in_a_thread(lambda: self._models.load(who, report))
        shown = ""
        while not loading.done() and not stopped.is_set():
            if told[0] != shown:
                shown = told[0]
                yield Look(dict(replies), f"{self._models.label(who)}：{shown}")
            time.sleep(_POLL)
        return None if stopped.is_set() else loading.result()


def _grow(
    answers: dict[str, Answer],
    replies: dict[str, Reply],
    stopped: threading.Event,
    keep: Callable[[], None],
) -> Iterator[Look]:
    """Let the answers grow in turns, a word each."""
    texts = {key: iter(answer) for key, answer in answers.items()}
    seen = saved = time.monotonic()
    first = True
    while texts and not stopped.is_set():
        for key in list(texts):
            with _contained(key, replies):
                text = next(texts[key], None)
                counts = answers[key].counts
                state = "done" if text is None else "growing"
                more = {
                    "state": state,
                    "counts": counts,
                    **({} if text is None else {"text": text}),
                }
                replies[key] = replies[key].model_copy(update=more)
            if replies[key].state != "growing":
                del texts[key]
            now = time.monotonic()
            if first or now - seen >= _MOMENT:
                first, seen = False, now
                yield Look(dict(replies))
        if time.monotonic() - saved >= _SAVED:
            saved = time.monotonic()
            with suppress(RensheError):  # the last one tells it
                keep()


@contextmanager
def _contained(key: str, replies: dict[str, Reply]) -> Iterator[None]:
    """Put what goes wrong with one speaker in its place."""
    try:
        yield
    except RensheError as error:
        problem = str(error)
    except Exception:
        log.exception("%s failed", key)
        problem = say(
            zh="程序出错了，详情在启动工作室的终端里",
            en="this is a fault of the program; the terminal of the studio has the details",
        )
    else:
        return
    replies[key] = replies[key].model_copy(update={"state": "failed", "problem": problem})


def _end(replies: dict[str, Reply], state: str) -> None:
    for key, reply in replies.items():
        if reply.state == "growing":
            replies[key] = reply.model_copy(update={"state": state})


def _asked(chat: Chat, key: str, at: str) -> list[Message]:
    return [*chat.history(key, at), Message("user", chat.round(at).user)]


def _in_a_thread(load: Callable[[], Voice]) -> Future[Voice]:
    """Run ``load`` in a thread of its own, which does not keep the program from ending."""
    future: Future[Voice] = Future()
    context = copy_context()  # the spoken language goes along

    def run() -> None:
        try:
            future.set_result(context.run(load))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="loading", daemon=True).start()
    return future


def busy() -> RensheError:
    """Return the error of a message that comes while a reply grows."""
    return RensheError(
        say(zh="它还在回答上一句", en="it is still answering the last message"),
        fix=say(zh="等它说完，或先停下", en="wait for it, or stop it first"),
        code="busy",
    )
