"""What is heard: everything once, in order, and nothing of our own."""

import pytest

from bot.event import Sent
from tests.bot.adapters.onebot_v11.conftest import (
    Inbox,
    address,
    eventually,
    outgoing,
    running,
)
from tests.fakes.onebot import QQ, reply, text
from tests.fakes.onebot_links import connected

pytestmark = pytest.mark.anyio


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
