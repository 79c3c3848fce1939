"""Signs of life, and frames that are none."""

import asyncio
import json
import logging
import time
from dataclasses import replace

import aiohttp
import pytest

from tests.bot.adapters.onebot_v11.conftest import (
    TIMING,
    Inbox,
    address,
    eventually,
    running,
)
from tests.fakes.onebot import QQ
from tests.fakes.onebot_links import connected

pytestmark = pytest.mark.anyio


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
