"""Forward WebSocket: connecting, being refused, and coming back."""

import asyncio
import logging
import time

import pytest

from bot.errors import AdapterError
from bot.event import Failed, Sent, Unknown
from tests.bot.adapters.onebot_v11.conftest import Inbox, eventually, outgoing, running
from tests.fakes.onebot import QQ, at, text
from tests.fakes.onebot_links import Server

pytestmark = pytest.mark.anyio

SECRET = "it is a secret"


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEBOT_TOKEN", SECRET)
    monkeypatch.setenv("WRONG", "wrong")


def settings(server: Server, query: str = "") -> dict[str, str]:
    return {"transport": "forward_websocket", "url": f"ws://127.0.0.1:{server.port}/{query}"}


async def test_a_conversation(qq: QQ, inbox: Inbox) -> None:
    async with (
        Server(qq, token=SECRET) as server,
        running(inbox, **settings(server), token_env="ONEBOT_TOKEN") as bot,
    ):
        assert [account.self_id for account in bot.accounts] == ["10001"]
        assert bot.links[0].up
        await qq.hear([at(10001), text("你好")], group=1)
        (event,) = await inbox.until(1)
        assert event.mentions_bot
        assert isinstance(await bot.send(outgoing("咱在")), Sent)
        assert qq.said[0].text == "咱在"


async def test_a_token_in_the_address_is_used_and_never_shown(
    qq: QQ, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with Server(qq, token="secret") as server:
        async with running(inbox, **settings(server, "?access_token=secret")) as bot:
            assert bot.accounts
            await server.drop()
            await eventually(lambda: server.attempts == 2 and bot.links[0].up)
        with pytest.raises(AdapterError) as refused:
            async with running(Inbox(), **settings(server, "?access_token=secreT")):
                pass
    assert "secre" not in caplog.text and "secre" not in str(refused.value)


@pytest.mark.parametrize("like_napcat", [False, True])
async def test_a_wrong_token_is_told_at_once(qq: QQ, inbox: Inbox, like_napcat: bool) -> None:
    async with Server(qq, token=SECRET, like_napcat=like_napcat) as server:
        with pytest.raises(AdapterError, match="it refuses our token") as refused:
            async with running(inbox, **settings(server), token_env="WRONG"):
                pass
        assert "wrong" not in str(refused.value)
        assert "token_file" in refused.value.faults[0].fix
        assert server.attempts == 1


@pytest.mark.parametrize("like_napcat", [False, True])
async def test_a_token_that_stops_working_is_said_once_and_waited_for(
    qq: QQ, inbox: Inbox, caplog: pytest.LogCaptureFixture, like_napcat: bool
) -> None:
    async with (
        Server(qq, token=SECRET, like_napcat=like_napcat) as server,
        running(inbox, **settings(server), token_env="ONEBOT_TOKEN") as bot,
    ):
        server.token = "another"
        await server.drop()
        await eventually(lambda: server.attempts >= 4)
        assert caplog.text.count("it refuses our token") == 1
        assert "it refuses our token" in bot.links[0].detail and not bot.accounts
        server.token = SECRET
        await eventually(lambda: bot.links[0].up and bot.accounts)


async def test_an_outage_is_said_once_and_so_is_its_end(
    qq: QQ, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with Server(qq) as server:
        port = server.port
    async with running(inbox, **settings(server)) as bot:
        await asyncio.sleep(0.4)
        assert not bot.links[0].up
        failed = await bot.send(outgoing("嗯"))
        assert isinstance(failed, Failed) and failed.retry_after is not None
        async with Server(qq, port=port):
            await eventually(lambda: bot.links[0].up)
            await qq.hear("回来了")
            await inbox.until(1)
            assert isinstance(await bot.send(outgoing("在")), Sent)
            assert caplog.text.count("fails and is tried again") == 1
            assert caplog.text.count("is connected after") == 1


async def test_the_waits_grow(qq: QQ, inbox: Inbox) -> None:
    """Twenty attempts in 0.4 s would take 20 ms each."""
    async with Server(qq) as server, running(inbox, **settings(server)):
        server.closes_at_once = True
        await server.drop()
        before = server.attempts
        await asyncio.sleep(0.6)
        assert 2 <= server.attempts - before <= 15


async def test_a_send_that_breaks_is_unknown(qq: QQ, inbox: Inbox) -> None:
    async with Server(qq) as server, running(inbox, **settings(server)) as bot:
        qq.moods.append("drop")
        assert isinstance(await bot.send(outgoing("一次")), Unknown)
        await eventually(lambda: server.attempts == 2)
        await eventually(lambda: bot.links[0].up and bot.accounts)
        assert isinstance(await bot.send(outgoing("两次")), Sent)
        assert [said.text for said in qq.said] == ["一次", "两次"]


async def test_heartbeats_that_stop_lead_to_a_new_connection(qq: QQ, inbox: Inbox) -> None:
    async with Server(qq) as server, running(inbox, **settings(server)):
        await qq.emit(qq.heartbeat(30))
        await eventually(lambda: server.attempts == 2)
        await qq.hear("还在")
        await inbox.until(1)


async def test_a_silent_peer_is_known_by_its_first_event(qq: QQ, inbox: Inbox) -> None:
    qq.silent = True
    async with (
        Server(qq, lifecycle=False) as server,
        running(inbox, **settings(server)) as bot,
    ):
        assert not bot.accounts
        await qq.hear("嗨")
        await inbox.until(1)
        assert bot.accounts


async def test_nothing_is_handed_in_before_the_bot_runs(qq: QQ, inbox: Inbox) -> None:
    from bot.adapters.onebot_v11.adapter import OneBotV11
    from bot.adapters.onebot_v11.config import OneBotConfig
    from tests.bot.adapters.onebot_v11.conftest import TIMING

    async with Server(qq) as server:
        bot = OneBotV11(OneBotConfig.model_validate(settings(server)), inbox, TIMING)
        await bot.start()
        await qq.hear("早")
        await asyncio.sleep(0.05)
        assert not inbox.events
        run = asyncio.create_task(bot.run())
        await inbox.until(1)
        await bot.stop()
        await run
        await bot.close()
        await bot.close()


async def test_stopping_does_not_wait_for_an_outage(qq: QQ, inbox: Inbox) -> None:
    async with Server(qq) as server:
        pass
    began = time.monotonic()
    async with running(inbox, **settings(server)):
        pass
    assert time.monotonic() - began < 1
