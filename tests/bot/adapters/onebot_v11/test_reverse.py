"""Reverse WebSocket: who is let in, who speaks for an account, what is lost when it breaks."""

import asyncio
import json
import logging
import time
from dataclasses import replace

import aiohttp
import pytest

from bot.adapters.onebot_v11.door import is_same
from bot.errors import AdapterError
from bot.event import Failed, Sent, Unknown
from tests.bot.adapters.onebot_v11.conftest import (
    TIMING,
    Inbox,
    address,
    eventually,
    outgoing,
    running,
)
from tests.fakes.onebot import QQ, at, reply, text
from tests.fakes.onebot_links import connected

pytestmark = pytest.mark.anyio

SECRET = "it is a secret"


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEBOT_TOKEN", SECRET)


async def test_a_conversation(qq: QQ, inbox: Inbox) -> None:
    async with running(inbox) as bot, connected(qq, address(bot)):
        message_id = await qq.hear([at(10001), text(" 你好")], group=1)
        (event,) = await inbox.until(1)
        assert (event.text, event.mentions_bot, event.chat.id) == ("你好", True, "group-1")
        sent = await bot.send(outgoing("咱在", reply_to=event.message_id, mention="20002"))
        (said,) = await qq.until_said(1)
        assert sent == Sent(str(said.message_id))
        assert said.of("reply") == [{"id": str(message_id)}]
        assert said.of("at") == [{"qq": "20002"}]
        assert (said.chat, said.text) == ("group-1", " 咱在")


async def test_events_that_are_strings_are_read_as_well(qq: QQ, inbox: Inbox) -> None:
    qq.as_string = True
    async with running(inbox) as bot, connected(qq, address(bot)):
        await qq.hear([at(10001), text("[1, 2] & 3")], group=1)
        (event,) = await inbox.until(1)
        assert (event.text, event.mentions_bot) == ("[1, 2] & 3", True)


# --- who is let in ----------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["Bearer", "Token"])
async def test_the_right_token(token: None, qq: QQ, inbox: Inbox, scheme: str) -> None:
    async with (
        running(inbox, token_env="ONEBOT_TOKEN") as bot,
        connected(qq, address(bot), token=SECRET, scheme=scheme),
    ):
        await qq.hear("在吗")
        await inbox.until(1)


async def test_the_right_token_in_the_query(token: None, qq: QQ, inbox: Inbox) -> None:
    async with running(inbox, token_env="ONEBOT_TOKEN") as bot:
        url = f"{address(bot)}?access_token=it%20is%20a%20secret"
        async with connected(qq, url):
            await qq.hear("在吗")
            await inbox.until(1)


@pytest.mark.parametrize(("given", "status"), [(None, 401), ("", 401), ("wrong", 403)])
async def test_a_wrong_token_is_refused_and_said_once(
    token: None,
    qq: QQ,
    inbox: Inbox,
    caplog: pytest.LogCaptureFixture,
    given: str | None,
    status: int,
) -> None:
    async with running(inbox, token_env="ONEBOT_TOKEN") as bot:
        for _ in range(3):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                async with connected(qq, address(bot), token=given):
                    pass
            assert refused.value.status == status
        assert not bot.accounts
    assert caplog.text.count("refused a connection from") == 1
    assert SECRET not in caplog.text


async def test_an_empty_bearer_is_no_token(qq: QQ, inbox: Inbox) -> None:
    async with running(inbox) as bot, connected(qq, address(bot), token=""):
        await eventually(lambda: bot.accounts)


async def test_a_web_page_does_not_get_in_without_a_token(qq: QQ, inbox: Inbox) -> None:
    async with running(inbox) as bot:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with connected(qq, address(bot), Origin="https://evil.example"):
                pass
        assert refused.value.status == 403


async def test_a_plain_request_is_told_to_upgrade(inbox: Inbox) -> None:
    async with running(inbox) as bot, aiohttp.ClientSession() as session:
        response = await session.get(address(bot).replace("ws:", "http:"))
        assert response.status == 426


