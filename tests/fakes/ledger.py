"""A platform on disk, for a bot in a process that gets killed.

It delivers the messages of a file to the bot again and again until each was acknowledged, as
platforms do, and writes down what the bot sends. Run as a program it is that bot:
``python -m tests.fakes.ledger FOLDER``; it ends when everything was acknowledged and dealt
with.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from bot.adapter import Capabilities, Inlet, Link
from bot.cast import Player
from bot.config import BotConfig
from bot.event import Account, Chat, Event, Outcome, Outgoing, Sender, Sent
from bot.runtime import Runtime
from bot.store import Store
from bot.testing import ScriptedEngine

ACCOUNT = Account("ledger", "bot")
IN, ACKNOWLEDGED, OUT = "in.jsonl", "acknowledged.txt", "out.jsonl"


class Ledger:
    """An :class:`bot.adapter.Adapter` that is three files."""

    platform = ACCOUNT.platform
    accounts = (ACCOUNT,)
    capabilities = Capabilities()
    links = (Link("ledger", up=True),)

    def __init__(self, folder: Path, inlet: Inlet) -> None:
        self._folder = folder
        self._inlet = inlet
        self._chance = random.Random(os.getpid())

    async def start(self) -> None:
        """Nothing has to be opened."""

    async def run(self) -> None:
        """Deliver, each chat in its own order; some twice, as platforms do."""
        done = set(_lines(self._folder / ACKNOWLEDGED))
        rows = [json.loads(line) for line in _lines(self._folder / IN)]
        chats: dict[str, list[dict[str, str]]] = {}
        for row in rows:
            if row["id"] not in done:
                chats.setdefault(row["chat"], []).append(row)
        await asyncio.gather(*(self._deliver(chat) for chat in chats.values()))

    async def _deliver(self, rows: Sequence[dict[str, str]]) -> None:
        for row in rows:
            chat = Chat(row["chat"], "private")
            event = Event(ACCOUNT, chat, Sender(row["chat"]), row["id"], row["text"], 0.0)
            for _ in range(1 + (self._chance.random() < 0.1)):
                await self._inlet.receive(event)
            _append(self._folder / ACKNOWLEDGED, row["id"])
            await asyncio.sleep(self._chance.random() * 0.02)

    async def stop(self) -> None:
        """It ends by itself."""

    async def close(self) -> None:
        """Nothing is open."""

    async def send(self, message: Outgoing) -> Outcome:
        await asyncio.sleep(self._chance.random() * 0.003)
        _append(self._folder / OUT, json.dumps({"chat": message.chat.id, "text": message.text}))
        await asyncio.sleep(self._chance.random() * 0.003)
        return Sent(message.id)

    async def edit(self, message: Outgoing) -> Outcome:
        """Not called."""
        raise NotImplementedError

    async def draft(self, message: Outgoing) -> Outcome:
        """Not called."""
        raise NotImplementedError

    async def show_typing(self, account: Account, chat: Chat) -> None:
        """Not called."""


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines() if path.exists() else []


def _append(path: Path, line: str) -> None:
    """Write a line whole: one write to a file that is only added to."""
    with path.open("ab", buffering=0) as file:
        file.write(f"{line}\n".encode())


def main(folder: Path) -> None:
    """Be the bot, until everything is dealt with."""
    config = BotConfig.model_validate(
        {
            "personas": {"robin": {"echo": {"persona": "none.yaml"}}},
            "adapters": {"console": [{}]},
            "limits": {"per_user": 10**6, "overall": 10**6},
            "operation": {"drain": 60},
        }
    )

    async def serve() -> None:
        await Runtime(
            config,
            None,
            Store(folder / "bot.db"),
            {"robin": Player("robin", ScriptedEngine())},
            adapters=lambda runtime: [Ledger(folder, runtime)],
            find=lambda _folder: [],
        ).run()

    asyncio.run(serve())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
