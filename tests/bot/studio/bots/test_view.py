"""What the bot's database and its output show, and how it is written as HTML."""

import asyncio
import json
import sqlite3
import time
from pathlib import Path

import pytest

pytest.importorskip("sqlite_utils")

from bot.errors import StoreError
from bot.event import Account, Chat, Event, Failed, Outgoing, Sender, Sent, SessionKey
from bot.presence import Presence
from bot.store import Answer, Store
from bot.studio.bots import html as html
from bot.studio.bots.health import Health, Link
from bot.studio.bots.output import last_lines, troubles
from bot.studio.bots.process import Status
from bot.studio.bots.view import View, view
from trainer.errors import Fault

ACCOUNT = Account("onebot_v11", "10001")
EVIL = "<img src=x onerror=alert(1)><script>alert(2)</script> **b** ${1+1} {{x}}"
NAME = "<b>小明</b>"


def event(number: int, text: str) -> Event:
    chat = Chat("group-67890", "group")
    return Event(ACCOUNT, chat, Sender("20002", NAME), str(number), text, time.time())


async def talk(path: Path) -> None:
    """One answered, one refused, one waiting; replies sent, failed, unknown and pending."""
    store = Store(path)
    try:
        first = event(1, EVIL)
        session = SessionKey.of(first)
        accepted = await store.accept(first, session)
        assert accepted
        replies = [Outgoing("", ACCOUNT, first.chat, f"reply {number}") for number in range(4)]
        answer = Answer([accepted], round=(EVIL, "reply"), messages=replies)
        sent, failed, unknown, _ = await store.settle(answer)
        for message in (sent, failed, unknown):
            await store.sending(message)
        store.sent(sent, Sent("1"))
        store.sent(failed, Failed("he <left> the group"))
        refused = await store.accept(event(2, "gimme more"), session)
        assert refused
        await store.mark([refused], "refused")
        await store.accept(event(3, "waiting"), session)
    finally:
        store.close()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    asyncio.run(talk(tmp_path / "renshe.db"))
    return tmp_path / "renshe.db"


def test_the_queue_the_sessions_and_the_messages_are_read(database: Path) -> None:
    found = view(database)
    assert found is not None
    queue = found.queue
    assert (queue.waiting, queue.unsent, queue.unknown, queue.failed) == (1, 1, 1, 1)
    (session,) = found.sessions
    assert (session.key.chat, session.kind, session.rounds) == ("group-67890", "group", 1)
    assert sorted(one.state for one in found.messages) == [
        *("accepted", "done", "failed", "pending", "refused", "sent", "unknown")
    ]
    assert [one.reason for one in found.failures] == ["he <left> the group"]
    assert found.chats == 1


def test_looking_writes_nothing_and_waits_for_nobody(database: Path) -> None:
    before = database.read_bytes()
    with sqlite3.connect(database) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE inbox SET state = 'done'")
        assert view(database) is not None, "a bot that writes keeps nobody from looking"
        writer.rollback()
    assert database.read_bytes() == before
    assert view(database.with_name("none.db")) is None
    assert not database.with_name("none.db").exists()


def test_a_locked_a_damaged_and_a_strange_database_are_named(tmp_path: Path) -> None:
    path = tmp_path / "renshe.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine (x)")
    with pytest.raises(StoreError, match="no such table"):
        view(path)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match="locked"):
        view(path)
    other.close()
    path.write_bytes(b"nonsense" * 500)
    with pytest.raises(StoreError, match="not a database"):
        view(path)


def test_words_and_people_are_masked_unless_asked_for(database: Path) -> None:
    found = view(database)
    assert found is not None
    shown = html.messages_list(found, reveal=False) + html.sessions_table(found.sessions, False)
    for secret in ("alert", "reply", "gimme more", "小明", "67890", "20002"):
        assert secret not in shown
    assert "●" in shown and f"{len(EVIL)} characters" in shown and "···90" in shown
    shown = html.messages_list(found, reveal=True)
    assert "gimme more" in shown and "小明" in shown and "group 67890" in shown


def test_what_people_say_is_text_and_never_markup(database: Path) -> None:
    found = view(database)
    assert found is not None
    shown = html.messages_list(found, reveal=True)
    assert "<img" not in shown and "<script" not in shown and "<b>小明" not in shown
    assert "&lt;img src=x onerror=alert(1)&gt;" in shown and "${1+1} {{x}}" in shown
    problems = html.troubles_list((), found.failures, ["<i>bad</i>"], reveal=False)
    assert "<left>" not in problems and "<i>" not in problems and "&lt;left&gt;" in problems
    link = Link(name="<x>", up=False, detail="<y>", platform="telegram", transport="polling")
    card = html.links_table(Health(status="degraded", links=(link,)), Status("running"))
    assert "<x>" not in card and "<y>" not in card and "Telegram · long polling" in card
    box = html.faults_box([Fault("<a>", Path("/home/me/renshe.yaml"), 3, 4, "<b>")])
    assert "<a>" not in box and "<b>" not in box and "renshe.yaml:3:4" in box
    assert "/home/me" not in box


def test_a_bot_from_a_terminal_is_said_to_be_one() -> None:
    presence = Presence(4321, time.time() - 200, Path("renshe.yaml"), ready=True)
    card = html.status_card(Status("running", presence, since=presence.since), "snow", None)
    assert "not started in the studio (process 4321)" in card and "for 3 min" in card
    assert "operation.port" in html.links_table(None, Status("running", presence))
    said = ["one <two>", "on 127.0.0.1:18080", "#1 sent to telegram:111222:-100333"]
    words = html.last_words(said, Status("died", ours=True, code=-9), reveal=False)
    assert "127.0.0.1:18080" in words and "100333" not in words and "111222" not in words
    assert "out of memory" in words and "one &lt;two&gt;" in words


def test_an_empty_view_has_words_for_it() -> None:
    assert "no messages yet" in html.messages_list(View(), reveal=False)
    assert "nobody has talked" in html.sessions_table((), reveal=False)
    assert "nothing went wrong" in html.troubles_list((), (), (), reveal=False)


def test_errors_of_the_log_are_found_in_both_styles(tmp_path: Path) -> None:
    output = tmp_path / "output.log"
    assert last_lines(output) == [] and troubles(output) == []
    line = {"time": "2026-01-02T03:04:05.000+00:00", "level": "error", "logger": "x", "text": "j"}
    lines = [
        "01-02 03:04:05 INFO all is well",
        "01-02 03:04:06 WARNING #7 too slow",
        "01-02 03:04:07 ERROR plugin x: it broke",
        "Traceback (most recent call last):",
        '  File "x.py", line 1, in x',
        "ValueError: nothing",
        "\x1b[31m01-02 03:04:08 INFO done\x1b[0m",
        json.dumps({**line, "error": "Traceback\nKeyError: 'k'"}),
    ]
    output.write_text("\n".join(lines), encoding="utf-8")
    found = troubles(output)
    assert [(entry.level, entry.text) for entry in found] == [
        ("ERROR", "j\nKeyError: 'k'"),
        ("ERROR", "plugin x: it broke\nValueError: nothing"),
        ("WARNING", "too slow"),
    ]
    assert last_lines(output, 2)[0] == "01-02 03:04:08 INFO done"
