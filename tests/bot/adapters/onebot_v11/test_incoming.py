"""Recorded events and what they must become; shapes as NapCat, Lagrange and go-cqhttp send them."""

import json
from typing import Any

import pytest

from bot.adapters.onebot_v11.incoming import read_message
from bot.adapters.onebot_v11.wire import (
    HeartbeatFrame,
    MessageFrame,
    OtherFrame,
    ResponseFrame,
    read_frame,
)
from bot.event import Chat, Event, Sender
from tests.fakes.onebot import QQ, at, reply, text


def event(message: Any, *, as_string: bool = False, **fields: Any) -> Event | None:
    made = QQ(as_string=as_string).message(message, **fields)
    frame = read_frame(json.dumps(made))
    assert isinstance(frame, MessageFrame)
    return read_message(frame)


def heard(message: Any, **fields: Any) -> Event:
    found = event(message, **fields)
    assert found is not None
    return found


def test_a_group_message() -> None:
    sender = {"user_id": 7, "nickname": "小明", "card": "班长", "role": "admin"}
    found = heard("大家好", group=5, user=7, sender=sender, message_id=-12, time=1700000000)
    assert str(found.account) == "onebot_v11:10001"
    assert found.chat == Chat("group-5", "group")
    assert found.sender == Sender("7", "班长", "admin")
    assert (found.message_id, found.time) == ("-12", 1700000000)
    assert not found.mentions_bot and not found.replies_to_bot and found.reply_to is None


def test_a_private_message() -> None:
    found = heard("在吗", user=7)
    assert found.chat == Chat("private-7", "private")
    assert found.sender == Sender("7", "小明", "member")


def test_a_private_chat_and_a_group_of_one_number_are_two() -> None:
    assert heard("嗨", user=7).chat != heard("嗨", group=7).chat


@pytest.mark.parametrize("as_string", [False, True])
@pytest.mark.parametrize(
    ("message", "said", "mentions"),
    [
        ([at(10001), text(" 你好")], "你好", True),
        ([text("喂"), at(10001), text("?")], "喂?", True),
        ([at("all"), text("开会")], "@everyone 开会", False),
        ([at(7), text("看")], "@7 看", False),
        ([{"type": "at", "data": {"qq": "7", "name": "@小红"}}], "@小红", False),
        (
            [{"type": "image", "data": {"file": "a,b.png", "url": "http://x/?a=1&b=[2]"}}],
            "",
            False,
        ),
        ([{"type": "face", "data": {"id": "178"}}, text("哈")], "哈", False),
        ([text("&#91;CQ:at,qq=10001&#93;")], "&#91;CQ:at,qq=10001&#93;", False),
    ],
)
def test_segments_become_text(message: Any, said: str, mentions: bool, as_string: bool) -> None:
    found = heard(message, group=1, as_string=as_string)
    assert (found.text, found.mentions_bot) == (said, mentions)


@pytest.mark.parametrize("as_string", [False, True])
def test_a_reply_names_its_message(as_string: bool) -> None:
    found = heard([reply(-5), at(10001), text(" 对")], group=1, as_string=as_string)
    assert (found.reply_to, found.text) == ("-5", "对")


def test_typed_text_is_no_code_in_an_array() -> None:
    found = heard("[CQ:at,qq=10001]", group=1)
    assert found.text == "[CQ:at,qq=10001]" and not found.mentions_bot


def test_the_anonymous_are_told_apart() -> None:
    hidden = {"id": 99, "name": "大力鬼王", "flag": "x"}
    found = heard("嘘", group=1, user=80000000, sub_type="anonymous", anonymous=hidden)
    assert found.sender == Sender("anonymous-99", "大力鬼王", "member")


def test_anonymous_without_an_id_is_nobody() -> None:
    assert heard("嗨", group=1, anonymous={}).sender.id == "20002"


def test_a_stranger_by_way_of_a_group() -> None:
    for where in ({"group_id": 5}, {"sender": {"nickname": "x", "group_id": 5}}):
        assert heard("嗨", user=7, sub_type="group", **where).chat.id == "temporary-5-7"


def test_what_nobody_said_is_no_event() -> None:
    assert event("我", group=1, user=10001) is None
    assert event("管理员已禁止匿名", group=1, sub_type="notice") is None
    assert event("哪里", message_type="group") is None


def test_a_name_and_a_role_are_best_effort() -> None:
    assert heard("嗨", sender=None).sender == Sender("20002")
    assert heard("嗨", group=1, sender={"role": 3, "card": None}).sender == Sender("20002")


def test_half_a_character_becomes_a_whole_one() -> None:
    found = heard("嗨\ud83d", sender={"nickname": "\udc00"})
    assert found.text.encode() and found.sender.name.encode()


def test_data_may_be_null_and_values_numbers() -> None:
    message = [{"type": "shake", "data": None}, {"type": "at", "data": {"qq": 10001}}]
    assert heard(message, group=1).mentions_bot


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        ({"post_type": "meta_event", "meta_event_type": "lifecycle", "self_id": 1}, OtherFrame),
        (
            {
                "post_type": "meta_event",
                "meta_event_type": "heartbeat",
                "self_id": 1,
                "interval": 5000,
                "status": {"online": None, "good": True, "app_initialized": True},
            },
            HeartbeatFrame,
        ),
        ({"post_type": "notice", "notice_type": "poke", "self_id": "1"}, OtherFrame),
        ({"post_type": "message_sent", "self_id": 1, "user_id": 1}, OtherFrame),
        ({"status": "ok", "retcode": 0, "data": None, "echo": {"seq": 1}}, ResponseFrame),
        ({"status": "failed", "retcode": 1403, "message": "token验证失败"}, ResponseFrame),
        ({"post_type": "message", "self_id": True}, type(None)),
        ({"post_type": "notice", "self_id": 1.5}, type(None)),
        ({"post_type": "notice", "self_id": "1 2"}, type(None)),
        ({}, type(None)),
    ],
)
def test_frames_are_told_apart(frame: dict[str, Any], kind: type) -> None:
    assert type(read_frame(json.dumps(frame))) is kind


def test_a_heartbeat_of_nonsense_is_left_out() -> None:
    for interval in (0, -1, 1e308, "soon", None):
        beat = QQ().heartbeat(1) | {"interval": interval}
        assert read_frame(json.dumps(beat)) is None
