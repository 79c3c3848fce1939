"""What is said: never a code, never twice."""

import asyncio
from dataclasses import replace

import pytest

from bot.event import Failed, Sent, Unknown
from tests.bot.adapters.onebot_v11.conftest import (
    TIMING,
    Inbox,
    address,
    eventually,
    outgoing,
    running,
)
from tests.fakes.onebot import QQ
from tests.fakes.onebot_links import connected

pytestmark = pytest.mark.anyio


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


async def test_calls_end_with_their_connection(qq: QQ, inbox: Inbox) -> None:
    """Whoever waits learns at once that no answer will come."""
    async with running(inbox, replace(TIMING, call=60)) as bot, connected(qq, address(bot)):
        await eventually(lambda: bot.accounts)
        qq.moods.append("drop")
        async with asyncio.timeout(5):
            assert isinstance(await bot.send(outgoing("一次")), Unknown)
