"""What all connections of an adapter share: who is connected, and where events go."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict

from bot.adapter import Inlet
from bot.adapters.onebot_v11.calls import Caller, Timing, wrote
from bot.adapters.onebot_v11.incoming import PLATFORM, read_message, replying
from bot.adapters.onebot_v11.lanes import Lanes
from bot.adapters.onebot_v11.wire import MessageFrame
from bot.errors import StoreError
from bot.event import Account, Event
from trainer.language import say

_log = logging.getLogger(__name__)

ROOM = 1000
"""Events that may wait for the database before the connections are no longer read."""

REMEMBERED = 4096
"""Our own latest messages that are known without asking."""


class Hub:
    """The middle of an adapter.

    Args:
        inlet: the bot's side.
        timing: how long to wait for everything.

    Attributes:
        accounts: those that can be spoken through now.
    """

    def __init__(self, inlet: Inlet, timing: Timing) -> None:
        self.timing = timing
        self.running = asyncio.Event()
        self.stopped = asyncio.Event()
        self._inlet = inlet
        self._lanes = Lanes(ROOM)
        self._callers: dict[str, list[Caller]] = {}
        self.accounts: tuple[Account, ...] = ()
        self._ours: OrderedDict[tuple[str, str], None] = OrderedDict()

    # --- who is connected ---------------------------------------------------------------------

    def join(self, self_id: str, caller: Caller) -> None:
        """Let ``caller`` speak for an account, before those that did so until now."""
        self._callers.setdefault(self_id, []).append(caller)
        self._count()

    def leave(self, self_id: str, caller: Caller) -> None:
        """Forget this very connection: one that came later under the same id stays."""
        rest = [one for one in self._callers.get(self_id, ()) if one is not caller]
        if rest:
            self._callers[self_id] = rest
        else:
            self._callers.pop(self_id, None)
        self._count()

    def _count(self) -> None:
        self.accounts = tuple(Account(PLATFORM, self_id) for self_id in self._callers)

    def newest(self, self_id: str) -> Caller | None:
        """Return the connection that speaks for an account."""
        callers = self._callers.get(self_id)
        return callers[-1] if callers else None

    # --- where events go ----------------------------------------------------------------------

    async def take(self, frame: MessageFrame) -> asyncio.Future[bool] | None:
        """Take a message; returns what will tell that it is on disk, None for one of no use."""
        event = None if self.stopped.is_set() else read_message(frame)
        if event is None:
            return None
        return await self._lanes.put(f"{event.account}:{event.chat.id}", lambda: self._give(event))

    def remember(self, self_id: str, message_id: str) -> None:
        """Know a message as our own, should somebody reply to it."""
        self._ours[self_id, message_id] = None
        if len(self._ours) > REMEMBERED:
            self._ours.popitem(last=False)

    async def close(self) -> None:
        """Hand in what was taken, as far as that is possible."""
        self.stopped.set()
        await self._lanes.close(self.timing.part if self.running.is_set() else 0)

    async def _give(self, event: Event) -> None:
        """Hand an event in, again and again: what is not written now will not be sent again."""
        await self.running.wait()
        if await self._replies_to_us(event):
            event = replying(event)
        while True:
            try:
                await self._inlet.receive(event)
                return
            except StoreError as error:
                _log.error(
                    say(
                        zh=f"一条消息还写不进数据库，稍后再试：{error}",
                        en=f"a message cannot be stored yet and will be tried again: {error}",
                    )
                )
                await asyncio.sleep(self.timing.again)

    async def _replies_to_us(self, event: Event) -> bool:
        """Tell whether it replies to a message of ours, which only its id names.

        Asked only where the answer counts: a private message and a mention are for us anyway.
        """
        if event.reply_to is None:
            return False
        self_id = event.account.self_id
        if (self_id, event.reply_to) in self._ours:
            return True
        caller = self.newest(self_id)
        if caller is None or event.mentions_bot or event.chat.kind == "private":
            return False
        return await wrote(caller, event.reply_to, self.timing.ask) == self_id
