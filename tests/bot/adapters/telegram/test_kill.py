"""kill -9 of a real process, before and after its commit: nothing is lost or taken twice."""

import asyncio
import sqlite3
import sys
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from random import Random

import pytest

from bot.event import SessionKey
from bot.store import Store
from tests.bot.adapters.telegram.conftest import free_port, until
from tests.fakes.bot_api import TOKEN, BotApi
from tests.fakes.bot_api_chats import Chat
from tests.fakes.chat_api import ChatApi, serving

pytestmark = pytest.mark.anyio

Moments = tuple[tuple[str, list[str]], ...]


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


POLLING = (("before", []), ("after", ["a"]))
WEBHOOK = (("after", ["a"]),)  # each moment is a process more, and takes seconds


@pytest.mark.parametrize("moments", [POLLING, WEBHOOK], ids=["polling", "webhook"])
async def test_killed_around_the_commit(api: BotApi, tmp_path: Path, moments: Moments) -> None:
    port = [str(free_port())] if moments is WEBHOOK else []
    database = tmp_path / "bot.db"
    ann = api.chats.private(501)
    api.say(ann, "a")
    api.say(ann, "b")
    for moment, kept in moments:
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


SETTINGS = """
store: bot.db
personas: {{echo: {{echo: {{persona: {persona}}}}}}}
adapters: {{telegram: [{{token_env: TELEGRAM_TOKEN, api_url: {address}}}]}}
limits: {{per_user: 1000, overall: 10000}}
delivery: {{typing_speed: 0}}
"""
PERSONA = Path(__file__).parents[4] / "personas" / "muxue.yaml"


async def run(folder: Path) -> asyncio.subprocess.Process:
    command = [sys.executable, "-m", "bot.cli", "run", str(folder / "renshe.yaml")]
    return await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )


def count(database: Path, state: str) -> int:
    """Return how many messages there are in a state."""
    sql = "SELECT count(*) FROM outbox WHERE state = ?"
    with closing(sqlite3.connect(database)) as db:
        return int(db.execute(sql, [state]).fetchone()[0])


async def test_renshe_run_is_killed_again_and_again(api: BotApi, tmp_path: Path) -> None:
    """Each message is answered once, in order, but for those whose fate is unknown."""
    settings = SETTINGS.format(persona=PERSONA, address=api.address)
    (tmp_path / "renshe.yaml").write_text(settings, "utf-8")
    chance = Random(7)
    chats = [api.chats.private(500 + index) for index in range(4)]
    asked: dict[int, list[str]] = {chat.id: [] for chat in chats}
    for _ in range(2):
        process = await run(tmp_path)
        await until(lambda: api.updates.is_polled, 60)
        ask(api, chats, asked, 20)
        await until(lambda: any(api.sent(chat) for chat in chats), 20)
        await asyncio.sleep(chance.uniform(0, 0.15))
        await kill(process)
    process = await run(tmp_path)
    left = count(tmp_path / "bot.db", "unknown")
    await until(lambda: sum(len(api.sent(chat)) for chat in chats) + left >= 40, 60)
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 20) == 0
    for chat in chats:
        answers = api.sent(chat)
        assert not [text for text, times in Counter(answers).items() if times > 1]
        assert answers == [text for text in asked[chat.id] if text in answers]
    assert sum(len(api.sent(chat)) for chat in chats) >= 40 - count(tmp_path / "bot.db", "unknown")


STREAMING = """
store: bot.db
personas: {{robin: {{remote: {{url: "{url}", model: m, persona: {persona}}}}}}}
adapters: {{telegram: [{{token_env: TELEGRAM_TOKEN, api_url: {address}}}]}}
delivery: {{typing_speed: 0}}
"""


async def test_killed_while_replies_grow(api: BotApi, tmp_path: Path) -> None:
    """A draft begins anew, a group's message is gone on with; each question is answered once."""
    ann, group = api.chats.private(501), api.chats.group(-77)
    with serving(ChatApi(["Hello there. Who are you?"], fault="hang", letters=13)) as model:
        settings = STREAMING.format(url=model.url, persona=PERSONA, address=api.address)
        (tmp_path / "renshe.yaml").write_text(settings, "utf-8")
        process = await run(tmp_path)
        await until(lambda: api.updates.is_polled, 60)
        api.say(ann, "hi")
        api.say(group, "@Snow_Bot hi")
        await until(lambda: api.draft(ann) and api.sent(group), 60)
        assert "Hello there.".startswith(api.sent(group)[0])
        await until(lambda: count(tmp_path / "bot.db", "shown") == 1)
        await kill(process)
        model.fault = ""
        process = await run(tmp_path)
        whole = ["Hello there. Who are you?"]
        await until(lambda: api.sent(ann) == whole and api.sent(group) == whole, 60)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 20) == 0
    assert len(api.called("sendMessage")) == 2 and api.draft(ann) is None
    store = Store(tmp_path / "bot.db")
    for chat in (ann, group):
        key = SessionKey("telegram", TOKEN.partition(":")[0], str(chat.id))
        assert [one.assistant for one in await store.history(key, 5)] == whole
    assert await store.waiting() == [] and count(tmp_path / "bot.db", "sent") == 2
    store.close()


def ask(api: BotApi, chats: list[Chat], asked: dict[int, list[str]], count: int) -> None:
    for index in range(count):
        chat = chats[index % len(chats)]
        asked[chat.id].append(f"{chat.id}-{len(asked[chat.id])}")
        api.say(chat, asked[chat.id][-1])
