"""The faults that other bots were seen with; each on the whole bot but for its platform."""

import asyncio
import gc
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot import delivery, pipeline
from bot.adapter import Capabilities
from bot.config import Chats
from bot.errors import EngineError, PluginError, StoreError
from bot.event import Chat, Event, Failed, Outcome, Outgoing, Sender, SessionKey, Unknown
from bot.handling import Handling
from bot.store import Accepted
from bot.testing import ACCOUNT, TESTER, ScriptedEngine, Talk, talking
from trainer.chat import Message
from trainer.persona import Persona

pytestmark = pytest.mark.anyio


class BlockingEngine(ScriptedEngine):
    """Blocks its thread until it is let go, as a model does."""

    def __init__(self, persona: Persona = TESTER) -> None:
        super().__init__(persona=persona)
        self.asked = threading.Semaphore(0)
        self.go = threading.Event()

    def stream(self, messages: Sequence[Message]) -> Iterator[str]:
        self.asked.release()
        yield "Let me"
        self.go.wait(10)
        yield "Let me think."

    async def until_asked(self) -> None:
        assert await asyncio.to_thread(self.asked.acquire, timeout=5)


class LongWindedEngine(BlockingEngine):
    """Says more than fits into a page of the database."""

    REPLY = "再见。" * 3000

    def stream(self, messages: Sequence[Message]) -> Iterator[str]:
        self.asked.release()
        self.go.wait(10)
        yield self.REPLY


class FailingEngine(ScriptedEngine):
    def stream(self, messages: Sequence[Message]) -> Iterator[str]:
        raise EngineError("out of memory")
        yield ""


def event(text: str, number: int, chat: str = "home") -> Event:
    return Event(ACCOUNT, Chat(chat, "private"), Sender("ann"), str(number), text, time.time())


def sending(talk: Talk, *outcomes: Outcome) -> list[Outgoing]:
    """Let the platform answer so, one after the other; then it sends as ever."""
    rest, tried, send = list(outcomes), [], talk.adapter.send

    async def answer(message: Outgoing) -> Outcome:
        tried.append(message)
        return rest.pop(0) if rest else await send(message)

    talk.adapter.send = answer  # type: ignore[method-assign]
    return tried


async def test_the_same_event_twice_gets_one_reply(tmp_path: Path) -> None:
    store = tmp_path / "bot.db"
    async with talking(store=store) as talk:
        assert [await talk.runtime.receive(event("hi", 1)) for _ in range(3)] == [
            True,
            False,
            False,
        ]
        assert await talk.heard() == ["hi"]
    async with talking(store=store) as talk:
        assert not await talk.runtime.receive(event("hi", 1))
        assert await talk.heard() == []


async def test_who_only_mentions_it_calls_it_by_its_name() -> None:
    async with talking() as talk:
        assert await talk.say("", kind="group", mention=True) == ["Robin"]
        assert await talk.say("", kind="group") == []
        (round,) = await talk.runtime.store.history(talk.session(), 5)
        assert round.user == "Robin"


async def test_twenty_at_once_in_order_while_others_do_not_wait() -> None:
    engine = ScriptedEngine()
    config = {"limits": {"per_user": 100}}
    async with talking(engines={"robin": engine}, config=config) as talk:
        texts = [f"m{number}" for number in range(20)]
        await asyncio.gather(
            *(talk.runtime.receive(event(text, index)) for index, text in enumerate(texts))
        )
        assert await talk.heard() == texts
        last = [message.text for message in engine.prompts[-1]]
        assert last == [text for text in texts[:-1] for _ in (1, 2)] + texts[-1:]


async def test_no_more_history_is_read_than_the_engine_uses() -> None:
    class Forgetful(ScriptedEngine):
        rounds = 1

    engine = Forgetful()
    async with talking(engines={"robin": engine}) as talk:
        for text in ("a", "b", "c"):
            await talk.say(text)
    assert [message.text for message in engine.prompts[-1]] == ["b", "b", "c"]


async def test_a_thinking_model_blocks_only_its_session() -> None:
    engine = BlockingEngine()
    other = ScriptedEngine("Hi!", persona=TESTER.model_copy(update={"name": "Kim"}))
    folder = Path(__file__).parents[2] / "plugins"
    async with talking(folder / "persona.py", engines={"robin": engine, "kim": other}) as talk:
        await talk.runtime.receive(event("think", 1))
        await engine.until_asked()
        await talk.runtime.receive(event("/persona kim", 2, "elsewhere"))
        await talk.runtime.receive(event("hello", 3, "elsewhere"))
        while len(talk.adapter.sent) < 2:
            await asyncio.sleep(0.01)
        assert [one.text for one in talk.adapter.sent] == ["Kim is here.", "Hi!"]
        engine.go.set()
        assert (await talk.heard())[-1] == "Let me think."


