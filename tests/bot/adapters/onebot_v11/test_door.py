"""Who is let in: tokens, web pages, paths, ports."""

import aiohttp
import pytest

from bot.adapters.onebot_v11.door import is_same
from bot.errors import AdapterError
from tests.bot.adapters.onebot_v11.conftest import (
    Inbox,
    address,
    eventually,
    running,
)
from tests.fakes.onebot import QQ
from tests.fakes.onebot_links import connected

pytestmark = pytest.mark.anyio

SECRET = "it is a secret"


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONEBOT_TOKEN", SECRET)


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
