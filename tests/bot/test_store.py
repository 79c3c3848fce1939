import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.errors import StoreError
from bot.event import Account, Chat, Event, Failed, Outgoing, Sender, Sent, SessionKey, Unknown
from bot.store import Accepted, Answer, Store

pytestmark = pytest.mark.anyio

ACCOUNT = Account("telegram", "7")
CHAT = Chat("c", "group")


def event(number: int, chat: str = "c", text: str = "hi") -> Event:
    return Event(ACCOUNT, Chat(chat, "group"), Sender("42"), str(number), text, 0.0)


def outgoing(text: str) -> Outgoing:
    return Outgoing("", ACCOUNT, CHAT, text)


async def accepted(store: Store, number: int, chat: str = "c") -> Accepted:
    one = event(number, chat)
    found = await store.accept(one, SessionKey.of(one))
    assert found is not None
    return found


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = Store(tmp_path / "bot.db")
    yield opened
    opened.close()


async def answered(store: Store, number: int, question: str, reply: str) -> list[Outgoing]:
    one = await accepted(store, number)
    return await store.settle(Answer([one], (question, reply), messages=[outgoing(reply)]))


async def test_an_event_is_taken_once(store: Store) -> None:
    one = event(1)
    results = await asyncio.gather(*(store.accept(one, SessionKey.of(one)) for _ in range(20)))
    assert len([result for result in results if result is not None]) == 1
    assert await store.accept(event(1, "other"), SessionKey.of(event(1, "other"))) is not None


async def test_what_waits_is_there_after_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path / "bot.db")
    one, two = await accepted(store, 1), await accepted(store, 2)
    await store.settle(Answer([one], ("q", "a"), messages=[outgoing("a")]))
    store.close()
    store = Store(tmp_path / "bot.db")
    assert await store.waiting() == [two]
    ((key, message),) = await store.unsent()
    assert (str(key), message.text) == ("telegram:7:c", "a")
    store.close()


async def test_a_message_being_sent_is_unknown_and_not_sent_again(tmp_path: Path) -> None:
    store = Store(tmp_path / "bot.db")
    (message,) = await answered(store, 1, "q", "a")
    await store.sending(message)
    store.close()  # as if it were killed here
    store = Store(tmp_path / "bot.db")
    assert await store.unsent() == []
    assert (await store.counts())["outbox.unknown"] == 1
    store.close()


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Sent("9"), "sent"),
        (Unknown("timeout"), "unknown"),
        (Failed("blocked"), "failed"),
        (Failed("away", retry_after=1.0), "pending"),
    ],
)
async def test_an_outcome_is_a_state(
    store: Store, outcome: Sent | Unknown | Failed, state: str
) -> None:
    (message,) = await answered(store, 1, "q", "a")
    await store.sending(message)
    store.sent(message, outcome)
    assert (await store.counts())[f"outbox.{state}"] == 1


async def test_ids_of_messages_never_come_again(store: Store, tmp_path: Path) -> None:
    (message,) = await answered(store, 1, "q", "a")
    with sqlite3.connect(tmp_path / "bot.db") as connection:
        connection.execute("DELETE FROM outbox")
    (later,) = await answered(store, 2, "q", "a")
    assert int(later.id) > int(message.id)


async def test_undo_and_reset_hide_and_delete_nothing(store: Store) -> None:
    key = SessionKey.of(event(1))
    for number in range(1, 5):
        await answered(store, number, f"q{number}", f"a{number}")
    history = await store.history(key, 10)
    assert [one.user for one in history] == ["q1", "q2", "q3", "q4"]
    await store.settle(Answer([await accepted(store, 5)], undone=history[1].id))
    assert [one.user for one in await store.history(key, 2)] == ["q3", "q4"]
    assert [one.user for one in await store.history(key, 3)] == ["q1", "q3", "q4"]
    await store.settle(Answer([await accepted(store, 6)], ("q6", "a6"), reset=True))
    assert [one.user for one in await store.history(key, 10)] == ["q6"]
    assert (await store.counts())["turns"] == 10


