"""HTTP: signed events in, calls out."""

import asyncio
import json
import logging
from typing import Any

import pytest

from bot.adapters.onebot_v11.adapter import OneBotV11
from bot.errors import AdapterError
from bot.event import Failed, Sent, Unknown
from tests.bot.adapters.onebot_v11.conftest import Inbox, eventually, outgoing, running
from tests.fakes.onebot import QQ, at, text
from tests.fakes.onebot_links import Server, posting

pytestmark = pytest.mark.anyio

SECRET, TOKEN = "it is a secret", "it is a token"


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEBOT_SECRET", SECRET)
    monkeypatch.setenv("ONEBOT_TOKEN", TOKEN)


def settings(server: Server) -> dict[str, Any]:
    return {
        "transport": "http",
        "url": f"http://127.0.0.1:{server.port}",
        "secret_env": "ONEBOT_SECRET",
        "token_env": "ONEBOT_TOKEN",
    }


def address(bot: OneBotV11) -> str:
    return f"http://127.0.0.1:{bot.port}/onebot/v11/ws"


def body(event: dict[str, Any]) -> bytes:
    return json.dumps(event, ensure_ascii=False).encode()


async def test_a_conversation(qq: QQ, inbox: Inbox) -> None:
    async with (
        Server(qq, token=TOKEN) as server,
        running(inbox, **settings(server)) as bot,
        posting(qq, address(bot), SECRET) as post,
    ):
        event = qq.message([at(10001), text("你好")], group=1)
        assert await post(body(event)) == 204
        assert [one.text for one in inbox.events] == ["你好"]  # before it was told so
        assert await post(body(event)) == 204
        assert len(inbox.events) == 1
        assert await post(body(qq.heartbeat(1000))) == 204
        assert isinstance(await bot.send(outgoing("咱在")), Sent)
        assert qq.said[0].text == "咱在"


async def test_who_does_not_sign_is_refused_and_it_is_said_once(
    qq: QQ, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        Server(qq, token=TOKEN) as server,
        running(inbox, **settings(server)) as bot,
        posting(qq, address(bot)) as post,
    ):
        event = body(qq.message("假的"))
        for _ in range(2):
            assert await post(event) == 401
            assert await post(event, X_Signature="sha1=" + "0" * 40) == 403
            assert await post(event, X_Signature="ü") == 403
        async with posting(qq, address(bot), "another secret") as post:
            assert await post(event) == 403
        async with posting(qq, address(bot), SECRET) as post:
            tampered = await post(event, X_Signature=signature_of(body(qq.message("真的"))))
            assert tampered == 403
        assert not inbox.events
    assert caplog.text.count("it is not signed") == 1
    assert caplog.text.count("its signature is wrong") == 1
    assert SECRET not in caplog.text


def signature_of(content: bytes) -> str:
    import hashlib
    import hmac

    return "sha1=" + hmac.new(SECRET.encode(), content, hashlib.sha1).hexdigest()


async def test_bodies_that_are_no_events(qq: QQ, inbox: Inbox) -> None:
    async with (
        Server(qq, token=TOKEN) as server,
        running(inbox, **settings(server)) as bot,
        posting(qq, address(bot), SECRET) as post,
    ):
        for garbage in (b"", b"{", b"\xff\xfe", b"[]", b"[" * 100_000, b'{"retcode": 0}'):
            assert await post(garbage) == 400
        assert await post(b"x" * 50 * 2**20) == 413
        assert await post(body(qq.message("别人的", self_id=666))) == 403
        assert await post(body(qq.message("还在"))) == 204
        assert inbox.texts == ["还在"]


async def test_a_web_page_does_not_get_in_without_a_secret(qq: QQ, inbox: Inbox) -> None:
    async with Server(qq) as server:
        open_to_all = {"transport": "http", "url": settings(server)["url"]}
        async with (
            running(inbox, **open_to_all) as bot,
            posting(qq, address(bot)) as post,
        ):
            event = body(qq.message("嗨"))
            assert await post(event, Origin="https://evil.example") == 403
            assert await post(event) == 204


async def test_an_event_that_cannot_be_stored_is_not_acknowledged(qq: QQ, inbox: Inbox) -> None:
    async with (
        Server(qq, token=TOKEN) as server,
        running(inbox, **settings(server)) as bot,
        posting(qq, address(bot), SECRET) as post,
    ):
        inbox.open.clear()
        assert await post(body(qq.message("等着"))) == 503
        inbox.open.set()
        await inbox.until(1)  # and it is handed in all the same


async def test_after_stop_events_are_not_acknowledged(qq: QQ, inbox: Inbox) -> None:
    async with (
        Server(qq, token=TOKEN) as server,
        running(inbox, **settings(server)) as bot,
        posting(qq, address(bot), SECRET) as post,
    ):
        await bot.stop()
        assert await post(body(qq.message("晚了"))) == 503
        assert not inbox.events
        assert isinstance(await bot.send(outgoing("还能说")), Sent)


async def test_a_wrong_token_is_told_at_once(qq: QQ, inbox: Inbox) -> None:
    async with Server(qq, token="another") as server:
        with pytest.raises(AdapterError, match="it refuses our token"):
            async with running(inbox, **settings(server)):
                pass


async def test_a_token_that_stops_working_is_said_once_and_waited_for(
    qq: QQ, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    async with Server(qq, token=TOKEN) as server, running(inbox, **settings(server)) as bot:
        server.token = "another"
        await eventually(lambda: not bot.links[0].up)
        await asyncio.sleep(0.3)
        assert caplog.text.count("it refuses our token") == 1
        server.token = TOKEN
        await eventually(lambda: bot.links[0].up)


@pytest.mark.parametrize("mood", ["hang", "drop", "async", "own_timeout", "garbage"])
async def test_what_may_have_been_delivered_is_unknown_and_not_sent_again(
    qq: QQ, inbox: Inbox, mood: str
) -> None:
    async with Server(qq, token=TOKEN) as server, running(inbox, **settings(server)) as bot:
        qq.moods.append(mood)  # type: ignore[arg-type]
        assert isinstance(await bot.send(outgoing("一次")), Unknown)
        await asyncio.sleep(0.1)
        assert [said.text for said in qq.said] == ["一次"]


async def test_an_api_that_is_gone_is_a_failure_to_try_again(
    qq: QQ, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with Server(qq, token=TOKEN) as server:
        port = server.port
    async with running(inbox, **settings(server)) as bot:
        assert not bot.links[0].up
        failed = await bot.send(outgoing("嗯"))
        assert isinstance(failed, Failed) and failed.retry_after is not None
        async with Server(qq, token=TOKEN, port=port):
            await eventually(lambda: bot.links[0].up)
            assert isinstance(await bot.send(outgoing("在")), Sent)
            qq.moods.append("refuse")
            assert isinstance(await bot.send(outgoing("嗯")), Failed)
        await eventually(lambda: not bot.links[0].up)
        failed = await bot.send(outgoing("嗯"))
        assert isinstance(failed, Failed) and failed.retry_after is not None
    assert caplog.text.count("is connected after") == 1
