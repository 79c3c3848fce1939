"""``renshe run`` on QQ: the whole bot in a process of its own, killed with SIGKILL on the way."""

import asyncio
import os
import socket
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from random import Random

import aiohttp
import pytest

from tests.bot.adapters.onebot_v11.conftest import eventually
from tests.fakes.onebot import QQ, at, text
from tests.fakes.onebot_links import Connection, connected

pytestmark = pytest.mark.anyio

PERSONA = Path(__file__).parents[3] / "data" / "personas" / "good.yaml"
SETTINGS = """
store: bot.db
personas: {{echo: {{echo: {{persona: {persona}}}}}}}
adapters: {{onebot_v11: [{{port: {port}}}]}}
limits: {{per_user: 1000, overall: 10000}}
delivery: {{typing_speed: 0}}
"""


class Bot:
    """A bot in a folder, which is started and killed."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.database, self.settings = folder / "bot.db", folder / "renshe.yaml"
        text = SETTINGS.format(persona=PERSONA, port=self.port)
        self.settings.write_text(text, encoding="utf-8")

    async def start(self) -> asyncio.subprocess.Process:
        command = [sys.executable, "-m", "bot.cli", "run", str(self.settings)]
        quiet = {"stdout": asyncio.subprocess.DEVNULL, "stderr": asyncio.subprocess.DEVNULL}
        root = str(Path(__file__).parents[4])
        environment = {**os.environ, "PYTHONPATH": root}
        return await asyncio.create_subprocess_exec(*command, **quiet, cwd=root, env=environment)

    @asynccontextmanager
    async def reached_by(self, qq: QQ) -> AsyncIterator[Connection]:
        """Connect as NapCat does: again and again, until the bot is there."""
        url = f"ws://127.0.0.1:{self.port}/onebot/v11/ws"
        async with asyncio.timeout(60):
            while not await self._listens():
                await asyncio.sleep(0.05)
        async with connected(qq, url) as connection:
            yield connection

    async def _listens(self) -> bool:
        async with aiohttp.ClientSession() as session:
            try:
                async with session.get(f"http://127.0.0.1:{self.port}/"):
                    return True
            except aiohttp.ClientError:
                return False

    def count(self, query: str) -> int:
        with closing(sqlite3.connect(self.database)) as db:
            return int(db.execute(f"SELECT count(*) FROM {query}").fetchone()[0])


async def test_a_group_is_answered(tmp_path: Path) -> None:
    qq, bot = QQ(), Bot(tmp_path)
    process = await bot.start()
    async with bot.reached_by(qq):
        await qq.hear("不关你事", group=1)
        await qq.hear([at(10001), text(" [CQ:at,qq=all] 你好")], group=1)
        (said,) = await qq.until_said(1, timeout=20)
        assert (said.chat, said.text) == ("group-1", "[CQ:at,qq=all] 你好")
        assert not said.of("at")
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 20) == 0


async def test_killed_again_and_again_it_answers_what_it_took_in_once(tmp_path: Path) -> None:
    """What it took in is answered once and in order, but for what is marked unknown.

    QQ does not send again what was lost on the wire, so only what was committed counts.
    """
    qq, bot, chance = QQ(), Bot(tmp_path), Random(7)
    asked: dict[str, list[str]] = {f"private-{user}": [] for user in range(1, 5)}
    for _ in range(3):
        process = await bot.start()
        async with bot.reached_by(qq):
            before = len(qq.said)
            await ask(qq, asked, 24)
            await qq.until_said(before + 1, timeout=20)
            await asyncio.sleep(chance.uniform(0, 0.1))
            process.kill()
            await process.wait()
    process = await bot.start()
    async with bot.reached_by(qq):
        await eventually(lambda: not bot.count("inbox WHERE state = 'accepted'"), timeout=30)
        await eventually(lambda: not bot.count("outbox WHERE state = 'pending'"), timeout=30)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 20) == 0
    check(qq, asked, taken=bot.count("inbox"), unknown=bot.count("outbox WHERE state = 'unknown'"))


async def ask(qq: QQ, asked: dict[str, list[str]], number: int) -> None:
    for index in range(number):
        chat = list(asked)[index % len(asked)]
        asked[chat].append(f"{chat} {len(asked[chat])}")
        await qq.hear(asked[chat][-1], user=int(chat.removeprefix("private-")))


def check(qq: QQ, asked: dict[str, list[str]], *, taken: int, unknown: int) -> None:
    assert taken - unknown <= len(qq.said) <= taken and taken >= 30
    assert not [text for text, times in Counter(said.text for said in qq.said).items() if times > 1]
    for chat, questions in asked.items():
        answers = [said.text for said in qq.said if said.chat == chat]
        assert answers == [question for question in questions if question in answers]
