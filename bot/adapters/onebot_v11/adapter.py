"""QQ as an :class:`bot.adapter.Adapter`: one entry under ``onebot_v11`` in ``renshe.yaml``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from bot.adapter import Capabilities, Inlet, Link
from bot.adapters.onebot_v11.calls import Timing, send
from bot.adapters.onebot_v11.config import OneBotConfig
from bot.adapters.onebot_v11.forward import Forward
from bot.adapters.onebot_v11.http import Http
from bot.adapters.onebot_v11.hub import Hub
from bot.adapters.onebot_v11.incoming import PLATFORM
from bot.adapters.onebot_v11.outgoing import action_of
from bot.adapters.onebot_v11.reverse import Reverse
from bot.event import Account, Chat, Failed, Outcome, Outgoing, Sent
from trainer.language import say

LONGEST_MESSAGE = 3000
"""Characters. QQ does not say; about 4,500 are known to be refused."""


class Transport(Protocol):
    """One of the ways to an implementation; the calls come as in :class:`bot.adapter.Adapter`."""

    @property
    def port(self) -> int:
        """Where it listens; 0 if nowhere."""

    @property
    def links(self) -> Sequence[Link]:
        """How its connections are."""

    async def start(self) -> None:
        """Open what it needs."""

    async def run(self) -> None:
        """Receive until the hub is stopped."""

    async def close(self) -> None:
        """End everything; may be called twice."""


TRANSPORTS: dict[str, Callable[[OneBotConfig, Hub], Transport]] = {
    "reverse_websocket": Reverse,
    "forward_websocket": Forward,
    "http": Http,
}


class OneBotV11:
    """The adapter.

    Args:
        config: its settings.
        inlet: where events go.
        timing: how long to wait for everything.
    """

    platform = PLATFORM
    capabilities = Capabilities(LONGEST_MESSAGE)

    def __init__(self, config: OneBotConfig, inlet: Inlet, timing: Timing | None = None) -> None:
        self._hub = Hub(inlet, timing or Timing())
        self._transport: Transport = TRANSPORTS[config.transport](config, self._hub)

    @property
    def accounts(self) -> Sequence[Account]:
        return self._hub.accounts

    @property
    def links(self) -> Sequence[Link]:
        return self._transport.links

    @property
    def port(self) -> int:
        """Where it listens; 0 if nowhere."""
        return self._transport.port

    async def start(self) -> None:
        await self._transport.start()

    async def run(self) -> None:
        self._hub.running.set()
        await self._transport.run()

    async def stop(self) -> None:
        self._hub.stopped.set()

    async def close(self) -> None:
        await self._hub.close()
        await self._transport.close()

    async def send(self, message: Outgoing) -> Outcome:
        timing, self_id = self._hub.timing, message.account.self_id
        action = action_of(message)
        if action is None:
            return Failed(say(zh="不是 QQ 的会话", en=f"{message.chat.id} is no chat of QQ's"))
        caller = self._hub.newest(self_id)
        if caller is None:
            reason = say(zh=f"QQ {self_id} 没有连上", en=f"QQ {self_id} is not connected")
            return Failed(reason, retry_after=timing.first)
        outcome = await send(caller, *action, timeout=timing.call, later=timing.first)
        if isinstance(outcome, Sent) and outcome.message_id:
            self._hub.remember(self_id, outcome.message_id)
        return outcome

    async def edit(self, message: Outgoing) -> Outcome:
        """Not called: what was said on QQ cannot be edited."""
        raise NotImplementedError

    async def draft(self, message: Outgoing) -> Outcome:
        """Not called: what was said on QQ cannot be edited."""
        raise NotImplementedError

    async def show_typing(self, account: Account, chat: Chat) -> None:
        """Not called: OneBot v11 has no such action."""
