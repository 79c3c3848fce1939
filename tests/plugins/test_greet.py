from datetime import datetime
from pathlib import Path

import pytest

from bot.plugin import Storage
from bot.plugin_loader import Source, read_plugin
from bot.testing import talking
from plugins.greet import HOUR, Greeting, is_due, is_quiet

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 5, 4, 12, 0)
PAST = NOON.timestamp()
ALWAYS = Greeting(quiet_from="00:00", quiet_until="00:00", chance=1, after=1, lines=("Psst!",))


def test_it_speaks_up_after_silence_by_chance_and_rests() -> None:
    settings = Greeting(after=24, chance=0.1, cooldown=20)
    long_ago = PAST - 25 * HOUR
    assert is_due(settings, NOON, long_ago, 0.0, 0.05)
    assert not is_due(settings, NOON, long_ago, 0.0, 0.1)
    assert not is_due(settings, NOON, PAST - 23 * HOUR, 0.0, 0.05)
    assert not is_due(settings, NOON, long_ago, PAST - 19 * HOUR, 0.05)


def test_it_greets_by_the_clock_once() -> None:
    settings = Greeting(at=("11:55",), chance=0)
    assert is_due(settings, NOON, PAST, 0.0, 1.0)
    assert not is_due(settings, NOON, PAST, PAST - 60, 1.0)
    assert not is_due(settings, NOON.replace(minute=10), PAST, 0.0, 1.0)


@pytest.mark.parametrize(("clock", "quiet"), [("21:59", False), ("22:00", True), ("03:00", True)])
def test_the_night_is_quiet(clock: str, quiet: bool) -> None:
    assert is_quiet(Greeting(), clock) is quiet
    hour, minute = map(int, clock.split(":"))
    now = NOON.replace(hour=hour, minute=minute)
    assert is_due(Greeting(chance=1), now, 0.0, 0.0, 0.0) is not quiet


async def test_only_chats_that_want_it_are_greeted(plugins: Path) -> None:
    settings = {"greet": ALWAYS.model_dump()}
    async with talking(plugins / "greet.py", settings=settings) as talk:
        runtime = talk.runtime
        (handler,) = runtime.plugins.handlers("every")
        await talk.say("hello", chat="quiet one")
        await talk.say("/greet on")
        storage = Storage(runtime.store, "greet")
        key = str(talk.session())
        await storage.put(key, {**await storage.get(key), "heard": 0.0})
        before = len(await talk.heard())
        await runtime.plugins.call(handler, {})
        assert (await talk.heard())[before:] == ["Psst!"]
        await runtime.plugins.call(handler, {})
        assert len(await talk.heard()) == before + 1, "it rests"
        assert await talk.say("/greet off") == ["All right, I will not speak first."]
        assert await storage.items() == {}


async def test_a_chat_that_talks_is_not_silent(plugins: Path) -> None:
    async with talking(plugins / "greet.py") as talk:
        await talk.say("/greet on")
        storage = Storage(talk.runtime.store, "greet")
        key = str(talk.session())
        await storage.put(key, {**await storage.get(key), "heard": 0.0})
        await talk.say("hello")
        assert (await storage.get(key))["heard"] > 0


def test_a_wrong_time_is_named(plugins: Path) -> None:
    assert read_plugin(Source("greet", plugins / "greet.py")).settings is not None
    with pytest.raises(ValueError, match="quiet_from"):
        Greeting(quiet_from="25:00")