async def test_killed_while_a_first_part_is_sent_it_is_answered_whole(tmp_path: Path) -> None:
    store = Store(tmp_path / "bot.db")
    one = await accepted(store, 1)
    await store.begin([one], outgoing(""))
    store.close()  # as if it were killed here
    store = Store(tmp_path / "bot.db")
    assert await store.waiting() == [one] and await store.unsent() == []
    assert (await store.counts())["outbox.unknown"] == 1
    store.close()


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Failed("away", retry_after=1.0), "failed"),
        (Unknown("timeout"), "unknown"),
        (Sent(""), "sent"),
    ],
)
async def test_a_first_part_that_cannot_be_edited_leaves_the_whole_to_be_said(
    store: Store, outcome: Sent | Unknown | Failed, state: str
) -> None:
    one = await accepted(store, 1)
    begun = await store.begin([one], outgoing("a"))
    await store.begun(begun, outcome)
    assert await store.waiting() == [one] and await store.unsent() == []
    assert (await store.counts())[f"outbox.{state}"] == 1


async def test_a_reply_that_is_shown_is_finished_after_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path / "bot.db")
    one = await accepted(store, 1)
    begun = await store.begin([one], outgoing("a"))
    await store.begun(begun, Sent("77"))
    shown = replace(begun, edits="77")
    store.close()  # as if it were killed here
    store = Store(tmp_path / "bot.db")
    assert await store.unsent() == []
    (again,) = await store.waiting()
    assert again == replace(one, shown=shown) and again.shown
    answer = Answer([again], ("q", "a b"), messages=[outgoing("a!"), outgoing("b")])
    first, second = await store.finish(answer, again.shown)
    assert first == replace(shown, text="a!") and second.text == "b" and not second.edits
    assert [one.assistant for one in await store.history(one.session, 5)] == ["a b"]
    store.close()  # and here
    store = Store(tmp_path / "bot.db")
    assert await store.waiting() == []
    assert [message for _, message in await store.unsent()] == [first, second]
    store.close()


async def test_what_is_shown_of_an_answer_that_is_given_up_stays_as_it_is(store: Store) -> None:
    one = await accepted(store, 1)
    begun = await store.begin([one], outgoing("a"))
    await store.begun(begun, Sent("77"))
    await store.mark([one], "done")
    assert await store.counts() == {"inbox.done": 1, "outbox.sent": 1, "turns": 0}


async def test_what_is_shown_in_a_chat_that_moves_is_said_anew(store: Store) -> None:
    one, two = await accepted(store, 1), await accepted(store, 2)
    begun = await store.begin([one], outgoing("a"))
    await store.begun(begun, Sent("77"))
    begun = await store.begin([two], outgoing("b"))
    await store.begun(begun, Sent("78"))
    shown = replace(begun, edits="78")
    await store.finish(Answer([two], ("q", "b"), messages=[outgoing("b")]), shown)
    await store.move_chat(ACCOUNT, "c", "new")
    (again,) = await store.waiting()
    ((_, message),) = await store.unsent()
    assert again.shown is None and message.edits is None and message.chat.id == "new"


async def test_what_a_plugin_keeps_of_a_round_moves_with_its_chat(store: Store) -> None:
    await store.put("correct", "", "telegram:7:c 12", "a")
    await store.put("correct", "", "telegram:7:cc 13", "b")
    await store.move_chat(ACCOUNT, "c", "new")
    assert await store.items("correct", "") == {"telegram:7:new 12": "a", "telegram:7:cc 13": "b"}


