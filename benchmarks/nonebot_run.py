"""NoneBot2 with adapter-onebot and an echo plugin, as a process: the peer of :mod:`.bot`.

``python -m benchmarks.nonebot_run PORT`` listens for reverse WebSockets on 127.0.0.1. It
logs warnings only, which is faster than what it does by default, and stores nothing.
"""

from __future__ import annotations

import sys

import nonebot
from nonebot.adapters.onebot.v11 import Adapter, Bot, MessageEvent


def main() -> None:
    """Say back whatever comes, until it is ended."""
    nonebot.init(driver="~fastapi", port=int(sys.argv[1]), log_level="WARNING")
    nonebot.get_driver().register_adapter(Adapter)

    async def echo(bot: Bot, event: MessageEvent) -> None:
        await bot.send(event, event.get_plaintext())

    nonebot.on_message().append_handler(echo)
    nonebot.run()


if __name__ == "__main__":
    main()
