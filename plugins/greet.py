"""Speaks first now and then, in chats whose admins want it, and never at night."""

import random
import time
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from bot.plugin import (
    Arguments,
    Bot,
    PluginError,
    Session,
    SessionKey,
    Settings,
    Storage,
    every,
    on_command,
    on_message,
)
from trainer.language import say

Clock = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
"""A time of day, ``HH:MM``."""

HOUR, LOOK = 3600.0, 600.0
"""Seconds in an hour, and between two looks."""

WINDOW = 1.2 * LOOK
"""Seconds after a time of day in which it still greets: more than from one look to the next."""


class Greeting(Settings):
    """When it speaks first, and what it says."""

    at: tuple[Clock, ...] = ()
    """Times of day at which it greets."""
    after: float = Field(24.0, gt=0)
    """Hours without a word after which it may speak up."""
    chance: float = Field(0.1, ge=0, le=1)
    """How likely it then does, each time it looks, which is every ten minutes."""
    cooldown: float = Field(20.0, gt=0)
    """Hours after a greeting in which it does not speak up by chance."""
    quiet_from: Clock = "22:00"
    """From then on it is quiet."""
    quiet_until: Clock = "08:00"
    """Until then it is quiet."""
    lines: tuple[str, ...] = ()
    """What it says; the persona's greeting if there are none."""


@on_command(
    "greet",
    "问候",
    about=say(zh="on 或 off：要不要我主动说话", en="on or off: whether I may speak first"),
    permission="admin",
)
async def choose(session: Session, arguments: Arguments, storage: Storage) -> str:
    """Opt a chat in or out."""
    key = str(session.key)
    if arguments == "off":
        await storage.forget(key)
        return say(zh="好，不主动说话了。", en="All right, I will not speak first.")
    if arguments != "on":
        return say(zh="写 on 或 off。", en="Say on or off.")
    await storage.put(key, {"line": session.persona.greeting, "heard": time.time(), "said": 0.0})
    return say(zh="好，有空来找你们。", en="All right, I will drop in.")


@on_message(priority=-100)
async def hear(session: Session, storage: Storage) -> None:
    """Note when a chat was last heard of."""
    key = str(session.key)
    if (chat := await storage.get(key)) is not None:
        await storage.put(key, {**chat, "heard": time.time()})


@every(seconds=LOOK)
async def look(bot: Bot, storage: Storage, settings: Greeting) -> None:
    """Greet wherever it is time to."""
    now = datetime.now()
    for key, kept in (await storage.items()).items():
        chat = put_right(kept, now.timestamp())
        line = random.choice(settings.lines) if settings.lines else chat["line"]
        due = line and is_due(settings, now, chat["heard"], chat["said"], random.random())
        if due:
            chat["said"] = now.timestamp()
        if chat != kept:  # noted first: rather no greeting than two
            await storage.put(key, chat)
        if due:
            with suppress(PluginError):  # the chat is left out now; the others are not
                await bot.send(SessionKey.parse(key), line)


def put_right(chat: dict[str, Any], now: float) -> dict[str, Any]:
    """Take what was noted by a clock that was days ahead to be of now; else it is silent for years.

    What is ahead by less stays: the clock was set back, and greeting again would be twice.
    """
    ahead = {name: now for name in ("heard", "said") if chat[name] > now + 24 * HOUR}
    return {**chat, **ahead}


def is_due(settings: Greeting, now: datetime, heard: float, said: float, lot: float) -> bool:
    """Tell whether to speak first in a chat.

    Args:
        settings: when it may.
        now: by the wall clock.
        heard: when the chat was last heard of, in Unix seconds.
        said: when it was last greeted, in Unix seconds.
        lot: drawn from 0 to 1.
    """
    if is_quiet(settings, f"{now:%H:%M}"):
        return False
    past = now.timestamp()
    times = [_latest(now, at) for at in settings.at]
    if any(said < then <= past < then + WINDOW for then in times):
        return True
    rested = past - said >= settings.cooldown * HOUR
    return rested and past - heard >= settings.after * HOUR and lot < settings.chance


def is_quiet(settings: Greeting, clock: str) -> bool:
    """Tell whether ``clock`` is in the quiet hours, which may go past midnight."""
    start, end = settings.quiet_from, settings.quiet_until
    if start <= end:
        return start <= clock < end
    return clock >= start or clock < end


def _latest(now: datetime, at: str) -> float:
    """Return when the clock last showed a time, in Unix seconds.

    If it showed it twice that night (summer time ends), the first of the two.
    """
    hour, minute = map(int, at.split(":"))
    then = now.replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0)
    return (then if then <= now else then - timedelta(days=1)).timestamp()