async def test_an_answer_cancelled_in_its_commit_is_sent_at_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    store = Store(path)
    one, two = await accepted(store, 1), await accepted(store, 2)
    holder = sqlite3.connect(path, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")  # the commit is under way, and waits
    for event in (one, two):
        answer = Answer([event], ("q", "a"), messages=[outgoing("a")])
        settling = asyncio.create_task(store.settle(answer, sending=True))
        await asyncio.sleep(0.05)
        settling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await settling
        store.unsend([event])
    holder.rollback()
    store.close()
    store = Store(path)
    ((_, message),) = await store.unsent()
    # The second was not begun: nothing of it was written, and it is answered afresh.
    assert message.text == "a" and await store.waiting() == [two]
    assert await store.counts() == {
        "inbox.accepted": 1, "inbox.done": 1, "outbox.pending": 1, "turns": 2
    }  # fmt: skip
    store.close()
    holder.close()


async def test_a_chat_that_moves_takes_everything_along(store: Store) -> None:
    await answered(store, 1, "q", "a")
    waits = await accepted(store, 2)
    other = await accepted(store, 3, "cc")
    await store.settle(Answer([await accepted(store, 4)], persona="dory"))
    for _ in range(2):
        await store.move_chat(ACCOUNT, "c", "new")
    key = SessionKey("telegram", "7", "new")
    assert [one.user for one in await store.history(key, 5)] == ["q"]
    assert [one.session for one in await store.waiting()] == [key, other.session]
    assert (await store.waiting())[0].id == waits.id
    assert await store.personas() == {key: "dory"}
    ((session, message),) = await store.unsent()
    assert session == key and message.chat.id == "new"


async def test_a_locked_moment_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    store = Store(path)
    holder = sqlite3.connect(path, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    asyncio.get_running_loop().call_later(0.3, holder.rollback)
    assert await accepted(store, 1)
    store.close()
    holder.close()


async def test_a_database_locked_for_good_is_told(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    store = Store(path, patience=0.0)
    store._transaction._db.conn.execute("PRAGMA busy_timeout = 10")
    holder = sqlite3.connect(path)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        await accepted(store, 1)
    holder.rollback()
    assert await accepted(store, 1), "it is usable again"
    holder.close()
    store.close()


async def test_a_full_disk_is_told_and_nothing_is_half_written(tmp_path: Path) -> None:
    store = Store(tmp_path / "bot.db")
    pages = store._transaction._db.conn.execute("PRAGMA page_count").fetchone()[0]
    store._transaction._db.conn.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreError, match="full") as raised:
        for number in range(100):
            long = event(number, text="x" * 2000)
            await store.accept(long, SessionKey.of(long))
    assert "room" in str(raised.value)
    assert len(await store.waiting()) < 100
    store.close()


async def test_a_closed_store_says_so_and_has_written_all_it_took(tmp_path: Path) -> None:
    store = Store(tmp_path / "bot.db")
    late = asyncio.create_task(accepted(store, 1))
    await asyncio.sleep(0)
    store.close()
    assert (await late).id == 1
    with pytest.raises(StoreError, match="closed"):
        await store.counts()
    store.close()


async def test_a_read_only_database_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path / "bot.db")
    store._transaction._db.conn.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match="readonly") as raised:
        await accepted(store, 1)
    assert "writable" in str(raised.value) and "bot.db" in str(raised.value)
    store.close()


