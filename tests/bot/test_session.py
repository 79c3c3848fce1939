import asyncio

import pytest

from bot.event import Account, Chat, Event, Sender, SessionKey
from bot.session import Sessions
from bot.store import Accepted

pytestmark = pytest.mark.anyio


def accepted(number: int, chat: str = "c", user: str = "ann") -> Accepted:
    one = Event(Account("t", "1"), Chat(chat, "group"), Sender(user), str(number), "hi", 0.0)
    return Accepted(number, SessionKey.of(one), one)


class Answering:
    """Takes a moment for each message, and notes in which order they were dealt with."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.done: list[list[int]] = []

    async def __call__(self, events: list[Accepted]) -> None:
        await asyncio.sleep(self.seconds)
        if events[0].id == 13:
            raise LookupError("unlucky")
        self.done.append([one.id for one in events])


def sessions(answering: Answering, *, debounce: float = 0.0, limit: int = 100) -> Sessions:
    def same(first: Accepted, more: Accepted) -> bool:
        return first.event.user == more.event.user

    return Sessions(answering, same, debounce=debounce, limit=limit)


async def test_twenty_messages_at_once_are_answered_in_order() -> None:
    answering = Answering(0.001)
    workers = sessions(answering)
    for number in range(20):
        workers.put(accepted(number).session, accepted(number))
    await workers.idle()
    assert answering.done == [[number] for number in range(20) if number != 13]


async def test_no_session_waits_for_another_and_none_is_kept() -> None:
    answering = Answering(0.05)
    workers = sessions(answering)
    began = asyncio.get_running_loop().time()
    for number in range(100, 300):
        one = accepted(number, chat=str(number))
        workers.put(one.session, one)
    assert len(workers) == 200
    await workers.idle()
    assert asyncio.get_running_loop().time() - began < 1.0
    assert len(answering.done) == 200 and len(workers) == 0
    assert not [task for task in asyncio.all_tasks() if "session" in task.get_name()]


async def test_it_says_when_it_is_full() -> None:
    workers = sessions(Answering(0.05), limit=2)
    key = accepted(1).session
    for number in range(1, 4):
        assert not workers.is_full(key)
        workers.put(key, accepted(number))
        await asyncio.sleep(0)  # the first one is not waiting any more
    assert workers.is_full(key) and not workers.is_full(accepted(1, "other").session)
    await workers.idle()
    assert not workers.is_full(key)


async def test_rapid_messages_of_one_person_are_one() -> None:
    answering = Answering()
    workers = sessions(answering, debounce=0.05)
    key = accepted(1).session
    for number in (1, 2):
        workers.put(key, accepted(number))
        await asyncio.sleep(0.02)
    workers.put(key, accepted(3, user="bob"))
    workers.put(key, accepted(4))
    await workers.idle()
    assert answering.done == [[1, 2], [3], [4]]


async def test_draining_waits_and_then_ends_what_is_left() -> None:
    quick, slow = Answering(0.01), Answering(60)
    workers = sessions(quick)
    workers.put(accepted(1).session, accepted(1))
    assert await workers.drain(5) and quick.done == [[1]]
    workers = sessions(slow)
    workers.put(accepted(1).session, accepted(1))
    assert not await workers.drain(0.01) and slow.done == [] and len(workers) == 0
