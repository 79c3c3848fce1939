"""The terminal as a platform: one private chat, to try a bot without any account."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Sequence
from itertools import count

from pydantic import Field

from bot.adapter import Capabilities, Inlet, Link
from bot.event import Account, Chat, Event, Outcome, Outgoing, Sender, Sent
from bot.strict import Strict


class ConsoleConfig(Strict):
    """The terminal in which ``renshe run`` was typed."""

    user: str = Field("me", min_length=1)
    """The id of who types; name ``console:me`` under ``owners`` to try an owner's commands."""


class Console:
    """An :class:`bot.adapter.Adapter` of this terminal; the end of the input ends it."""

    platform = "console"
    capabilities = Capabilities(max_length=100_000)

    def __init__(self, config: ConsoleConfig, inlet: Inlet) -> None:
        self._sender = Sender(config.user, config.user, "owner")
        self._inlet = inlet
        self._account = Account(self.platform, "console")
        self._chat = Chat("terminal", "private")
        # Lines have no ids of their own, and those of another run must differ.
        self._ids = (f"{time.time_ns()}-{index}" for index in count())
        self._stopped = asyncio.Event()

    @property
    def accounts(self) -> Sequence[Account]:
        return (self._account,)

    @property
    def links(self) -> Sequence[Link]:
        return (Link(self.platform, up=not self._stopped.is_set()),)

    async def start(self) -> None:
        """Nothing has to be opened."""

    async def run(self) -> None:
        reader = asyncio.create_task(self._read())
        stopped = asyncio.create_task(self._stopped.wait())
        await asyncio.wait((reader, stopped), return_when=asyncio.FIRST_COMPLETED)
        reader.cancel()
        stopped.cancel()
        await asyncio.gather(reader, stopped, return_exceptions=True)

    async def stop(self) -> None:
        self._stopped.set()

    async def close(self) -> None:
        self._stopped.set()

    async def send(self, message: Outgoing) -> Outcome:
        print(message.text, flush=True)  # noqa: T201
        return Sent(message.id)

    async def edit(self, message: Outgoing) -> Outcome:
        """Not called: what is printed cannot be taken back."""
        raise NotImplementedError

    async def draft(self, message: Outgoing) -> Outcome:
        """Not called: what is printed cannot be taken back."""
        raise NotImplementedError

    async def show_typing(self, account: Account, chat: Chat) -> None:
        """Not called."""

    async def _read(self) -> None:
        """Hand in line after line; a thread of its own reads, which an exit does not wait for."""
        loop = asyncio.get_running_loop()
        lines: asyncio.Queue[str] = asyncio.Queue()
        _start_reading(lambda line: loop.call_soon_threadsafe(lines.put_nowait, line))
        while line := await lines.get():
            if text := line.strip():
                await self._inlet.receive(self._event(text))

    def _event(self, text: str) -> Event:
        return Event(self._account, self._chat, self._sender, next(self._ids), text, time.time())


def _start_reading(put: Callable[[str], object]) -> None:
    """Read lines in a daemon thread: a blocked ``readline`` cannot be cancelled."""

    def read() -> None:
        for line in sys.stdin:
            put(line)
        put("")

    threading.Thread(target=read, name="console", daemon=True).start()
