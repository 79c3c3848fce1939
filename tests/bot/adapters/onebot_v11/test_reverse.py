"""Reverse WebSocket: who speaks for an account, and what stays when a connection goes."""

import pytest

from bot.event import Failed, Sent
from tests.bot.adapters.onebot_v11.conftest import (
    Inbox,
    address,
    eventually,
    outgoing,
    running,
)
from tests.fakes.onebot import QQ, at, text
from tests.fakes.onebot_links import connected

pytestmark = pytest.mark.anyio


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
