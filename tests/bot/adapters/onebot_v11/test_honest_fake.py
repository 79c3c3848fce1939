"""One conversation, three bots: ours, and NoneBot2 either way, must say the same through the fake.

Were the fake only what our adapter expects, another framework would not get along with it.
"""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from bot.adapters.onebot_v11.adapter import OneBotV11
from bot.event import Outgoing
from tests.bot.adapters.onebot_v11.conftest import Inbox, address, eventually, running
from tests.fakes.onebot import QQ, at, reply, text
from tests.fakes.onebot_links import Server, connected

pytestmark = pytest.mark.anyio

TOKEN = "it is a token"
NONEBOT = Path(__file__).with_name("nonebot_echo.py")
EXPECTED = [
    ("private-20002", "在吗"),
    ("group-1", "你好"),
    ("group-1", "[CQ:at,qq=all] & 没事"),
    ("group-2", "真的"),
]


async def converse(qq: QQ) -> list[tuple[str, str]]:
    """Say what the bot must answer, and between it what it must not."""
    await qq.hear("在吗")
    await qq.until_said(1)
    await qq.hear("不关你事", group=1)
    await qq.hear([at(10001), text(" 你好")], group=1)
    await qq.until_said(2)
    await qq.hear("我自己说的", group=1, user=10001, post_type="message_sent")
    await qq.hear([at(10001), text("[CQ:at,qq=all] & 没事")], group=1)
    said = await qq.until_said(3)
    await qq.emit(qq.heartbeat(60_000))
    await qq.hear([reply(said[0].message_id), text("真的")], group=2)
    await qq.until_said(4)
    assert not any(one.of("at") for one in qq.said)
    return [(one.chat, one.text) for one in qq.said]


@pytest.mark.parametrize("as_string", [False, True])
@pytest.mark.parametrize("direction", ["reverse", "forward"])
async def test_ours(
    direction: str, as_string: bool, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", TOKEN)
    qq = QQ(as_string=as_string)
    async with AsyncExitStack() as stack:
        if direction == "reverse":
            bot = await stack.enter_async_context(running(inbox, token_env="TOKEN"))
            await stack.enter_async_context(connected(qq, address(bot), token=TOKEN))
        else:
            server = await stack.enter_async_context(Server(qq, token=TOKEN))
            url = f"ws://127.0.0.1:{server.port}/"
            settings = {"transport": "forward_websocket", "url": url, "token_env": "TOKEN"}
            bot = await stack.enter_async_context(running(inbox, **settings))
        echo = asyncio.create_task(echoes(bot, inbox))
        assert await converse(qq) == EXPECTED
        echo.cancel()


async def echoes(bot: OneBotV11, inbox: Inbox) -> None:
    """What the core does with an ``echo`` persona, in four lines."""
    for index in range(100):
        event = (await inbox.until(index + 1))[index]
        if event.chat.kind == "private" or event.mentions_bot or event.replies_to_bot:
            await bot.send(Outgoing("1", event.account, event.chat, event.text))


@pytest.mark.parametrize("as_string", [False, True])
async def test_nonebot_in_reverse(as_string: bool) -> None:
    qq, port = QQ(as_string=as_string), free_port()
    async with nonebot("reverse", str(port)):
        await until_listening(port)
        url = f"ws://127.0.0.1:{port}/onebot/v11/ws"
        async with connected(qq, url, token=TOKEN):
            assert await converse(qq) == EXPECTED
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with connected(qq, url, token="wrong"):
                pass


@pytest.mark.parametrize("as_string", [False, True])
async def test_nonebot_forward(as_string: bool) -> None:
    qq = QQ(as_string=as_string)
    async with (
        Server(qq, token=TOKEN) as server,
        nonebot("forward", f"ws://127.0.0.1:{server.port}/"),
    ):
        await eventually(lambda: server.sockets, timeout=20)
        assert await converse(qq) == EXPECTED


@asynccontextmanager
async def nonebot(*arguments: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(sys.executable, str(NONEBOT), *arguments)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until_listening(port: int) -> None:
    async with asyncio.timeout(20):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.1)
