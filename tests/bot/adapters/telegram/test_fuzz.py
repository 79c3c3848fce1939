"""Ten thousand strange updates: never a crash, never a stuck connection, never a wrong event."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bot.adapters.telegram.incoming import Me, Move, read_update
from bot.event import Event
from tests.bot.adapters.telegram.conftest import Inbox, running, until
from tests.fakes.bot_api import BOT, BotApi
from tests.fakes.bot_api_text import found_entities

ME = Me(BOT["id"], BOT["username"])
MANY = settings(
    max_examples=10_000,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],
)

ODD = st.sampled_from(
    [None, True, -1, 0, 2**70, 1.5, float("nan"), "", "x", "\ud800", [], {}, [[1]]]
)
ANN = {"id": 501, "is_bot": False, "first_name": "Ann"}
USERS = st.sampled_from([ANN, ANN, ANN, BOT, {**ANN, "first_name": "\udc00"}])
CHATS = st.sampled_from(
    [
        {"id": 501, "type": "private"},
        {"id": -77, "type": "group"},
        {"id": -1000000000077, "type": "supergroup", "is_forum": True},
        {"id": -(2**62), "type": "of_next_year"},
    ]
)
TEXTS = st.one_of(
    st.lists(
        st.sampled_from(["@Snow_Bot", "😀", "/help@snow_bot", " ", "雪", "/x@Other_Bot", "\u0301"]),
        max_size=6,
    ).map("".join),
    st.text(max_size=12),
    st.text(alphabet=st.characters(exclude_categories=[]), max_size=3),  # halves of characters
)
PLACES = st.integers(-2, 24) | st.sampled_from([2**31, -(2**63), 2**63])
MARKS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["mention", "text_mention", "bot_command", "of_next_year"]),
        "offset": PLACES,
        "length": st.sampled_from([9, 14, 2, 1]) | PLACES,
        "user": USERS,
    }
)
PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXTS,
    "caption": TEXTS,
    "entities": st.lists(MARKS, max_size=3),
    "caption_entities": st.lists(MARKS, max_size=2),
    "message_thread_id": st.integers(-1, 9),
    "is_topic_message": st.booleans(),
    "sender_chat": CHATS,
    "photo": st.just([{"file_id": "a", "file_unique_id": "b", "width": 1, "height": 1}]),
}
NEEDED: dict[str, st.SearchStrategy[Any]] = {
    "message_id": st.integers(0, 9),
    "date": st.sampled_from([0, 1790000000, 2**31]),
    "chat": CHATS,
    "from": USERS,
}


def messages(**more: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Whole messages, which carry anything together."""
    return st.fixed_dictionaries(NEEDED, optional={**PLAIN, **more})


ANSWERED = st.sampled_from(
    [
        {"message_id": number, "date": 0, "chat": {"id": -77, "type": "group"}, "from": who, **said}
        for number, who in ((5, BOT), (1, ANN), (2, None))
        for said in ({"text": "x"}, {"forum_topic_created": {"name": "x", "icon_color": 1}})
    ]
)
MESSAGES = messages(reply_to_message=ANSWERED)
ADDRESSED = st.builds(
    lambda message, text: {**message, "text": text, "entities": found_entities(text)},
    messages(),
    TEXTS,
)
MOVED = st.builds(
    lambda message, side, chat: {**message, side: chat},
    messages(),
    st.sampled_from(["migrate_to_chat_id", "migrate_from_chat_id"]),
    st.sampled_from([0, -1000000000077, 2**63]),
)
SPOILT = st.builds(
    lambda message, name, odd: {**message, name: odd},
    MESSAGES,
    st.sampled_from([*NEEDED, *PLAIN, "reply_to_message"]),
    ODD,
)
UPDATES = st.one_of(
    *(st.fixed_dictionaries({"message": kind}) for kind in (MESSAGES, ADDRESSED, MOVED, SPOILT)),
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

    read()
    assert sum(seen.values()) - seen["mention"] >= 10_000
    assert min(seen.values()) > 100, seen


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
        bodies.append(body)

    await asyncio.to_thread(collect)
    for body in bodies:
        api.updates.add_raw(body)
    api.say(ann, "the last one")
    async with running(api, inbox):
        await until(lambda: "the last one" in inbox.texts and not api.updates.pending, 30)
    assert len(bodies) >= 300
