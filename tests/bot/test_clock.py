"""The wall clock is set: at boot, after a suspend, for summer time, by hand, forward and back."""

import asyncio
import inspect
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest

from bot import schedule
from bot.adapters.onebot_v11.incoming import read_message
from bot.adapters.onebot_v11.wire import MessageFrame, read_frame
from bot.adapters.telegram.incoming import Me, read_update
from bot.event import Chat, Event, Outgoing, Sender, SessionKey
from bot.limits import RateLimit
from bot.maintenance import DAY, prune_database
from bot.presence import find_bot, occupying
from bot.store import Store
from bot.testing import ACCOUNT, Talk, talking
from tests.fakes.bot_api import BotApi
from tests.fakes.bot_api_methods import BOT
from tests.fakes.onebot import QQ, text

pytestmark = pytest.mark.anyio

NOW = 1_777_896_000.0
"""The fourth of May 2026 at noon in Greenwich."""

JUMPS = (0.0, 4e9, NOW, 86_400.0, 4e9 - 1, NOW - 3600)
"""1970, 2096 and today, back and forth."""


@pytest.fixture
def jumping(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wall clock that is set whenever somebody looks at it."""
    looks = iter(JUMPS * 10_000)
    monkeypatch.setattr(time, "time", lambda: next(looks))


# --- a time of day -------------------------------------------------------------------------------


class Wall:
    """A clock on a wall in Berlin; it goes while one sleeps, and is set meanwhile.

    Args:
        start: what it shows at first.
        jumps: after how many minutes of sleep it is set, and to what.
        minutes: for how long there is sleep.
    """

    def __init__(self, start: str, jumps: list[tuple[float, str]], minutes: float) -> None:
        self.now = datetime.fromisoformat(start).timestamp()
        self._jumps = list(jumps)
        self._slept, self._end = 0.0, minutes * 60

    async def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= schedule.NAP, "it looks again soon, whatever the clock shows"
        if self._slept >= self._end:
            raise asyncio.CancelledError
        self._slept += seconds
        self.now += seconds
        while self._jumps and self._slept >= self._jumps[0][0] * 60:
            self.now = datetime.fromisoformat(self._jumps.pop(0)[1]).timestamp()
        await asyncio.sleep(0)

    def shown(self) -> str:
        return f"{datetime.fromtimestamp(self.now):%m-%d %H:%M}"


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        assert time.tzname == ("CET", "CEST"), "this machine knows no time zones"
        yield
    time.tzset()


@pytest.fixture
def hung(berlin: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Wall]:
    """Hang up a clock that ``bot.schedule`` looks at."""

    def hang(start: str, jumps: list[tuple[float, str]], minutes: float) -> Wall:
        wall = Wall(start, jumps, minutes)
        now = SimpleNamespace(now=lambda: datetime.fromtimestamp(wall.now))
        monkeypatch.setattr(schedule, "datetime", now)
        monkeypatch.setattr(schedule, "asyncio", SimpleNamespace(sleep=wall.sleep))
        return wall

    return hang


async def daily(wall: Wall, at: tuple[int, int]) -> list[str]:
    """Do as the timer of a plugin does; returns what the clock showed each time."""
    shown = []
    with suppress(asyncio.CancelledError):
        while True:
            await schedule.sleep_until(*at)
            shown.append(wall.shown())
    return shown


TWO_DAYS = 2 * 24 * 60


@pytest.mark.parametrize(
    ("start", "jumps", "shown"),
    [
        pytest.param("2026-05-04 07:00", [], ["05-04 08:00", "05-05 08:00"], id="none"),
        pytest.param("2026-05-04 08:00", [], ["05-05 08:00", "05-06 08:00"], id="begun at it"),
        pytest.param(
            "2026-05-04 07:00",
            [(10, "2026-05-04 08:20")],
            ["05-04 08:20", "05-05 08:00", "05-06 08:00"],
            id="over it",
        ),
        pytest.param(
            "2026-05-01 22:00",
            [(10, "2026-05-04 10:00")],
            ["05-04 10:00", "05-05 08:00", "05-06 08:00"],
            id="over three of them, a lid shut for a weekend",
        ),
        pytest.param(
            "1970-01-01 00:00",
            [(1, "2026-05-04 03:17")],
            ["05-04 08:00", "05-05 08:00"],
            id="from 1970 into a night: that of yesterday is not made up for",
        ),
        pytest.param(
            "2026-05-04 07:59",
            [(11, "2026-05-04 07:10")],
            ["05-04 08:00", "05-05 08:00"],
            id="back behind it: not twice on one date",
        ),
        pytest.param(
            "2026-05-04 08:30",
            [(11, "2026-05-03 23:00")],
            ["05-05 08:00"],
            id="back to the evening before: not twice on one date",
        ),
        pytest.param(
            "2026-05-04 08:30",
            [(11, "2026-05-03 09:00")],
            ["05-05 08:00"],
            id="back by a day: not again for the day before",
        ),
        pytest.param(
            "2026-05-04 07:30",
            [(20, "2026-05-04 06:50")],
            ["05-04 08:00", "05-05 08:00"],
            id="back before it: not an hour late",
        ),
        pytest.param(
            "2100-01-01 09:00",
            [(1, "2026-05-04 07:00")],
            ["05-04 08:00", "05-05 08:00"],
            id="back from a far future: not silent until then",
        ),
        pytest.param(
            "2026-05-04 07:00",
            [(10, "2026-05-04 22:00"), (20, "2026-05-04 07:20")],
            ["05-04 08:00", "05-05 08:00"],
            id="forward by mistake and back: not gone for the day",
        ),
    ],
)
async def test_daily_comes_once_on_each_date(
    hung: Callable[..., Wall], start: str, jumps: list[tuple[float, str]], shown: list[str]
) -> None:
    assert await daily(hung(start, jumps, TWO_DAYS), (8, 0)) == shown


async def test_a_time_near_midnight_that_is_jumped_over_comes_after_it(
    hung: Callable[..., Wall],
) -> None:
    wall = hung("2026-05-04 23:40", [(5, "2026-05-05 00:10")], TWO_DAYS)
    assert await daily(wall, (23, 50)) == ["05-05 00:10", "05-05 23:50", "05-06 23:50"]
    wall = hung("2026-05-04 23:59", [(1.5, "2026-05-04 23:58")], TWO_DAYS)
    assert await daily(wall, (0, 0)) == ["05-05 00:00", "05-06 00:00"]


@pytest.mark.parametrize(
    ("start", "at", "shown"),
    [
        ("2026-03-28 12:00", (1, 59), ["03-29 01:59", "03-30 01:59"]),
        ("2026-03-28 12:00", (2, 0), ["03-29 03:00", "03-30 02:00"]),
        ("2026-03-28 12:00", (2, 30), ["03-29 03:00", "03-30 02:30"]),
        ("2026-03-28 12:00", (3, 0), ["03-29 03:00", "03-30 03:00"]),
        ("2026-03-28 12:00", (8, 0), ["03-29 08:00", "03-30 08:00"]),
        ("2026-10-24 12:00", (1, 59), ["10-25 01:59", "10-26 01:59"]),
        ("2026-10-24 12:00", (2, 0), ["10-25 02:00", "10-26 02:00"]),
        ("2026-10-24 12:00", (2, 30), ["10-25 02:30", "10-26 02:30"]),
        ("2026-10-24 12:00", (3, 0), ["10-25 03:00", "10-26 03:00"]),
        ("2026-10-24 12:00", (8, 0), ["10-25 08:00", "10-26 08:00"]),
    ],
)
async def test_daily_comes_once_where_summer_time_begins_and_ends(
    hung: Callable[..., Wall], start: str, at: tuple[int, int], shown: list[str]
) -> None:
    assert await daily(hung(start, [], TWO_DAYS), at) == shown


PLUGIN = """
from bot.plugin import Storage, daily

@daily("08:00")
async def morning(storage: Storage) -> None:
    await storage.put("mornings", (await storage.get("mornings") or 0) + 1)
"""


async def test_the_timer_of_a_plugin_goes_by_that_clock(
    hung: Callable[..., Wall], tmp_path: Path
) -> None:
    jumps = [(10, "2026-05-04 08:20"), (30, "2026-05-04 07:30")]
    hung("2026-05-04 07:00", jumps, 24 * 60)
    (tmp_path / "early.py").write_text(PLUGIN)
    async with talking(tmp_path / "early.py") as talk:
        (task,) = (task for task in asyncio.all_tasks() if task.get_name() == "plugin early")
        await asyncio.wait([task])
        assert await talk.runtime.store.get("early", "", "mornings") == "1"


# --- what is in order, and what is counted --------------------------------------------------------


async def test_history_is_in_the_order_in_which_it_was_said(jumping: None, tmp_path: Path) -> None:
    texts = [f"m{number}" for number in range(8)]
    async with talking(store=tmp_path / "bot.db") as talk:
        for said in texts:
            assert await talk.say(said) == [said]
    async with talking(store=tmp_path / "bot.db") as talk:
        rounds = await talk.runtime.store.history(talk.session(), 20)
        assert [one.user for one in rounds] == texts
        latest = await talk.runtime.store.history(talk.session(), 2)
        assert [one.user for one in latest] == texts[-2:]


async def test_undo_and_reset_count_from_when_they_were_said(jumping: None) -> None:
    plugin = Path(__file__).parents[2] / "plugins" / "session.py"
    async with talking(plugin, config={"limits": {"per_user": 100}}) as talk:
        for number in range(4):  # each time the clock is set to something else in between
            await talk.say("old")
            await talk.say("/reset")
            await talk.say(f"kept {number}")
            await talk.say("undone")
            await talk.say("/undo")
            rounds = await talk.runtime.store.history(talk.session(), 20)
            assert [one.user for one in rounds] == [f"kept {number}"]


async def test_inbox_and_outbox_are_taken_up_in_their_order(jumping: None, tmp_path: Path) -> None:
    store, here = Store(tmp_path / "bot.db"), SessionKey(ACCOUNT.platform, ACCOUNT.self_id, "home")
    chat, texts = Chat("home", "private"), [f"m{number}" for number in range(8)]
    for said in texts:
        await store.enqueue(here, [Outgoing("", ACCOUNT, chat, said)])
        await store.accept(event(said, 0.0), here)
    assert [message.text for _, message in await store.unsent()] == texts
    assert [one.event.text for one in await store.waiting()] == texts
    store.close()
    async with talking(store=tmp_path / "bot.db") as talk:
        assert await talk.heard() == [*texts, *texts], "what was unsent, then what waited"


def test_requests_are_counted_on_a_clock_that_nobody_sets() -> None:
    clock = inspect.signature(RateLimit).parameters["clock"].default
    assert not time.get_clock_info(clock.__name__).adjustable


async def test_who_asked_too_much_may_not_set_the_clock_to_ask_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with talking(config={"limits": {"per_user": 1, "window": 60}}) as talk:
        assert await talk.say("one") == ["one"]
        for jump in JUMPS:
            monkeypatch.setattr(time, "time", lambda jump=jump: jump)
            assert "two" not in await talk.say("two")
            assert await talk.say("other", user="bob" + str(jump), chat="other") == ["other"]


# --- when a message says that it was sent --------------------------------------------------------


def event(said: str, at: float) -> Event:
    return Event(ACCOUNT, Chat("home", "private"), Sender("ann"), uuid4().hex, said, at)


async def answers(talk: Talk, one: Event) -> list[str]:
    before = len(talk.adapter.sent)
    await talk.runtime.receive(one)
    await talk.runtime.idle()
    return [message.text for message in talk.adapter.sent[before:]]


async def test_a_message_of_any_time_is_answered(tmp_path: Path) -> None:
    times = (-1e12, -1.0, 0.0, NOW - 365 * DAY, 4e9, 1e12, 1e300)
    async with talking(store=tmp_path / "bot.db") as talk:
        for at in times:
            assert await answers(talk, event(f"at {at}", at)) == [f"at {at}"]
        talk.runtime.stop()
        await talk.runtime.receive(event("late", 1e300))
    async with talking(store=tmp_path / "bot.db") as talk:
        assert await talk.heard() == ["late"], "and read again after a restart"


@pytest.mark.parametrize("at", [0, 1, 2**31, 4_000_000_000])
async def test_a_message_of_any_time_of_a_platform_is_answered(at: int) -> None:
    frame = read_frame(json.dumps(QQ().message([text("hi")], time=at)))
    assert isinstance(frame, MessageFrame)
    api = BotApi()
    update = {"update_id": 1, "message": {**api.say(api.chats.private(501), "hi"), "date": at}}
    async with talking() as talk:
        for one in (read_message(frame), read_update(update, Me(BOT["id"], BOT["username"]))):
            assert isinstance(one, Event)
            here = Event(ACCOUNT, one.chat, one.sender, one.message_id, one.text, one.time)
            assert await answers(talk, here) == ["hi"]


# --- what is old ---------------------------------------------------------------------------------


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "bot.db"
    Store(path).close()
    return path


def add(path: Path, *days: float, state: str = "done") -> None:
    """Add inbox rows that were noted so many days ago, one after the other."""
    with closing(sqlite3.connect(path)) as db, db:
        for ago in days:
            row = (uuid4().hex, state, f"{ago:g}", NOW - ago * DAY)
            db.execute(
                "INSERT INTO inbox (platform, self_id, chat, message_id, session, user, state, "
                "event, created) VALUES ('t', '1', '2', ?, 't:1:2', 't:3', ?, ?, ?)",
                row,
            )
            db.execute(
                "INSERT INTO outbox (session, round, user, state, message, created) "
                "VALUES ('t:1:2', 0, 't:3', ?, ?, ?)",
                ("sent" if state == "done" else "pending", f"{ago:g}", row[-1]),
            )


def left(path: Path, monkeypatch: pytest.MonkeyPatch, *, at: float = NOW) -> list[str]:
    """Prune what is older than 90 days by a clock that shows ``at``; returns what is left."""
    monkeypatch.setattr(time, "time", lambda: at)
    before = _rows(path)
    deleted = prune_database(path, 90)
    inbox, outbox = after = _rows(path)
    assert sum(map(len, before)) - sum(map(len, after)) == deleted
    assert inbox == outbox
    return inbox


def _rows(path: Path) -> tuple[list[str], list[str]]:
    with closing(sqlite3.connect(path)) as db:
        inbox = [row[0] for row in db.execute("SELECT event FROM inbox ORDER BY id")]
        return inbox, [row[0] for row in db.execute("SELECT message FROM outbox ORDER BY id")]


SINCE_1970 = NOW / DAY
"""How many days ago a row was noted by a clock that was not set yet."""


@pytest.mark.parametrize("at", [0.0, 60.0, NOW - 100 * DAY, NOW - DAY])
def test_by_a_clock_that_is_behind_nothing_young_is_deleted(
    database: Path, monkeypatch: pytest.MonkeyPatch, at: float
) -> None:
    add(database, 80, 20, 1)
    assert left(database, monkeypatch, at=at) == ["80", "20", "1"]


def test_what_the_clock_was_behind_for_is_as_old_as_what_was_before_it(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    since_1970 = [SINCE_1970, SINCE_1970 - 1]
    add(database, 200, 100, *since_1970, 95, 80, *since_1970, 1)
    kept = ["80", *[f"{ago:g}" for ago in since_1970], "1"]
    assert left(database, monkeypatch) == kept


def test_a_clock_that_was_ahead_does_not_keep_all_that_came_after(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(database, 200, -9999, 150, 100, 80)
    assert left(database, monkeypatch) == ["-9999", "80"]


def test_a_clock_that_is_behind_now_does_not_make_later_rows_old(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(database, 2, 1, 300, 299)  # set back by 300 days yesterday
    assert left(database, monkeypatch, at=NOW - 298 * DAY) == ["2", "1", "300", "299"]


def test_old_rows_go_and_what_waits_stays(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(database, 200, 100)
    add(database, 150, state="accepted")
    assert left(database, monkeypatch) == ["150"]


# --- who runs ------------------------------------------------------------------------------------


def test_a_bot_is_found_whatever_the_clock_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 4e9)
    with occupying(tmp_path / "bot.db", Path("renshe.yaml")):
        monkeypatch.setattr(time, "time", lambda: 0.0)
        found = find_bot(tmp_path / "bot.db")
        assert found and (found.pid, found.since) == (os.getpid(), 4e9)