async def test_reset_does_not_wait_for_the_reply_it_makes_pointless() -> None:
    engine = BlockingEngine()
    folder = Path(__file__).parents[2] / "plugins"
    async with talking(folder / "session.py", engines={"robin": engine}) as talk:
        await talk.runtime.receive(event("think", 1))
        await engine.until_asked()
        assert await talk.say("/reset") == ["All that was said is forgotten."]
        engine.go.set()
        assert await talk.runtime.store.history(talk.session(), 5) == []


async def test_a_reset_gives_up_the_questions_that_wait_and_no_commands() -> None:
    engine = BlockingEngine()
    plugins = [Path("plugins/session.py"), Path("plugins/help.py")]
    async with talking(*plugins, engines={"robin": engine}) as talk:
        await talk.runtime.receive(event("one", 1))
        await engine.until_asked()
        for number, text in enumerate(("two", "/help", "three"), 2):
            await talk.runtime.receive(event(text, number))
        await talk.runtime.receive(event("/reset", 5))
        await talk.runtime.receive(event("four", 6))
        engine.go.set()
        texts = await talk.heard()
        assert "/help" in texts[-3] and texts[-2] == "All that was said is forgotten."
        assert texts[-1] == "Let me think."
        history = await talk.runtime.store.history(talk.session(), 9)
        assert [one.user for one in history] == ["four"]
        counts = await talk.runtime.store.counts()
        assert counts["inbox.done"] == 6 and "inbox.accepted" not in counts


async def test_a_reset_gets_through_to_a_session_that_is_full() -> None:
    engine, config = BlockingEngine(), {"sessions": {"queue": 2}}
    async with talking(
        Path("plugins/session.py"), engines={"robin": engine}, config=config
    ) as talk:
        await talk.runtime.receive(event("one", 1))
        await engine.until_asked()
        for number, text in enumerate(("two", "three"), 2):
            await talk.runtime.receive(event(text, number))
        assert talk.runtime._sessions.is_full(talk.session())
        assert await talk.say("/reset") == ["All that was said is forgotten."]
        engine.go.set()


async def test_a_reset_gives_up_what_may_still_be_gone_on_with() -> None:
    config = {"sessions": {"debounce": 0.2}}
    async with talking(Path("plugins/session.py"), config=config) as talk:
        await talk.runtime.receive(event("one", 1))
        await asyncio.sleep(0.05)
        assert await talk.say("/reset") == ["All that was said is forgotten."]
        assert (await talk.runtime.store.counts())["inbox.done"] == 2


async def test_an_answer_whose_commit_is_under_way_at_the_end_is_sent_at_the_next_start(
    tmp_path: Path,
) -> None:
    store = tmp_path / "bot.db"
    holder = sqlite3.connect(store, check_same_thread=False)
    async with talking(store=store, config={"operation": {"drain": 0.1}}) as talk:
        settle = talk.runtime.store.settle

        async def locked(*args: Any, **more: Any) -> list[Outgoing]:
            holder.execute("BEGIN IMMEDIATE")
            asyncio.get_running_loop().call_later(0.5, holder.rollback)
            return await settle(*args, **more)

        talk.runtime.store.settle = locked  # type: ignore[method-assign]
        await talk.runtime.receive(event("hi", 1))
        await asyncio.sleep(0.1)
        threading.Timer(0.5, holder.rollback).start()  # the loop is gone by then
    assert talk.adapter.sent == []
    async with talking(store=store) as talk:
        assert await talk.heard() == ["hi"]
        assert (await talk.runtime.store.counts())["outbox.sent"] == 1
    holder.close()


async def test_a_reset_by_someone_who_may_not_leaves_the_reply_alone() -> None:
    engine = BlockingEngine()
    folder = Path(__file__).parents[2] / "plugins"
    async with talking(folder / "session.py", engines={"robin": engine}) as talk:
        group = Chat("g", "group")
        asked = replace(event("think", 1), chat=group, mentions_bot=True)
        await talk.runtime.receive(asked)
        await engine.until_asked()
        other = Sender("bob", "Bob", "member")
        await talk.runtime.receive(replace(event("/reset", 2), chat=group, sender=other))
        engine.go.set()
        await talk.runtime.idle()
        said = [one.text for one in talk.adapter.sent]
        assert said == ["Let me think.", "Only an admin may use that command."]


