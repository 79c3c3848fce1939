from typing import Any

import pytest

from bot.config import Chats, Triggers
from bot.event import Account, Chat, Event, Sender
from bot.testing import TESTER
from bot.triggers import is_called, is_meant, talks_in


def event(text: str = "hm", *, kind: Any = "group", number: int = 1, **more: Any) -> Event:
    chat = Chat("group-9", kind)
    return Event(Account("onebot_v11", "1"), chat, Sender("2"), str(number), text, 0.0, **more)


def meant(one: Event, **triggers: Any) -> bool:
    return is_meant(Triggers(**triggers), one, TESTER, lambda text: text == "/help")


@pytest.mark.parametrize(
    ("one", "off"),
    [
        (event(mentions_bot=True), {"mention": False}),
        (event(replies_to_bot=True), {"reply": False}),
        (event("Rob, hi"), {"nickname": False}),
    ],
)
def test_each_trigger_works_and_can_be_turned_off(one: Event, off: dict[str, bool]) -> None:
    assert meant(one) and not meant(one, **off)


def test_private_chats_and_commands_are_always_meant() -> None:
    nothing = {"mention": False, "reply": False, "nickname": False}
    assert meant(event(kind="private"), **nothing) and meant(event("/help"), **nothing)
    assert not meant(event("hm")) and not meant(event("", kind="private"))


def test_a_bare_mention_is_meant() -> None:
    bare = event("", mentions_bot=True)
    assert meant(bare) and not meant(bare, mention=False)


@pytest.mark.parametrize(
    ("text", "called"),
    [
        ("雪雪，你好", True),
        ("你好呀雪雪！", True),
        ("@雪雪 在吗", True),
        ("我今天看到雪雪了呢", False),
        ("ROB: hi", True),
        ("ｒｏｂ，hi", True),
        ("robots are nice", False),
        ("he was a snob", False),
        ("what do you think, Rob?", True),
    ],
)
def test_a_name_calls_at_either_end(text: str, called: bool) -> None:
    assert is_called(text, ("沐雪", "雪雪", "Rob")) is called


def test_the_lot_is_drawn_by_the_message() -> None:
    drawn = [meant(event(number=number), random=0.2) for number in range(2000)]
    assert drawn == [meant(event(number=number), random=0.2) for number in range(2000)]
    assert 300 < sum(drawn) < 500
    assert not meant(event(), random=0.0) and meant(event(), random=1.0)


@pytest.mark.parametrize(
    ("chats", "talks"),
    [
        ({}, True),
        ({"allow": ["onebot_v11:group-9"]}, True),
        ({"allow": ["onebot_v11:group-*"]}, True),
        ({"allow": ["telegram:*"]}, False),
        ({"deny": ["onebot_v11:group-9"]}, False),
    ],
)
def test_allow_and_deny(chats: dict[str, list[str]], talks: bool) -> None:
    assert talks_in(Chats.model_validate(chats), event()) is talks
