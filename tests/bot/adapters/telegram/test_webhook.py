"""The webhook: only Telegram may post, a 2xx is a promise, and what comes twice counts once."""

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from bot.adapters.telegram.adapter import Telegram
from bot.adapters.telegram.config import WebhookConfig
from bot.errors import AdapterError
from tests.bot.adapters.telegram.conftest import TIMING, Inbox, running, settings, until
from tests.fakes.bot_api import BotApi, Fault

pytestmark = pytest.mark.anyio

HEADER = "X-Telegram-Bot-Api-Secret-Token"


async def post(url: str, body: bytes, secret: str | None) -> int:
    headers = {} if secret is None else {HEADER: secret}
    async with (
        aiohttp.ClientSession() as client,
        client.post(url, data=body, headers=headers) as answer,
    ):
        return answer.status


async def test_messages_arrive_in_order(api: BotApi, inbox: Inbox) -> None:
    ann = api.chats.private(501)
    async with running(api, inbox, webhook=True) as adapter:
        await until(lambda: api.updates.webhook)
        for index in range(50):
            api.say(ann, f"{index}")
        await until(lambda: not api.updates.pending)
        assert adapter.links[0].up
    assert inbox.texts == [f"{index}" for index in range(50)]
    call = api.called("setWebhook")[0]
    assert call.params["allowed_updates"] == ["message"]


async def test_what_was_pending_is_delivered(api: BotApi, inbox: Inbox) -> None:
    api.say(api.chats.private(501), "a")
    async with running(api, inbox, webhook=True):
        await until(lambda: inbox.texts == ["a"] and not api.updates.pending)


async def test_the_same_update_again_is_one_event(api: BotApi, inbox: Inbox) -> None:
    api.updates.lost_answers = 2
    async with running(api, inbox, webhook=True):
        await until(lambda: api.updates.webhook)
        api.say(api.chats.private(501), "a")
        await until(lambda: not api.updates.pending)
    assert (inbox.texts, inbox.given) == (["a"], 3)


async def test_what_could_not_be_committed_is_not_confirmed(api: BotApi, inbox: Inbox) -> None:
    inbox.full = 2
    async with running(api, inbox, webhook=True):
        await until(lambda: api.updates.webhook)
        api.say(api.chats.private(501), "a")
        await until(lambda: not api.updates.pending)
    assert (inbox.texts, inbox.given) == (["a"], 3)


@pytest.mark.parametrize("secret", [None, "", "wrong", "ä", "x" * 300])
async def test_a_wrong_secret_is_refused_and_told_once(
    api: BotApi, inbox: Inbox, secret: str | None, logged: Callable[[], str]
) -> None:
    async with running(api, inbox, webhook=True):
        await until(lambda: api.updates.webhook)
        assert api.updates.webhook
        body = json.dumps({"update_id": 1, "message": {}}).encode()
        for _ in range(3):
            assert await post(api.updates.webhook.url, body, secret) == 403
    assert inbox.given == 0
    assert logged().count("without the right secret was refused") == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"\xff\xfe", 400),
        (b"[1]", 400),
        (b"[" * 100_000, 400),
        (b"{}", 200),
        (b'{"update_id": 1, "message": {"message_id": "x"}}', 200),
        (b" " * (2 * 1024**2), 413),
    ],
    ids=["nothing", "bytes", "list", "nested", "empty", "odd", "large"],
)
async def test_bodies(api: BotApi, inbox: Inbox, body: bytes, status: int) -> None:
    async with running(api, inbox, webhook=True):
        await until(lambda: api.updates.webhook)
        assert api.updates.webhook
        assert await post(api.updates.webhook.url, body, api.updates.webhook.secret) == status
        api.say(api.chats.private(501), "a")
        await until(lambda: inbox.texts == ["a"])


async def test_the_secret_is_new_at_each_start(api: BotApi, inbox: Inbox) -> None:
    secrets = set()
    for _ in range(2):
        async with running(api, inbox, webhook=True):
            await until(lambda: api.updates.webhook)
            assert api.updates.webhook
            secrets.add(api.updates.webhook.secret)
        api.updates.webhook = None
    assert len(secrets) == 2 and all(len(secret) >= 32 for secret in secrets)


async def test_a_webhook_that_somebody_took_away_is_set_again(api: BotApi, inbox: Inbox) -> None:
    async with running(api, inbox, webhook=True):
        await until(lambda: api.updates.webhook)
        api.updates.webhook = None
        await until(lambda: api.updates.webhook)


async def test_it_says_when_telegram_cannot_deliver(
    api: BotApi, inbox: Inbox, logged: Callable[[], str]
) -> None:
    inbox.full = 10**6
    async with running(api, inbox, webhook=True) as adapter:
        await until(lambda: api.updates.webhook)
        api.say(api.chats.private(501), "a")
        await until(lambda: not adapter.links[0].up)
        assert "Wrong response: 503" in adapter.links[0].detail
        inbox.full = 0
        await until(lambda: adapter.links[0].up)
    assert inbox.texts == ["a"]


async def test_an_outage_at_the_start_is_waited_for(api: BotApi, inbox: Inbox) -> None:
    api.fault("getMe", *[Fault("drop")] * 3)
    api.fault("setWebhook", *[Fault.refuse(500, "Internal Server Error")] * 3)
    api.say(api.chats.private(501), "a")
    async with running(api, inbox, webhook=True):
        await until(lambda: inbox.texts == ["a"])


async def test_a_taken_port_is_named(api: BotApi, inbox: Inbox) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        at = WebhookConfig(url="http://127.0.0.1/hook", port=port)
        adapter = Telegram(settings(api, webhook=at), inbox, TIMING)
        with pytest.raises(AdapterError, match=f"cannot listen on 127.0.0.1:{port}"):
            await adapter.start()
        await adapter.close()


async def test_forty_connections_at_once(api: BotApi, inbox: Inbox) -> None:
    """The server keeps to one connection; whoever does not is served all the same."""
    async with running(api, inbox, webhook=True):
        await until(lambda: api.updates.webhook)
        hook: Any = api.updates.webhook
        assert hook.connections == 1
        message = api.say(api.chats.private(501), "a")
        update = {"update_id": 1, "message": message}
        assert all(await asyncio.gather(*(api.updates.post(hook, update) for _ in range(40))))
    assert inbox.texts == ["a"]
