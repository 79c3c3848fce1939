"""How much a visitor of a page may ask, so that one cannot keep it from all others."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from bot.config import Limits
from bot.limits import RateLimit
from trainer.errors import RensheError
from trainer.language import say


class Visitors:
    """Counts what each visitor asks, over all tabs and pages of one server.

    Args:
        limits: how much is too much.
        clock: seconds that only grow.
    """

    def __init__(
        self, limits: Limits | None = None, clock: Callable[[], float] | None = None
    ) -> None:
        self._limits = limits or Limits()
        self._rate = RateLimit(self._limits, clock) if clock else RateLimit(self._limits)
        self._counting = threading.Lock()

    def ask(self, visitor: str) -> None:
        """Count a message of ``visitor``.

        Raises:
            RensheError: it is one too many; a page says so each time, unlike a bot, for only
                who asks sees it.
        """
        with self._counting:
            verdict = self._rate.ask(visitor)
        if verdict != "welcome":
            raise self._too_much()

    def _too_much(self) -> RensheError:
        most, window = self._limits.per_user, self._limits.window
        return RensheError(
            say(zh="说得太快啦，歇一会儿再聊", en="that was a lot at once: take a short rest"),
            fix=say(
                zh=f"{window:g} 秒里最多说 {most} 句；你写的还在输入框里",
                en=f"{most} messages in {window:g} seconds; what you wrote is still there",
            ),
            code="too-fast",
        )


def visitor(request: Any) -> str:
    """Return who sends a Gradio request: the name logged in with, else the address.

    Not what a browser says of itself, which a flood would say differently each time.
    """
    if name := getattr(request, "username", None):
        return f"user:{name}"
    client = getattr(request, "client", None)
    return f"host:{getattr(client, 'host', '')}"
