"""NoneBot2 with its own OneBot adapter, saying back what it is told: a second, independent bot.

Run as a program, since NoneBot lives once a process: ``nonebot_echo.py reverse PORT`` listens
there, ``nonebot_echo.py forward URL`` connects.
"""

import sys

import nonebot
from nonebot.adapters.onebot.v11 import Adapter, Bot, MessageEvent
from nonebot.rule import to_me


def main(direction: str, where: str) -> None:
    settings = (
        {"driver": "~fastapi", "port": int(where)}
        if direction == "reverse"
        else {"driver": "~aiohttp", "onebot_ws_urls": [where]}
    )
    nonebot.init(log_level="WARNING", onebot_access_token="it is a token", **settings)
    nonebot.get_driver().register_adapter(Adapter)

    async def echo(bot: Bot, event: MessageEvent) -> None:
        await bot.send(event, event.get_plaintext().strip())

    nonebot.on_message(rule=to_me()).append_handler(echo)
    nonebot.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