async def test_what_comes_while_it_stops_is_kept_for_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    async with talking(store=path) as talk:
        talk.runtime.stop()
        assert await talk.runtime.receive(event("late", 1))
    assert talk.adapter.sent == []
    async with talking(store=path) as talk:
        await talk.runtime.idle()
        assert [one.text for one in talk.adapter.sent] == ["late"]


async def test_a_chat_that_is_left_out_hears_nothing_unasked() -> None:
    async with talking() as talk:
        await talk.say("hi", chat="bad")
        denied = talk.runtime.config.model_copy(update={"chats": Chats(deny=("loopback:bad",))})
        await talk.runtime.reload(denied, None)
        with pytest.raises(PluginError, match="leaves loopback"):
            await talk.runtime.send(talk.session("bad"), "hello?")


async def test_a_reply_that_takes_too_long_becomes_an_excuse(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = BlockingEngine()
    async with talking(engines={"robin": engine}, config={"limits": {"deadline": 0.1}}) as talk:
        assert await talk.say("hi") == ["I lost my words."]
        engine.go.set()
        assert "no reply within 0.1 seconds" in caplog.text
        assert await talk.runtime.store.history(talk.session(), 5) == []


async def test_an_engine_that_fails_is_logged_and_excused(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with talking(engines={"robin": FailingEngine()}) as talk:
        assert await talk.say("hi") == ["I lost my words."]
        assert "out of memory" in caplog.text


async def test_a_reply_waits_until_a_full_disk_has_room(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pipeline, "NOT_WRITTEN", 0.02)
    engine = LongWindedEngine()
    async with talking(engines={"robin": engine}) as talk:
        await talk.runtime.receive(event("hi", 1))
        await engine.until_asked()
        database = talk.runtime.store._transaction._db.conn
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        database.execute(f"PRAGMA max_page_count = {pages}")
        engine.go.set()
        while "the reply waits" not in caplog.text:
            await asyncio.sleep(0.01)
        assert not talk.adapter.sent
        database.execute("PRAGMA max_page_count = 1000000")
        assert "".join(await talk.heard()) == engine.REPLY
        (round,) = await talk.runtime.store.history(talk.session(), 5)
        assert (round.user, round.assistant) == ("hi", engine.REPLY)


async def test_a_reply_is_not_sent_before_that_can_be_noted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "NOT_WRITTEN", 0.02)
    async with talking() as talk:
        store = talk.runtime.store
        note, faults = store.sending, [StoreError("full"), StoreError("full")]

        async def sending(message: Outgoing) -> None:
            if faults:
                assert not talk.adapter.sent
                raise faults.pop()
            await note(message)

        monkeypatch.setattr(store, "sending", sending)
        talk.adapter.accounts, accounts = (), talk.adapter.accounts  # type: ignore[assignment]
        await talk.runtime.receive(event("hi", 1))
        await asyncio.sleep(0.05)
        talk.adapter.accounts = accounts
        assert await talk.heard() == ["hi"] and not faults


async def test_an_ambiguous_send_is_never_repeated(tmp_path: Path) -> None:
    store = tmp_path / "bot.db"
    async with talking(store=store) as talk:
        tried = sending(talk, Unknown("timeout"))
        assert await talk.say("hi") == []
        assert len(tried) == 1
        assert (await talk.runtime.store.counts())["outbox.unknown"] == 1
    async with talking(store=store) as talk:
        assert await talk.heard() == []


async def test_an_adapter_that_breaks_its_promise_counts_as_unknown() -> None:
    async with talking() as talk:

        async def fail(message: Outgoing) -> Outcome:
            raise OSError("cable")

        talk.adapter.send = fail  # type: ignore[method-assign]
        await talk.say("hi")
        assert (await talk.runtime.store.counts())["outbox.unknown"] == 1


async def test_what_surely_was_not_delivered_is_tried_again_in_order() -> None:
    async with talking() as talk:
        tried = sending(talk, Failed("away", 0.01), Failed("away", 0.01))
        await talk.runtime.receive(event("one", 1))
        await talk.runtime.receive(event("two", 2))
        assert await talk.heard() == ["one", "two"] and len(tried) == 4


async def test_a_platform_that_stays_away_is_given_up() -> None:
    async with talking(config={"delivery": {"give_up": 0.05, "typing_speed": 0}}) as talk:
        talk.adapter.accounts = ()  # type: ignore[assignment]
        sending(talk)
        assert await talk.say("hi") == []
        assert (await talk.runtime.store.counts())["outbox.failed"] == 1


async def test_an_unfinished_answer_is_given_after_a_restart_once(tmp_path: Path) -> None:
    store, engine = tmp_path / "bot.db", BlockingEngine()
    config = {"operation": {"drain": 0}}
    async with talking(engines={"robin": engine}, config=config, store=store) as talk:
        await talk.runtime.receive(event("hi", 1))
        await engine.until_asked()
    engine.go.set()
    for heard in (["hi"], []):
        async with talking(store=store) as talk:
            assert await talk.heard() == heard
            history = await talk.runtime.store.history(talk.session(), 5)
            assert [one.user for one in history] == ["hi"]


async def test_stopping_drains(tmp_path: Path) -> None:
    engine = BlockingEngine()
    async with talking(engines={"robin": engine}) as talk:
        await talk.runtime.receive(event("hi", 1))
        await engine.until_asked()
        threading.Timer(0.1, engine.go.set).start()
    assert [one.text for one in talk.adapter.sent] == ["Let me think."]


async def test_groups_and_private_chats_never_mix() -> None:
    engine = ScriptedEngine()
    async with talking(engines={"robin": engine}) as talk:
        await talk.say("private secret")
        await talk.say("group A secret", chat="A", kind="group", mention=True)
        await talk.say("hello", chat="B", kind="group", mention=True)
        assert engine.prompts[-1] == [Message("user", "hello")]
        await talk.say("hello", chat="A", kind="group", mention=True)
        assert "private" not in str(engine.prompts[-1])


async def test_the_prompt_is_trimmed_and_the_store_is_not() -> None:
    engine = ScriptedEngine()
    config = {"sessions": {"rounds": 2}, "limits": {"per_user": 99}}
    async with talking(engines={"robin": engine}, config=config) as talk:
        for number in range(6):
            await talk.say(f"m{number}")
        assert [message.text for message in engine.prompts[-1]] == ["m3", "m3", "m4", "m4", "m5"]
        assert (await talk.runtime.store.counts())["turns"] == 12


async def test_a_locked_database_never_loses_a_finished_reply(tmp_path: Path) -> None:
    store = tmp_path / "bot.db"
    engine = BlockingEngine()
    async with talking(engines={"robin": engine}, store=store) as talk:
        await talk.runtime.receive(event("hi", 1))
        await engine.until_asked()
        holder = sqlite3.connect(store, check_same_thread=False)
        holder.execute("BEGIN IMMEDIATE")
        engine.go.set()
        threading.Timer(0.3, holder.rollback).start()
        assert await talk.heard() == ["Let me think."]
        holder.close()


async def test_memory_does_not_grow_with_the_chats_seen() -> None:
    config = {"limits": {"per_user": 10**6, "overall": 10**6}}
    engine = ScriptedEngine()
    async with talking(engines={"robin": engine}, config=config) as talk:

        async def visit(numbers: Sequence[int]) -> int:
            await asyncio.gather(
                *(talk.runtime.receive(event("hi", 1, f"chat {number}")) for number in numbers)
            )
            await talk.runtime.idle()
            assert alive() >= len(numbers), "what was sent is kept by the adapter of the test"
            talk.adapter.sent.clear()
            engine.prompts.clear()
            gc.collect()
            return alive()

        def alive() -> int:
            return sum(type(one) in kinds for one in gc.get_objects())

        # Not all objects: other tests' come and go meanwhile.
        kinds = {Accepted, Event, Outgoing, Handling, SessionKey, asyncio.Task, asyncio.Future}
        before = await visit(range(300))
        assert await visit(range(300, 900)) - before < 60, "they are not kept for each chat"
        assert len(talk.runtime._sessions) == 0 and not talk.runtime._pipeline._thoughts


async def test_too_much_is_refused_in_its_voice_once(caplog: pytest.LogCaptureFixture) -> None:
    async with talking(config={"limits": {"per_user": 2}}) as talk:
        for number in range(5):
            await talk.say(f"m{number}")
        heard = await talk.heard()
        assert heard[:2] == ["m0", "m1"] and heard[2].startswith("One moment") and len(heard) == 3
        assert (await talk.runtime.store.counts())["inbox.refused"] == 3


async def test_a_full_session_refuses_and_loses_nothing_that_waits() -> None:
    engine = BlockingEngine()
    config = {"sessions": {"queue": 2}}
    async with talking(engines={"robin": engine}, config=config) as talk:
        await talk.runtime.receive(event("m0", 0))
        await engine.until_asked()
        for number in range(1, 6):
            await talk.runtime.receive(event(f"m{number}", number))
        engine.go.set()
        heard = await talk.heard()
        assert len([text for text in heard if text == "Let me think."]) == 3
        assert len([text for text in heard if text.startswith("One moment")]) == 1


async def test_long_replies_are_said_in_parts_at_sentence_ends() -> None:
    reply = "First a sentence. " * 3 + "Then the last one."
    engines = {"robin": ScriptedEngine(reply)}
    config = {"delivery": {"part": 40, "typing_speed": 0}}
    async with talking(engines=engines, config=config) as talk:
        parts = await talk.say("hi", chat="g", kind="group", mention=True)
        assert len(parts) > 1 and " ".join(parts) == reply
        assert all(part.endswith(".") for part in parts)
        first, *others = talk.adapter.sent
        assert first.reply_to and not any(one.reply_to for one in others)


async def test_a_pause_as_long_as_typing_takes() -> None:
    engines = {"robin": ScriptedEngine("A sentence of words. Another one of words.")}
    config = {"delivery": {"part": 25, "typing_speed": 100}}
    async with talking(engines=engines, config=config) as talk:
        began = asyncio.get_running_loop().time()
        assert len(await talk.say("hi")) == 2
        assert asyncio.get_running_loop().time() - began > 0.2


@pytest.mark.parametrize("text", ["half \ud83d of a pair", "nul \x00 in it", "🙂" * 50])
async def test_any_text_is_stored_and_answered(text: str) -> None:
    async with talking() as talk:
        (reply,) = await talk.say(text)
        assert reply == text.replace("\ud83d", "\ufffd")


async def test_a_chat_that_moves_goes_on(tmp_path: Path) -> None:
    engine = ScriptedEngine()
    async with talking(engines={"robin": engine}) as talk:
        await talk.say("before", chat="old")
        await talk.runtime.move_chat(ACCOUNT, "old", "new")
        await talk.say("after", chat="new")
        assert [message.text for message in engine.prompts[-1]] == ["before", "before", "after"]


async def test_denied_chats_and_talk_of_others_leave_no_trace() -> None:
    async with talking(config={"chats": {"deny": ["loopback:bad"]}}) as talk:
        assert await talk.say("hi", chat="bad") == []
        assert await talk.say("not for you", chat="g", kind="group") == []
        assert await talk.runtime.store.counts() == {"turns": 0}


async def test_typing_is_shown_while_it_thinks() -> None:
    engine = BlockingEngine()
    async with talking(engines={"robin": engine}) as talk:
        typed: list[Any] = []

        async def show(*where: Any) -> None:
            typed.append(where)

        talk.adapter.capabilities = Capabilities(can_type=True)  # type: ignore[misc]
        talk.adapter.show_typing = show  # type: ignore[method-assign]
        await talk.runtime.receive(event("hi", 1))
        await engine.until_asked()
        await asyncio.sleep(0.01)
        engine.go.set()
        await talk.heard()
        assert typed == [(ACCOUNT, Chat("home", "private"))]


async def test_an_adapter_that_fails_is_run_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bot.supervision.FIRST_RETRY", 0.01)
    ran: list[int] = []

    def failing(run: Callable[[Any], Any]) -> Callable[[Any], Any]:
        async def wrapped(self: Any) -> None:
            ran.append(1)
            if len(ran) < 3:
                raise OSError("cable")
            await run(self)

        return wrapped

    from bot.testing import Loopback

    monkeypatch.setattr(Loopback, "run", failing(Loopback.run))
    async with talking() as talk:
        await asyncio.sleep(0.1)
        assert await talk.say("hi") == ["hi"] and len(ran) == 3
    assert "is run again" in caplog.text


async def test_lines_of_the_log_carry_the_number_and_no_text() -> None:
    from bot.logs import Lines, correlated

    record = logging.LogRecord("bot", logging.INFO, "", 0, "sent", (), None)
    with correlated(17):
        assert "#17 sent" in Lines().format(record)
    assert "#" not in Lines().format(record)


async def test_words_of_people_are_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="bot")
    async with talking() as talk:
        await talk.say("a very private matter")
    assert "private matter" not in caplog.text
