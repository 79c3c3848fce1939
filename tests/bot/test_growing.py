"""Replies that are shown while they grow, on a whole bot but for its platform."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot import delivery
from bot.adapter import Capabilities
from bot.errors import EngineError, StoreError
from bot.event import (
    Chat,
    ChatKind,
    Event,
    Failed,
    Outcome,
    Outgoing,
    Sender,
    Sent,
    SessionKey,
    Unknown,
)
from bot.handling import Handling
from bot.store import Answer
from bot.testing import ACCOUNT, ScriptedEngine, Talk, talking
from trainer.chat import Message

pytestmark = pytest.mark.anyio


def event(text: str) -> Event:
    return Event(ACCOUNT, Chat("home", "private"), Sender("ann"), "1", text, 0.0)


GONE = Failed("there is no such message")


class Steps(ScriptedEngine):
    """Says ``a``, ``a b``, ``a b c``; each step when it is let."""

    def __init__(self, *steps: str) -> None:
        super().__init__()
        self._steps = steps or ("a", "a b", "a b c")
        self._let = threading.Semaphore(0)
        self.error: Exception | None = None

    def let(self, steps: int = 1) -> None:
        self._let.release(steps)

    def stream(self, messages: Sequence[Message]) -> Iterator[str]:
        for step in self._steps:
            self._let.acquire(timeout=10)
            if self.error is not None:
                raise self.error
            yield step


class Screen:
    """Makes the loopback show replies while they grow; notes what a person would see.

    Attributes:
        drafts: texts of drafts, and their ids.
        messages: texts of messages by their number.
        outcomes: of the next edits.
    """

    def __init__(self, talk: Talk, **able: Any) -> None:
        self.drafts: list[Outgoing] = []
        self.messages: dict[str, str] = {}
        self.outcomes: list[Outcome] = []
        self.sends: list[Outcome] = []
        self.edits = 0
        every = {"draft_every": 0.001, "edit_every": 0.001, **able}
        talk.adapter.capabilities = Capabilities(**every)
        talk.adapter.draft = self.draft  # type: ignore[method-assign]
        talk.adapter.edit = self.edit  # type: ignore[method-assign]
        talk.adapter.send = self.send  # type: ignore[method-assign]

    async def draft(self, message: Outgoing) -> Outcome:
        self.drafts.append(message)
        return Sent("")

    async def send(self, message: Outgoing) -> Outcome:
        if self.sends:
            return self.sends.pop(0)
        number = f"m{len(self.messages)}"
        self.messages[number] = message.text
        return Sent(number)

    async def edit(self, message: Outgoing) -> Outcome:
        self.edits += 1
        if self.outcomes:
            return self.outcomes.pop(0)
        if message.edits not in self.messages:
            return GONE
        self.messages[message.edits] = message.text
        return Sent(message.edits)

    @property
    def texts(self) -> list[str]:
        return list(self.messages.values())


@asynccontextmanager
async def asked(
    engine: Steps,
    kind: ChatKind,
    store: Path | None = None,
    *,
    give_up: float = 600,
    plugins: Sequence[Path] = (),
    **able: Any,
) -> AsyncIterator[tuple[Talk, Screen, asyncio.Task[list[str]]]]:
    """A bot that was asked something in a chat, and answers it step by step."""
    pace = {"typing_speed": 0, "give_up": give_up}
    config = {"operation": {"drain": 0}, "delivery": pace}
    async with talking(*plugins, engines={"robin": engine}, config=config, store=store) as talk:
        screen = Screen(talk, **able)
        saying = asyncio.create_task(talk.say("hi", kind=kind, mention=True))
        await asyncio.sleep(0.01)
        yield talk, screen, saying
    engine.let(100)


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)


async def test_a_private_reply_grows_as_a_draft_and_ends_as_a_message() -> None:
    engine = Steps()
    async with asked(engine, "private") as (_, screen, saying):
        for number, text in enumerate(("a", "a b", "a b c"), 1):
            engine.let()
            await until(lambda number=number: len(screen.drafts) == number)
            assert screen.drafts[-1].text == text
        await saying
    assert screen.texts == ["a b c"] and screen.edits == 0
    assert len({one.id for one in screen.drafts}) == 1


async def test_a_group_reply_grows_by_edits() -> None:
    engine = Steps()
    async with asked(engine, "group") as (talk, screen, saying):
        for text in ("a", "a b", "a b c"):
            engine.let()
            await until(lambda text=text: screen.texts == [text])
        await saying
        assert (await talk.runtime.store.counts())["outbox.sent"] == 1
    assert screen.texts == ["a b c"] and not screen.drafts


async def test_a_short_group_reply_is_sent_whole_and_quick_steps_are_passed_over() -> None:
    engine = Steps()
    async with asked(engine, "group", edit_every=0.3) as (_, screen, saying):
        engine.let(3)
        await saying
        assert screen.texts == ["a b c"] and screen.edits == 0


async def test_the_latest_step_is_shown_though_none_follows() -> None:
    engine = Steps()
    async with asked(engine, "group", edit_every=0.1) as (_, screen, saying):
        engine.let(2)
        await asyncio.sleep(0.05)
        assert screen.texts == []
        await until(lambda: screen.texts == ["a b"])
        engine.let()
        await saying


async def test_where_nothing_can_be_shown_nothing_is() -> None:
    engine = Steps()
    async with asked(engine, "group", edit_every=None) as (_, screen, saying):
        engine.let(3)
        await saying
        assert screen.texts == ["a b c"] and screen.edits == 0


async def test_a_step_that_is_being_shown_does_not_follow_the_whole() -> None:
    engine = Steps()
    async with asked(engine, "group") as (talk, screen, saying):
        engine.let()
        await until(lambda: screen.texts)
        edit = screen.edit

        async def slow(message: Outgoing) -> Outcome:
            await asyncio.sleep(0.1)
            return await edit(message)

        talk.adapter.edit = slow  # type: ignore[method-assign]
        await asyncio.sleep(0.01)
        engine.let(2)
        await saying
        assert screen.texts == ["a b c"]


@pytest.mark.parametrize("kind", ["private", "group"])
async def test_cut_off_while_it_grows_it_is_answered_once_after_the_restart(
    tmp_path: Path, kind: ChatKind
) -> None:
    store, engine = tmp_path / "bot.db", Steps()
    async with asked(engine, kind, store) as (talk, screen, saying):
        engine.let()
        await until(lambda: screen.drafts or _is_shown(talk))
    assert await saying == []
    before = dict(screen.messages)
    engine = Steps("x")
    async with talking(store=store, engines={"robin": engine}) as talk:
        again = Screen(talk)
        again.messages = dict(before)
        engine.let()
        await talk.runtime.idle()
        assert again.texts == ["x"], "the message that was begun is gone on with"
        history = await talk.runtime.store.history(talk.session(), 5)
        assert [one.assistant for one in history] == ["x"]
        counts = await talk.runtime.store.counts()
        assert counts == {"inbox.done": 1, "outbox.sent": 1, "turns": 2}


async def test_a_message_that_was_deleted_meanwhile_is_said_anew() -> None:
    engine = Steps()
    async with asked(engine, "group") as (talk, screen, saying):
        engine.let()
        await until(lambda: screen.texts)
        screen.messages["another"] = screen.messages.pop("m0")
        engine.let(2)
        await saying
        assert screen.texts == ["a", "a b c"]
        assert (await talk.runtime.store.counts())["outbox.sent"] == 1


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(delivery, "LONGEST_PAUSE", 0.02)


async def test_a_last_edit_is_repeated_while_it_is_unclear(hurried: None) -> None:
    engine = Steps("a", "a b c")
    async with asked(engine, "group") as (talk, screen, saying):
        engine.let()
        await until(lambda: screen.texts)
        await until(lambda: _is_shown(talk))
        screen.outcomes = [Unknown("timeout")] * 9  # a server that says 502 for a while
        engine.let(2)
        await saying
        assert screen.texts == ["a b c"] and len(screen.messages) == 1


async def test_a_last_edit_that_stays_unclear_is_not_said_anew(hurried: None) -> None:
    engine = Steps("a", "a b c")
    async with asked(engine, "group", give_up=0.2) as (talk, screen, saying):
        engine.let()
        await until(lambda: screen.texts)
        screen.outcomes = [Unknown("timeout")] * 10_000
        engine.let(2)
        await saying
        assert screen.texts == ["a"] and screen.edits > 3
        assert (await talk.runtime.store.counts())["outbox.unknown"] == 1


async def test_an_edit_that_has_to_wait_is_made_later() -> None:
    engine = Steps("a", "a b c")
    async with asked(engine, "group") as (_, screen, saying):
        engine.let()
        await until(lambda: screen.texts)
        screen.outcomes = [Failed("later", retry_after=0.05)] * 3
        engine.let(2)
        await saying
        assert screen.texts == ["a b c"]


@pytest.mark.parametrize("outcome", [Unknown("timeout"), Sent("")])
async def test_a_first_part_that_cannot_be_edited_is_shown_once(outcome: Outcome) -> None:
    engine = Steps()
    async with asked(engine, "group") as (talk, screen, saying):
        screen.sends = [outcome]
        engine.let(1)
        await until(lambda: not screen.sends)
        engine.let(2)
        await saying
        assert screen.texts == ["a b c"]
        assert (await talk.runtime.store.counts())["inbox.done"] == 1


async def test_a_first_part_that_was_refused_is_tried_again() -> None:
    engine = Steps()
    async with asked(engine, "group") as (_, screen, saying):
        screen.sends = [Failed("later", retry_after=0.01)]
        engine.let(1)
        await until(lambda: not screen.sends)
        await asyncio.sleep(0.03)
        engine.let(1)
        await until(lambda: screen.texts == ["a b"])
        engine.let(1)
        await saying
        assert screen.texts == ["a b c"]


@pytest.mark.parametrize("kind", ["private", "group"])
async def test_what_was_shown_of_a_reply_that_fails_makes_room_for_an_excuse(
    kind: ChatKind,
) -> None:
    engine = Steps()
    async with asked(engine, kind) as (_, screen, saying):
        engine.let()
        await until(lambda: screen.texts or screen.drafts)
        engine.error = EngineError("out of memory")
        engine.let()
        await saying
        assert screen.texts == ["I lost my words."]


@pytest.mark.parametrize("kind", ["private", "group"])
async def test_what_was_shown_of_a_reply_that_is_given_up_stays(kind: ChatKind) -> None:
    engine = Steps()
    async with asked(engine, kind) as (talk, screen, saying):
        engine.let()
        await until(lambda: screen.drafts or _is_shown(talk))
        talk.runtime._pipeline.interrupt(talk.session())
        await saying
        assert screen.texts == ["a"]


async def test_a_first_part_that_cannot_be_noted_is_gone_on_with_all_the_same() -> None:
    engine = Steps()
    async with asked(engine, "group") as (talk, screen, saying):

        async def full(*_: object) -> None:
            raise StoreError("full")

        talk.runtime.store.begun = full  # type: ignore[method-assign]
        engine.let()
        await until(lambda: screen.texts == ["a"])
        engine.let(2)
        await saying
        assert screen.texts == ["a b c"]
        assert (await talk.runtime.store.counts())["inbox.done"] == 1


async def test_a_first_part_that_is_refused_for_good_is_sent_once_and_the_whole_is_said() -> None:
    engine = Steps()
    async with asked(engine, "group") as (talk, screen, saying):
        screen.sends = [Failed("no")]
        for _step in range(3):
            engine.let()
            await asyncio.sleep(0.02)
        await saying
        assert screen.texts == ["a b c"]
        assert (await talk.runtime.store.counts())["outbox.failed"] == 1


async def test_a_group_that_moves_while_the_first_part_is_sent_has_it_edited_there() -> None:
    engine = Steps()
    async with asked(engine, "group") as (talk, screen, saying):
        screen.sends = [Sent("m0", chat="super")]
        screen.messages["m0"] = "a"
        edited: list[str] = []
        edit = screen.edit

        async def note(message: Outgoing) -> Outcome:
            edited.append(message.chat.id)
            return await edit(message)

        talk.adapter.edit = note  # type: ignore[method-assign]
        engine.let(3)
        await saying
        assert screen.texts == ["a b c"] and set(edited) == {"super"}


async def test_killed_in_its_first_part_and_stopped_in_its_commit_it_is_said_once_more(
    tmp_path: Path,
) -> None:
    """The part is of unknown fate for good; only the whole answer is sent later."""
    path = tmp_path / "bot.db"
    async with talking(store=path) as talk:
        one = await talk.runtime.store.accept(event("hi"), SessionKey.of(event("hi")))
        assert one is not None
        handling = Handling([one], talk.runtime._cast.of(one.session), talk.runtime.store)
        part = handling.message
        await talk.runtime.store.begin([one], replace(part, text="a"))
        answer = Answer([one], ("hi", "whole"), messages=[replace(part, text="whole")])
        await talk.runtime.store.settle(answer, sending=True)
        talk.runtime.store.unsend([one])
        ((_, message),) = await talk.runtime.store.unsent()
        assert message.text == "whole"


async def test_a_part_that_the_end_of_the_bot_keeps_back_is_sent_at_the_next_start(
    tmp_path: Path,
) -> None:
    engine = ScriptedEngine("First sentence here. Second sentence now.")
    config = {"operation": {"drain": 0}, "delivery": {"typing_speed": 0, "part": 20}}
    for steps in range(8):  # of the loop, after which it is stopped
        store = tmp_path / f"{steps}.db"
        engine = ScriptedEngine("First sentence here. Second sentence now.")
        async with talking(engines={"robin": engine}, config=config, store=store) as talk:
            first = Screen(talk, draft_every=None, edit_every=None)
            saying = asyncio.create_task(talk.say("hi"))
            await until(lambda first=first: first.texts)
            for _ in range(steps):
                await asyncio.sleep(0)
            for task in talk.runtime._sessions._tasks():
                task.cancel()
        await saying
        async with talking(store=store) as talk:
            second = Screen(talk, draft_every=None, edit_every=None)
            await talk.runtime.idle()
        said = [*first.texts, *second.texts]
        assert " ".join(said) == "First sentence here. Second sentence now.", steps


async def test_stopped_while_a_first_part_hangs_it_is_answered_after_the_restart(
    tmp_path: Path,
) -> None:
    store, engine = tmp_path / "bot.db", Steps("a")
    async with asked(engine, "group", store) as (talk, screen, saying):
        sending = asyncio.Event()

        async def hang(_message: Outgoing) -> Outcome:
            sending.set()
            await asyncio.sleep(60)
            return Unknown("")

        talk.adapter.send = hang  # type: ignore[method-assign]
        engine.let()
        await asyncio.wait_for(sending.wait(), 5)
        began = time.monotonic()
    assert time.monotonic() - began < 5, "the end does not wait for it"
    assert await saying == [] and not screen.texts
    async with talking(store=store) as talk:
        assert await talk.heard() == ["hi"]


@pytest.mark.parametrize("kind", ["private", "group"])
@pytest.mark.parametrize("hook", ["after_reply", "before_send"])
async def test_what_a_plugin_has_to_see_before_is_not_shown_before(
    tmp_path: Path, kind: ChatKind, hook: str
) -> None:
    takes = "said: Said) -> str" if hook == "after_reply" else "reply: Reply) -> Reply"
    gives = "said.text" if hook == "after_reply" else "Reply(reply.text"
    end = "" if hook == "after_reply" else ")"
    text = f"@{hook}\nasync def f({takes}: return {gives}.replace('a', '*'){end}\n"
    censor = tmp_path / "censor.py"
    censor.write_text(f"from bot.plugin import *\n{text}")
    engine = Steps()
    async with asked(engine, kind, plugins=[censor]) as (_, screen, saying):
        for _step in range(3):
            engine.let()
            await asyncio.sleep(0.03)
        await saying
        assert screen.texts == ["* b c"] and not screen.drafts and not screen.edits


async def test_a_reply_that_cannot_be_written_while_it_grows_is_said_whole() -> None:
    engine = Steps()
    async with asked(engine, "group") as (talk, screen, saying):

        async def full(*_: object) -> None:
            raise StoreError("full")

        talk.runtime.store.begin = full  # type: ignore[method-assign]
        engine.let(3)
        await saying
        assert screen.texts == ["a b c"] and screen.edits == 0


def _is_shown(talk: Talk) -> bool:
    """Tell whether a first part is sent, and that is written down."""
    reader = talk.runtime.store._transaction._reader.conn
    return bool(reader.execute("SELECT 1 FROM outbox WHERE state = 'shown'").fetchall())
