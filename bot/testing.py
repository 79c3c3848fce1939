"""For authors of plugins: a whole bot without sockets, to say something to.

.. code-block:: python

    async def test_it_rolls() -> None:
        async with talking(Path("plugins/dice.py")) as talk:
            assert await talk.say("/roll 1") == ["1"]

Everything but the platform and the model is the real thing: store, sessions, pipeline.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from bot.adapter import Capabilities, Link
from bot.cast import Player
from bot.config import BotConfig
from bot.engine import ALL_ROUNDS, Engine
from bot.event import (
    Account,
    Chat,
    ChatKind,
    Event,
    Outcome,
    Outgoing,
    Role,
    Sender,
    Sent,
    SessionKey,
)
from bot.plugin_loader import Source
from bot.runtime import Runtime
from bot.store import Store
from trainer.chat import Message
from trainer.errors import RensheError
from trainer.persona import Fact, Persona
from trainer.strict_yaml import read_document

TESTER = Persona(
    name="Robin",
    aliases=("Rob",),
    language="en",
    summary="Robin is a friendly stranger who listens more than he talks.",
    facts=(Fact(id="name", ask=("Who are you?",), answer=("Robin.",), expect="Robin"),),
    fallback=("I lost my words.",),
)
"""Who answers in a test."""

ACCOUNT = Account("loopback", "bot")


class ScriptedEngine:
    """Says one line after the other, and remembers what it was shown.

    Args:
        lines: replies; when they are used up it repeats the question.
        persona: who says them.
    """

    def __init__(self, *lines: str, persona: Persona = TESTER) -> None:
        self._lines = list(lines)
        self._persona = persona
        self.prompts: list[list[Message]] = []

    @property
    def persona(self) -> Persona:
        return self._persona

    @property
    def rounds(self) -> int:
        return ALL_ROUNDS

    def stream(self, messages: Sequence[Message]) -> Iterator[str]:
        self.prompts.append(list(messages))
        yield self._lines.pop(0) if self._lines else messages[-1].text

    def stop(self) -> None:
        """Nothing is under way."""


class Loopback:
    """An :class:`bot.adapter.Adapter` that keeps what is sent."""

    platform = ACCOUNT.platform
    accounts = (ACCOUNT,)
    capabilities = Capabilities()
    links = (Link("loopback", up=True),)

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []
        self._stopped = asyncio.Event()

    async def start(self) -> None:
        """Nothing has to be opened."""

    async def run(self) -> None:
        await self._stopped.wait()

    async def stop(self) -> None:
        self._stopped.set()

    async def close(self) -> None:
        self._stopped.set()

    async def send(self, message: Outgoing) -> Outcome:
        self.sent.append(message)
        return Sent(f"sent-{message.id}")

    async def edit(self, message: Outgoing) -> Outcome:
        """Not called."""
        raise NotImplementedError

    async def draft(self, message: Outgoing) -> Outcome:
        """Not called."""
        raise NotImplementedError

    async def show_typing(self, account: Account, chat: Chat) -> None:
        """Not called."""


class Talk:
    """A running bot, and the other side of every chat with it.

    Attributes:
        runtime: the bot.
        adapter: where its messages end up.
    """

    def __init__(self, runtime: Runtime, adapter: Loopback) -> None:
        self.runtime = runtime
        self.adapter = adapter

    async def say(
        self,
        text: str,
        *,
        user: str = "ann",
        chat: str = "home",
        kind: ChatKind = "private",
        role: Role = "member",
        mention: bool = False,
    ) -> list[str]:
        """Say something to the bot; returns what it says, once it has nothing more to say."""
        before = len(self.adapter.sent)
        await self.runtime.receive(
            Event(
                ACCOUNT,
                Chat(chat, kind),
                Sender(user, user, role),
                uuid4().hex,
                text,
                time.time(),
                mentions_bot=mention,
            )
        )
        await self.runtime.idle()
        return [message.text for message in self.adapter.sent[before:]]

    async def heard(self) -> list[str]:
        """Return everything the bot has said so far, once it has nothing more to say."""
        await self.runtime.idle()
        return [message.text for message in self.adapter.sent]

    def session(self, chat: str = "home") -> SessionKey:
        """Return the key of a chat's session."""
        return SessionKey(ACCOUNT.platform, ACCOUNT.self_id, chat)


@asynccontextmanager
async def talking(
    *plugins: Path,
    settings: Mapping[str, Any] | None = None,
    engines: Mapping[str, Engine] | None = None,
    config: Mapping[str, Any] | None = None,
    store: Path | None = None,
) -> AsyncIterator[Talk]:
    """Run a bot with these plugins, and no others.

    Args:
        plugins: their files.
        settings: of the plugins, by name, as under ``plugins.settings``.
        engines: who answers, by the name in ``renshe.yaml``; by default it repeats.
        config: other parts of ``renshe.yaml``.
        store: its database; by default one that is thrown away.

    Raises:
        RensheError: a plugin cannot be loaded.
    """
    engines = engines or {"robin": ScriptedEngine()}
    whole = {
        "delivery": {"typing_speed": 0},
        **(config or {}),
        "personas": {name: {"echo": {"persona": "none.yaml"}} for name in engines},
        "adapters": {"console": [{}]},
    }
    whole["plugins"] = {**whole.get("plugins", {}), "settings": dict(settings or {})}
    document, _ = read_document(json.dumps(whole), None)
    sources = [Source(path.stem, path) for path in plugins]
    adapter = Loopback()
    with tempfile.TemporaryDirectory() as folder:
        runtime = Runtime(
            BotConfig.model_validate(whole),
            document,
            Store(store or Path(folder) / "test.db"),
            {name: Player(name, engine) for name, engine in engines.items()},
            adapters=lambda _runtime: [adapter],
            find=lambda _folder: sources,
            load=lambda _config, former: former,
        )
        async with _running(runtime):
            if faults := runtime.faults:
                raise RensheError(faults=tuple(faults))
            yield Talk(runtime, adapter)


@asynccontextmanager
async def _running(runtime: Runtime) -> AsyncIterator[None]:
    ready = asyncio.Event()
    run = asyncio.create_task(runtime.run(ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait((run, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if run.done():
        await run
    try:
        yield
    finally:
        runtime.stop()
        await run
