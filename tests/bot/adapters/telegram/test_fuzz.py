"""Ten thousand strange updates: never a crash, never a stuck connection, never a wrong event."""

import asyncio
import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.adapters.telegram.incoming import Me, Move, read_update
from bot.event import Event
from tests.bot.adapters.telegram.conftest import Inbox, running, until
from tests.fakes.bot_api import BOT, BotApi

ME = Me(BOT["id"], BOT["username"])
MANY = settings(
    max_examples=10_000,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=8), st.integers(), max_size=3),
)
USERS = st.sampled_from(
    [BOT, {"id": 501, "is_bot": False, "first_name": "Ann"}, {"id": 2**60, "is_bot": True}, {}]
)
CHATS = st.fixed_dictionaries(
    {
        "id": st.integers(-(2**63), 2**63),
        "type": st.sampled_from(["private", "group", "supergroup", "channel", "odd"]),
    }
)
NAMES = st.sampled_from(
    ["mention", "text_mention", "bot_command", "url", "of_next_year"],
)
MARKS = st.fixed_dictionaries(
    {
        "type": NAMES,
        "offset": st.integers(-3, 40) | st.integers(),
        "length": st.integers(-3, 40) | st.integers(),
    },
    optional={"user": USERS},
)
TEXTS = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=[]), max_size=40),  # lone surrogates too
    st.lists(
        st.sampled_from(["@Snow_Bot", "😀", "/help@snow_bot", " ", "雪", "/x@Other_Bot"]),
        max_size=6,
    ).map("".join),
)
PLAIN = {
    "message_id": st.integers(0, 2**53),
    "date": st.integers(0, 2**40),
    "chat": CHATS,
    "from": USERS,
    "text": TEXTS,
    "caption": TEXTS,
    "entities": st.lists(MARKS, max_size=4),
    "caption_entities": st.lists(MARKS, max_size=4),
    "message_thread_id": st.integers(-1, 9),
    "is_topic_message": st.booleans(),
    "sender_chat": CHATS,
    "migrate_to_chat_id": st.integers(-(2**63), 2**63),
    "migrate_from_chat_id": st.integers(-(2**63), 2**63),
    "photo": st.just([{"file_id": "a", "file_unique_id": "b", "width": 1, "height": 1}]),
}


def messages(answered: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Mostly whole, now and then with a field of any kind."""
    fields = {**PLAIN, "reply_to_message": answered}
    needed = {name: fields.pop(name) for name in ("message_id", "date", "chat", "from", "text")}
    whole = st.fixed_dictionaries(needed, optional=fields)
    one_odd = st.tuples(st.sampled_from([*needed, *fields]), ODD).map(lambda pair: dict([pair]))
    return st.builds(lambda message, odd: {**message, **odd}, whole, st.just({}) | one_odd)


MESSAGES = messages(messages(st.none()) | ODD)
UPDATES = st.one_of(
    st.fixed_dictionaries({"message": MESSAGES}),
    st.fixed_dictionaries({"message": ODD}),
    st.dictionaries(st.sampled_from(["message", "edited_message", "poll", "x"]), ODD, max_size=2),
)


def test_every_update_is_an_event_or_nothing() -> None:
    """At least 10,000 examples, and among them plenty that mean something."""
    seen = {"event": 0, "move": 0, "nothing": 0, "refused": 0, "mention": 0}

    @MANY
    @given(UPDATES)
    def read(body: dict[str, Any]) -> None:
        try:
            meant = read_update({"update_id": 1, **body}, ME)
        except ValueError:
            seen["refused"] += 1
            return
        if isinstance(meant, Event):
            seen["event"] += 1
            seen["mention"] += meant.mentions_bot
            check(meant)
        else:
            seen["move" if isinstance(meant, Move) else "nothing"] += 1

    begun = time.monotonic()
    read()
    assert sum(seen.values()) - seen["mention"] >= 10_000
    assert min(seen.values()) > 100, seen
    assert time.monotonic() - begun < 60


def check(event: Event) -> None:
    event.text.encode()  # the database and the model take no halves of characters
    event.sender.name.encode()
    assert event.text == event.text.strip()
    assert event.sender.id != str(BOT["id"])
    assert event.chat.thread != "1"
    assert int(event.chat.id) is not None and int(event.message_id) is not None


@pytest.mark.anyio
async def test_the_connection_outlives_them(api: BotApi, inbox: Inbox) -> None:
    """Some of them through the socket; a plain message after them still arrives."""
    ann = api.chats.private(501)
    bodies: list[dict[str, Any]] = []

    @settings(MANY, max_examples=300)
    @given(UPDATES)
    def collect(body: dict[str, Any]) -> None:
        bodies.append(json.loads(json.dumps(body)))

    await asyncio.to_thread(collect)
    for body in bodies:
        api.updates.add_raw(body)
    api.say(ann, "the last one")
    async with running(api, inbox):
        await until(lambda: "the last one" in inbox.texts and not api.updates.pending, 30)
    assert len(bodies) >= 300