async def test_another_path_is_refused_and_ours_is_named(
    qq: QQ, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(inbox) as bot:
        async with connected(qq, f"{address(bot)}/"):
            await eventually(lambda: bot.accounts)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with connected(qq, f"ws://127.0.0.1:{bot.port}/ws"):
                pass
        assert refused.value.status == 404
    assert "another path than /onebot/v11/ws" in caplog.text


async def test_secrets_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """By digests of one length, so that not even the length of the token shows."""
    compared: list[tuple[bytes, bytes]] = []
    monkeypatch.setattr(
        "bot.adapters.onebot_v11.door.hmac.compare_digest",
        lambda one, other: compared.append((one, other)) or one == other,
    )
    assert is_same("a", "a") and not is_same("a", SECRET) and not is_same("ü", "")
    assert {len(digest) for pair in compared for digest in pair} == {32}


async def test_a_port_in_use_is_an_error_to_mend(inbox: Inbox) -> None:
    async with running(inbox) as bot:
        with pytest.raises(AdapterError, match=f"cannot listen on 127.0.0.1:{bot.port}"):
            async with running(Inbox(), port=bot.port):
                pass


# --- who speaks for an account ----------------------------------------------------------------


async def test_the_old_connection_of_an_account_closes_and_the_bot_still_sends(
    qq: QQ, inbox: Inbox
) -> None:
    old, new = QQ(), QQ()
    async with running(inbox) as bot, connected(old, address(bot)) as first:
        await eventually(lambda: bot.accounts)
        async with connected(new, address(bot)):
            await new.hear("一")
            await inbox.until(1)
            assert isinstance(await bot.send(outgoing("newest")), Sent)
            await first.close()
            await eventually(lambda: len(bot.links) == 1 and len(bot.accounts) == 1)
            assert isinstance(await bot.send(outgoing("again")), Sent)
            assert [said.text for said in new.said] == ["newest", "again"]
            assert not old.said
        await eventually(lambda: not bot.accounts)


async def test_an_account_comes_back(qq: QQ, inbox: Inbox) -> None:
    async with running(inbox) as bot:
        for round in range(3):
            async with connected(qq, address(bot)):
                await qq.hear(f"第 {round} 次")
                await inbox.until(round + 1)
                assert isinstance(await bot.send(outgoing("在")), Sent)
            await eventually(lambda: not bot.accounts)
            assert isinstance(await bot.send(outgoing("走了")), Failed)
        assert bot.links[0].detail == "nobody has connected"


async def test_several_accounts_on_one_port(inbox: Inbox) -> None:
    one, other = QQ(10001), QQ(10002)
    async with (
        running(inbox) as bot,
        connected(one, address(bot)),
        connected(other, address(bot)),
    ):
        await one.hear("一")
        await other.hear("二")
        await inbox.until(2)
        assert {account.self_id for account in bot.accounts} == {"10001", "10002"}
        assert isinstance(await bot.send(outgoing("to 2", self_id="10002")), Sent)
        assert not one.said and other.said[0].text == "to 2"


async def test_api_and_event_on_two_sockets(qq: QQ, inbox: Inbox) -> None:
    async with (
        running(inbox) as bot,
        connected(qq, address(bot), role="Event"),
        connected(qq, address(bot), role="API"),
    ):
        await qq.hear("在吗")
        await inbox.until(1)
        await eventually(lambda: bot.accounts)
        assert isinstance(await bot.send(outgoing("在")), Sent)
        assert bot.links[0].up


async def test_an_event_socket_alone_is_not_up(qq: QQ, inbox: Inbox) -> None:
    async with running(inbox) as bot, connected(qq, address(bot), role="Event"):
        await qq.hear("在吗")
        await inbox.until(1)
        assert "only receives" in bot.links[0].detail and not bot.accounts


async def test_an_account_is_known_by_its_first_event(qq: QQ, inbox: Inbox) -> None:
    """Some send neither the header nor a lifecycle event."""
    async with (
        running(inbox) as bot,
        connected(qq, address(bot), lifecycle=False, X_Self_ID=""),
    ):
        assert isinstance(await bot.send(outgoing("谁")), Failed)
        await qq.hear("在吗")
        await inbox.until(1)
        assert isinstance(await bot.send(outgoing("在")), Sent)


async def test_events_of_another_account_are_left_out(
    qq: QQ, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(inbox) as bot, connected(qq, address(bot)):
        await qq.hear("假的", self_id=666)
        await qq.hear("真的")
        await inbox.until(1)
        assert inbox.texts == ["真的"]
    assert "an event of 666 on the connection of 10001" in caplog.text


# --- what is said -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "[CQ:at,qq=all]",
        "[CQ:image,file=file:///etc/passwd]",
        "@全体成员 &#91;CQ:at,qq=all&#93;",
        '","type":"at","data":{"qq":"all"}',
    ],
)
async def test_model_output_is_never_a_code(qq: QQ, inbox: Inbox, words: str) -> None:
    async with running(inbox) as bot, connected(qq, address(bot)):
        await eventually(lambda: bot.accounts)
        assert isinstance(await bot.send(outgoing(words)), Sent)
        (said,) = qq.said
        assert said.segments == [{"type": "text", "data": {"text": words}}]


