"""kill -9 of a real process, before and after its commit: nothing is lost or taken twice."""

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from bot.store import Store
from tests.bot.adapters.telegram.conftest import free_port, until
from tests.fakes.bot_api import BotApi

pytestmark = pytest.mark.anyio


async def start(api: BotApi, database: Path, *more: str) -> asyncio.subprocess.Process:
    module = "tests.bot.adapters.telegram.receiver"
    command = [sys.executable, "-m", module, api.address, str(database), *more]
    return await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)


async def kill(process: asyncio.subprocess.Process) -> None:
    process.kill()
    with suppress(ProcessLookupError):
        await process.wait()


async def texts(database: Path) -> list[str]:
    store = Store(database)
    try:
        return [accepted.event.text for accepted in await store.waiting()]
    finally:
        store.close()


@pytest.mark.parametrize("webhook", [False, True], ids=["polling", "webhook"])
async def test_killed_around_the_commit(api: BotApi, tmp_path: Path, webhook: bool) -> None:
    port = [str(free_port())] if webhook else []
    database = tmp_path / "bot.db"
    ann = api.chats.private(501)
    api.say(ann, "a")
    api.say(ann, "b")
    for moment, kept in (("before", []), ("after", ["a"])):
        process = await start(api, database, moment, *port)
        assert process.stdout
        assert (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip() == moment
        await kill(process)
        assert len(api.updates.pending) == 2  # neither is confirmed
        assert await texts(database) == kept
    process = await start(api, database, "never", *port)
    await until(lambda: not api.updates.pending, 60)
    await kill(process)
    assert await texts(database) == ["a", "b"]
