"""The bot's side of the contract with adapters, in memory."""

import asyncio

from bot.errors import StoreError
from bot.event import DedupeKey, Event


class Inbox:
    """Takes events as the bot's store does.

    Attributes:
        events: what was committed, each message once.
        given: how often an event was handed in, duplicates included.
        full: so many commits fail from now on.
        open: committing waits while this is clear.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.given = self.full = 0
        self.open = asyncio.Event()
        self.open.set()
        self._known: set[DedupeKey] = set()

    async def receive(self, event: Event) -> bool:
        self.given += 1
        await self.open.wait()
        if self.full:
            self.full -= 1
            raise StoreError("the disk is full")
        is_new = event.dedupe_key not in self._known
        self._known.add(event.dedupe_key)
        if is_new:
            self.events.append(event)
        return is_new

    @property
    def texts(self) -> list[str]:
        return [event.text for event in self.events]