async def test_the_fake_would_execute_a_string(qq: QQ) -> None:
    """So the test above can fail."""
    await qq.act("send_group_msg", {"group_id": 1, "message": "[CQ:at,qq=all]起床"})
    assert qq.said[0].of("at") == [{"qq": "all"}]


@pytest.mark.parametrize("mention", ["all", "", "1,qq=all", "anonymous-7", "１"])
async def test_only_a_number_is_mentioned(qq: QQ, inbox: Inbox, mention: str) -> None:
    async with running(inbox) as bot, connected(qq, address(bot)):
        await eventually(lambda: bot.accounts)
        await bot.send(outgoing("嗯", mention=mention))
        assert not qq.said[0].of("at")


async def test_a_stranger_from_a_group_is_answered_through_it(qq: QQ, inbox: Inbox) -> None:
    async with running(inbox) as bot, connected(qq, address(bot)):
        sender = {"user_id": 20002, "nickname": "生人", "group_id": 77}
        await qq.hear("你好", sub_type="group", sender=sender)
        (event,) = await inbox.until(1)
        assert event.chat.kind == "private"
        await bot.send(outgoing("你好", chat=event.chat.id))
        assert qq.said[0].params["group_id"] == 77 and qq.said[0].chat == "private-20002"


async def test_half_a_character_does_not_stop_a_reply(qq: QQ, inbox: Inbox) -> None:
    async with running(inbox) as bot, connected(qq, address(bot)):
        await eventually(lambda: bot.accounts)
        assert isinstance(await bot.send(outgoing("嗯\ud83d。")), Sent)
        assert qq.said[0].text.startswith("嗯\ufffd")


@pytest.mark.parametrize("mood", ["hang", "drop", "async", "own_timeout", "garbage"])
async def test_what_may_have_been_delivered_is_unknown_and_not_sent_again(
    qq: QQ, inbox: Inbox, mood: str
) -> None:
    async with running(inbox) as bot, connected(qq, address(bot)):
        await eventually(lambda: bot.accounts)
        qq.moods.append(mood)  # type: ignore[arg-type]
        assert isinstance(await bot.send(outgoing("一次")), Unknown)
        await asyncio.sleep(0.1)
        assert [said.text for said in qq.said] == ["一次"]


async def test_a_refusal_is_a_failure(qq: QQ, inbox: Inbox) -> None:
    async with running(inbox) as bot, connected(qq, address(bot)):
        await eventually(lambda: bot.accounts)
        qq.moods.append("refuse")
        failed = await bot.send(outgoing("嗯"))
        assert isinstance(failed, Failed) and failed.retry_after is None
        assert "禁言" in failed.reason and not qq.said
        assert isinstance(await bot.send(outgoing("嗯", chat="elsewhere")), Failed)


async def test_a_call_that_hangs_holds_up_nobody(qq: QQ, inbox: Inbox) -> None:
    async with running(inbox) as bot, connected(qq, address(bot)):
        await eventually(lambda: bot.accounts)
        qq.moods.append("hang")
        hanging = asyncio.create_task(bot.send(outgoing("一")))
        await qq.until_said(1)
        assert isinstance(await bot.send(outgoing("二")), Sent)
        await qq.hear("三")
        await inbox.until(1)
        assert not hanging.done()
        assert isinstance(await hanging, Unknown)


