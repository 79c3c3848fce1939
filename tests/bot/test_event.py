import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.event import Account, Chat, Event, Sender, SessionKey

PART = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


def event(**changes: object) -> Event:
    values: dict[str, object] = {
        "account": Account("telegram", "7"),
        "chat": Chat("-100", "group"),
        "sender": Sender("42"),
        "message_id": "1",
        "text": "hi",
        "time": 0.0,
    }
    return Event(**{**values, **changes})  # type: ignore[arg-type]


@given(PART, PART, PART, st.none() | PART, st.none() | PART)
def test_a_key_is_read_as_it_was_written(
    platform: str, self_id: str, chat: str, thread: str | None, user: str | None
) -> None:
    key = SessionKey(platform, self_id, chat, thread, user)
    assert SessionKey.parse(str(key)) == key


def test_a_thread_is_no_user() -> None:
    thread, user = SessionKey("t", "1", "2", thread="3"), SessionKey("t", "1", "2", user="3")
    assert str(thread) != str(user) and str(thread) == "t:1:2:t3"
    with pytest.raises(ValueError):
        SessionKey.parse("t:1:2:x3")


def test_the_scope_says_who_shares_a_history() -> None:
    ann, bob = event(), event(sender=Sender("43"))
    assert SessionKey.of(ann) == SessionKey.of(bob)
    assert SessionKey.of(ann, per_user=True) != SessionKey.of(bob, per_user=True)
    topic = event(chat=Chat("-100", "group", "5"))
    assert SessionKey.of(topic) != SessionKey.of(ann)
    assert SessionKey.of(topic).whole_chat == SessionKey.of(ann, per_user=True).whole_chat
