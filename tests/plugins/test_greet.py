import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from bot.config import Chats
from bot.plugin import Storage
from bot.plugin_loader import Source, read_plugin
from bot.testing import Talk, talking
from plugins.greet import HOUR, LOOK, Greeting, is_due, is_quiet
from trainer.strict_yaml import read_document

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


async def test_a_chat_that_is_left_out_now_does_not_stop_the_others(plugins: Path) -> None:
    settings = {"greet": ALWAYS.model_dump()}
    async with talking(plugins / "greet.py", settings=settings) as talk:
        runtime = talk.runtime
        storage = Storage(runtime.store, "greet")
        for chat in ("a", "b"):  # they are greeted in this order
            await talk.say("/greet on", chat=chat)
            key = str(talk.session(chat))
            await storage.put(key, {**await storage.get(key), "heard": 0.0})
        denied = runtime.config.model_copy(update={"chats": Chats(deny=("loopback:a",))})
        document, _ = read_document(json.dumps({"plugins": {"settings": settings}}), None)
        await runtime.reload(denied, document)
        before = len(await talk.heard())
        (handler,) = runtime.plugins.handlers("every")
        await runtime.plugins.call(handler, {})
        assert (await talk.heard())[before:] == ["Psst!"]
        assert talk.adapter.sent[-1].chat.id == "b" and runtime.plugins.states == {"greet": ""}


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


# --- the wall clock is set ------------------------------------------------------------------------


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


def looks(settings: Greeting, start: datetime, hours: float, pause: float = LOOK) -> list[str]:
    """Look again and again for so long, as the timer does; returns when it greeted."""
    said, shown = 0.0, []
    begin = start.timestamp()
    for number in range(int(hours * HOUR / pause)):
        now = datetime.fromtimestamp(begin + number * pause)
        if is_due(settings, now, now.timestamp(), said, 1.0):
            said = now.timestamp()
            shown.append(f"{now:%d %H:%M}")
    return shown


@pytest.mark.parametrize("start", [datetime(2026, 3, 28, 12), datetime(2026, 10, 24, 12)])
@pytest.mark.parametrize("at", ["00:00", "01:55", "02:00", "02:30", "03:00", "09:00", "23:55"])
def test_it_greets_once_a_day_where_summer_time_begins_and_ends(
    berlin: None, start: datetime, at: str
) -> None:
    settings = Greeting(at=(at,), chance=0, quiet_from="00:00", quiet_until="00:00")
    shown = looks(settings, start, 48)
    assert len(shown) == len({day.split()[0] for day in shown}) == 2


@pytest.mark.parametrize("begun", range(0, 630, 25))
def test_a_timer_that_comes_a_little_late_misses_no_greeting(begun: int) -> None:
    settings = Greeting(at=("12:00",), chance=0)
    start = datetime(2026, 5, 4, 0, 0) + timedelta(seconds=begun)
    assert len(looks(settings, start, 72, LOOK + 30)) == 3


def test_set_back_it_does_not_greet_again() -> None:
    settings = Greeting(at=("11:55",), chance=1, after=1)
    for back in (30, 60 * 60, 23 * 60 * 60):
        assert not is_due(settings, NOON, PAST - 48 * HOUR, PAST + back, 0.0)


async def look(talk: Talk, now: float) -> list[str]:
    """Have it look at a clock that shows ``now``; returns what it says then."""
    (handler,) = talk.runtime.plugins.handlers("every")
    shows = SimpleNamespace(now=lambda: datetime.fromtimestamp(now))
    handler.function.__globals__["datetime"] = shows  # of this copy of the plugin alone
    before = len(await talk.heard())
    await talk.runtime.plugins.call(handler, {})
    return (await talk.heard())[before:]


async def noted(talk: Talk, **times: float) -> dict[str, float]:
    """Change what it has noted of the chat at home; returns all of that."""
    storage, key = Storage(talk.runtime.store, "greet"), str(talk.session())
    await storage.put(key, {**await storage.get(key), **times})
    chat: dict[str, float] = await storage.get(key)
    return chat


FUTURE = datetime(2100, 1, 1).timestamp()


async def test_a_clock_that_was_in_2100_does_not_silence_it_for_good(plugins: Path) -> None:
    async with talking(plugins / "greet.py", settings={"greet": ALWAYS.model_dump()}) as talk:
        await talk.say("/greet on")
        await noted(talk, heard=FUTURE, said=FUTURE)
        assert await look(talk, PAST) == [], "rather no greeting than two"
        chat = await noted(talk)
        assert (chat["heard"], chat["said"]) == (PAST, PAST)
        assert await look(talk, PAST + 19 * HOUR) == [], "it rests from now on"
        assert await look(talk, PAST + 20 * HOUR) == ["Psst!"]


async def test_after_a_clock_in_2100_it_greets_by_the_clock_the_next_day(plugins: Path) -> None:
    settings = {**ALWAYS.model_dump(), "at": ["12:00"], "chance": 0}
    async with talking(plugins / "greet.py", settings={"greet": settings}) as talk:
        await talk.say("/greet on")
        await noted(talk, said=FUTURE)
        assert await look(talk, PAST - HOUR) == []
        assert await look(talk, PAST) == ["Psst!"]


async def test_a_clock_that_was_an_hour_ahead_is_left_to_catch_up(plugins: Path) -> None:
    async with talking(plugins / "greet.py", settings={"greet": ALWAYS.model_dump()}) as talk:
        await talk.say("/greet on")
        kept = await noted(talk, heard=0.0, said=PAST + HOUR)
        assert await look(talk, PAST) == [] and await noted(talk) == kept
        assert await look(talk, PAST + 21 * HOUR) == ["Psst!"]


async def test_from_1970_to_today_it_greets_once_at_most(plugins: Path) -> None:
    async with talking(plugins / "greet.py", settings={"greet": ALWAYS.model_dump()}) as talk:
        await talk.say("/greet on")
        await noted(talk, heard=60.0, said=30.0)
        assert await look(talk, 90.0) == [], "it has just been heard of"
        assert [await look(talk, PAST + number * LOOK) for number in range(3)] == [
            ["Psst!"],
            [],
            [],
        ]