async def test_answers_to_two_accounts_do_not_mix(inbox: Inbox) -> None:
    """Both number their calls alike, so the wrong one would take the other's answer."""
    one, other = QQ(10001), QQ(10002)
    async with (
        running(inbox) as bot,
        connected(one, address(bot)),
        connected(other, address(bot)),
    ):
        await eventually(lambda: len(bot.accounts) == 2)
        one.moods.append("hang")
        hanging, sent = await asyncio.gather(
            bot.send(outgoing("一")), bot.send(outgoing("二", self_id="10002"))
        )
        assert isinstance(hanging, Unknown) and isinstance(sent, Sent)


# --- what is heard ----------------------------------------------------------------------------


async def test_the_bot_does_not_hear_itself(qq: QQ, inbox: Inbox) -> None:
    async with running(inbox) as bot, connected(qq, address(bot)):
        await qq.hear("我自己", group=1, user=10001)
        await qq.hear("我自己", group=1, post_type="message_sent")
        await qq.hear("别人", group=1)
        await inbox.until(1)
        assert inbox.texts == ["别人"]


async def test_the_same_event_through_two_connections_is_one(qq: QQ, inbox: Inbox) -> None:
    async with (
        running(inbox) as bot,
        connected(qq, address(bot)),
        connected(qq, address(bot)),
    ):
        await qq.hear("一次")
        await qq.hear("两次")
        await inbox.until(2)
        assert sorted(inbox.texts) == ["一次", "两次"]


async def test_a_reply_to_the_bot_is_known_even_after_a_restart(qq: QQ, inbox: Inbox) -> None:
    async with running(inbox) as bot, connected(qq, address(bot)):
        await eventually(lambda: bot.accounts)
        await bot.send(outgoing("咱说的"))
        ours = qq.said[0].message_id
        await qq.hear([reply(ours), text("真的？")], group=1)
        (event,) = await inbox.until(1)
        assert event.replies_to_bot and event.reply_to == str(ours)
        assert "get_msg" not in qq.calls
    async with running(inbox) as bot, connected(qq, address(bot)):
        await qq.hear([reply(ours), text("还记得吗")], group=1)
        theirs = await qq.hear("我说的", group=1)
        await qq.hear([reply(theirs), text("对")], group=1)
        await inbox.until(4)
        assert [event.replies_to_bot for event in inbox.events[1:]] == [True, False, False]
        assert "get_msg" in qq.calls


async def test_asking_whose_message_it_was_holds_up_no_other_chat(qq: QQ, inbox: Inbox) -> None:
    qq.silent = True
    async with running(inbox) as bot, connected(qq, address(bot)):
        await eventually(lambda: bot.accounts)
        await qq.hear([reply(5), text("一")], group=1)
        await qq.hear("二", group=1)
        await qq.hear("三", group=2)
        await inbox.until(3)
        assert inbox.texts == ["三", "一", "二"]


async def test_a_full_disk_loses_nothing_and_keeps_the_order(qq: QQ, inbox: Inbox) -> None:
    inbox.full = 3
    async with running(inbox) as bot, connected(qq, address(bot)):
        for index in range(20):
            await qq.hear(str(index), group=1)
        await inbox.until(20)
        assert inbox.texts == [str(index) for index in range(20)]


async def test_calls_are_answered_while_the_database_is_stuck(qq: QQ, inbox: Inbox) -> None:
    inbox.open.clear()
    async with running(inbox) as bot, connected(qq, address(bot)):
        await qq.hear("等着")
        await eventually(lambda: bot.accounts)
        assert isinstance(await bot.send(outgoing("在")), Sent)
        inbox.open.set()
        await inbox.until(1)


async def test_after_stop_nothing_is_received_but_replies_get_out(qq: QQ, inbox: Inbox) -> None:
    async with running(inbox) as bot, connected(qq, address(bot)):
        await qq.hear("一")
        await inbox.until(1)
        await bot.stop()
        await qq.hear("二")
        assert isinstance(await bot.send(outgoing("在")), Sent)
        assert inbox.texts == ["一"]