@pytest.mark.parametrize("content", [b"this is no database, not at all" * 40])
def test_another_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bot.db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"bot\.db.*not a database"):
        Store(path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unable to open"):
        Store(tmp_path / "none" / "bot.db")


async def test_work_that_fails_takes_back_only_itself(store: Store) -> None:
    async def fail() -> None:
        def work(db: object) -> None:
            db.conn.execute("DELETE FROM inbox")  # type: ignore[attr-defined]
            raise LookupError("mine")

        await store._transaction(work)

    await accepted(store, 1)
    results = await asyncio.gather(fail(), accepted(store, 2), return_exceptions=True)
    assert isinstance(results[0], LookupError)
    assert [one.event.message_id for one in await store.waiting()] == ["1", "2"]


async def test_plugins_keep_apart_what_they_keep(store: Store) -> None:
    await store.put("a", "s", "k", "1")
    await store.put("b", "s", "k", "2")
    assert await store.get("a", "s", "k") == "1" and await store.items("b", "s") == {"k": "2"}
    await store.put("a", "s", "k", None)
    assert await store.get("a", "s", "k") is None and await store.get("b", "s", "k") == "2"


# --- one commit for many ----------------------------------------------------------------------


def commits(store: Store) -> list[str]:
    """Return a list that grows by each commit."""
    found: list[str] = []

    def trace(statement: str) -> None:
        if statement == "COMMIT":
            found.append(statement)

    store._transaction._db.conn.set_trace_callback(trace)
    return found


def in_inbox(path: Path) -> int:
    """Count with a connection that only sees what is committed."""
    with sqlite3.connect(path) as connection:
        return int(connection.execute("SELECT count(*) FROM inbox").fetchone()[0])


async def test_what_waits_at_the_same_time_shares_a_commit(store: Store) -> None:
    found = commits(store)
    await asyncio.gather(*(accepted(store, number) for number in range(100)))
    assert len(found) == 1
    await asyncio.gather(*(accepted(store, number) for number in range(100, 700)))
    assert len(found) < 6, "256 in each at most"


async def test_what_was_accepted_is_committed(store: Store, tmp_path: Path) -> None:
    async def check(number: int) -> None:
        await accepted(store, number)
        assert in_inbox(tmp_path / "bot.db") > number

    for number in range(20):
        await check(number)


async def test_nothing_is_confirmed_nor_held_up_while_the_database_is_locked(
    tmp_path: Path,
) -> None:
    path = tmp_path / "bot.db"
    store = Store(path)
    holder = sqlite3.connect(path)
    holder.execute("BEGIN IMMEDIATE")
    waiting = [asyncio.create_task(accepted(store, number)) for number in range(3)]
    for _ in range(20):  # the loop goes on, and what is there can be read
        began = asyncio.get_running_loop().time()
        assert await store.history(SessionKey.of(event(1)), 5) == []
        await asyncio.sleep(0.01)
        assert asyncio.get_running_loop().time() - began < 1
    assert not any(task.done() for task in waiting) and in_inbox(path) == 0
    holder.rollback()
    await asyncio.gather(*waiting)
    assert in_inbox(path) == 3
    holder.close()
    store.close()


async def test_a_commit_that_fails_confirms_nothing(store: Store, tmp_path: Path) -> None:
    connection = store._transaction._db.conn
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    long = [event(number, text="x" * 2000) for number in range(50)]
    results = await asyncio.gather(
        *(store.accept(one, SessionKey.of(one)) for one in long), return_exceptions=True
    )
    assert all(isinstance(result, StoreError) for result in results)
    assert in_inbox(tmp_path / "bot.db") == 0
    connection.execute("PRAGMA max_page_count = 1000000")
    assert (await accepted(store, 1)).id, "it is usable again"


async def test_a_message_sent_at_once_is_noted_in_the_commit_of_its_answer(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path / "bot.db")
    answer = Answer([await accepted(store, 1)], ("q", "a b"), messages=[*map(outgoing, "ab")])
    found = commits(store)
    assert [one.text for one in await store.settle(answer, sending=True)] == ["a", "b"]
    assert len(found) == 1
    store.close()  # as if it were killed here
    store = Store(tmp_path / "bot.db")
    assert [message.text for _, message in await store.unsent()] == ["b"]
    assert (await store.counts())["outbox.unknown"] == 1
    store.close()


async def test_an_outcome_that_cannot_be_written_is_logged(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    (message,) = await answered(store, 1, "q", "a")
    store._transaction._db.conn.execute("PRAGMA query_only = ON")
    store.sent(message, Sent("9"))
    with pytest.raises(StoreError, match="readonly"):
        await accepted(store, 2)
    assert "not written" in caplog.text and "readonly" in caplog.text
