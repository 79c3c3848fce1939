from pathlib import Path

import pytest

from bot.testing import talking

pytestmark = pytest.mark.anyio


async def test_an_owner_sees_connections_and_the_database(plugins: Path) -> None:
    async with talking(plugins / "status.py", config={"owners": ["loopback:boss"]}) as talk:
        await talk.say("hello")
        (shown,) = await talk.say("/status", user="boss")
        assert {"loopback: ok", "turns: 2", "outbox.sent: 1"} <= set(shown.splitlines())
        assert await talk.say("/status") == ["Only the bot's owner may use that command."]