# --- signs of life ----------------------------------------------------------------------------


async def test_three_heartbeats_missed_end_the_connection(qq: QQ, inbox: Inbox) -> None:
    async with running(inbox) as bot, connected(qq, address(bot)) as connection:
        for _ in range(5):
            await qq.emit(qq.heartbeat(50))
            await asyncio.sleep(0.05)
        assert not connection.ws.closed
        began = time.monotonic()
        async with asyncio.timeout(5):
            await connection.until_closed()
        assert 0.05 < time.monotonic() - began < 1
        await eventually(lambda: not bot.accounts)


async def test_without_heartbeats_silence_is_fine(qq: QQ, inbox: Inbox) -> None:
    async with running(inbox) as bot, connected(qq, address(bot)) as connection:
        await asyncio.sleep(0.3)
        assert not connection.ws.closed and bot.accounts


async def test_a_peer_that_answers_no_ping_is_gone(inbox: Inbox) -> None:
    """A cable that was pulled ends no connection by itself."""
    async with (
        running(inbox, replace(TIMING, ping=0.1)) as bot,
        aiohttp.ClientSession() as session,
    ):
        headers = {"X-Self-ID": "10001", "X-Client-Role": "Universal"}
        await session.ws_connect(address(bot), headers=headers, autoping=False)
        await eventually(lambda: bot.accounts)
        await eventually(lambda: not bot.accounts)


async def test_a_heartbeat_tells_that_qq_is_offline(qq: QQ, inbox: Inbox) -> None:
    async with running(inbox) as bot, connected(qq, address(bot)):
        await qq.emit(qq.heartbeat(60_000, online=False))
        await eventually(lambda: [link.detail for link in bot.links] == ["QQ is offline"])
        await qq.emit(qq.heartbeat(60_000))
        await eventually(lambda: bot.links[0].up)


# --- bad frames -------------------------------------------------------------------------------


async def test_garbage_is_left_out_and_said_once(
    qq: QQ, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(inbox) as bot, connected(qq, address(bot)) as connection:
        for garbage in ("", "{", "[]", "null", '{"post_type": 7}', "[" * 100_000, "9" * 5000):
            await connection.ws.send_str(garbage)
        await connection.ws.send_bytes(json.dumps(qq.message("bytes")).encode())
        await qq.hear("还在")
        await inbox.until(1)
        assert inbox.texts == ["还在"]
    assert caplog.text.count("is not OneBot v11") == 1


async def test_a_frame_of_50_mb_ends_its_connection_only(qq: QQ, inbox: Inbox) -> None:
    other = QQ(10002)
    async with (
        running(inbox) as bot,
        connected(qq, address(bot)) as connection,
        connected(other, address(bot)),
    ):
        huge = asyncio.create_task(connection.ws.send_str("x" * 50 * 2**20))
        await asyncio.wait_for(connection.until_closed(), 10)
        await asyncio.gather(huge, return_exceptions=True)
        await other.hear("还在")
        await inbox.until(1)
        async with connected(qq, address(bot)):
            await qq.hear("回来了")
            await inbox.until(2)


async def test_invalid_utf8_ends_its_connection_only(
    qq: QQ, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running(inbox) as bot, connected(qq, address(bot)) as connection:
        writer = connection.ws._writer
        await writer.send_frame(b'{"post_type": "\xff\xfe"}', aiohttp.WSMsgType.TEXT)
        async with asyncio.timeout(5):
            await connection.until_closed()
        async with connected(qq, address(bot)):
            await qq.hear("回来了")
            await inbox.until(1)
    assert "it sent what is not UTF-8" in caplog.text


async def test_many_chats_leave_nothing_behind(qq: QQ, inbox: Inbox) -> None:
    async with running(inbox) as bot, connected(qq, address(bot)):
        for group in range(2000):
            await qq.hear("嗨", group=group + 1)
        await inbox.until(2000)
        await eventually(lambda: len(bot._hub._lanes) == 0)
