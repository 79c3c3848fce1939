"""A bot that is killed again and again (SIGKILL, a real process) loses and repeats nothing."""

import json
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fakes.ledger import ACKNOWLEDGED, IN, OUT

ROOT = Path(__file__).parents[2]


def process(folder: Path) -> subprocess.Popen[bytes]:
    errors = (folder / "errors.txt").open("ab")
    return subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.ledger", str(folder)], cwd=ROOT, stderr=errors
    )


def lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines() if path.exists() else []


def run_with_kills(folder: Path, kills: int, total: int) -> int:
    """Kill it at random moments while it works, then let it finish; returns how many hit."""
    chance, hit = random.Random(5), 0
    for number in range(kills):
        bot = process(folder)
        # Moments spread over the whole work, wherever start-up ends on this machine.
        due = total * (number + chance.random()) / (kills + 1)
        while bot.poll() is None and len(lines(folder / ACKNOWLEDGED)) < due:
            time.sleep(0.005)
        time.sleep(chance.random() * 0.05)
        hit += bot.poll() is None
        bot.kill()
        bot.wait()
    assert process(folder).wait(120) == 0, (folder / "errors.txt").read_text()
    return hit


def check(folder: Path, said: dict[str, list[str]], kills: int) -> None:
    """Nothing lost, nothing twice, order kept; only what is counted as unknown may be missing."""
    heard: dict[str, list[str]] = {chat: [] for chat in said}
    for row in map(json.loads, lines(folder / OUT)):
        heard[row["chat"]].append(row["text"])
    with sqlite3.connect(folder / "bot.db") as database:
        states = dict(database.execute("SELECT state, count(*) FROM outbox GROUP BY state"))
        inbox = dict(database.execute("SELECT state, count(*) FROM inbox GROUP BY state"))
        turns = database.execute("SELECT session, text FROM turns WHERE kind = 'user' ORDER BY id")
        history: dict[str, list[str]] = {}
        for session, text in turns:
            history.setdefault(session.rpartition(":")[2], []).append(text)
    total = sum(map(len, said.values()))
    assert inbox == {"done": total} and set(states) <= {"sent", "unknown"}
    assert history == said, "the history is whole and in order"
    missing = 0
    for chat, texts in said.items():
        assert len(set(heard[chat])) == len(heard[chat]), "nothing is answered twice"
        assert heard[chat] == [text for text in texts if text in set(heard[chat])], "in order"
        missing += len(texts) - len(heard[chat])
    unknown = states.get("unknown", 0)
    assert missing <= unknown <= kills * len(said)
    assert states["sent"] + unknown == total


@pytest.mark.parametrize(
    ("messages", "chats", "kills"),
    [
        (240, 12, 5),
        pytest.param(1000, 50, 20, marks=pytest.mark.long),
    ],
)
def test_kill_nine(tmp_path: Path, messages: int, chats: int, kills: int) -> None:
    said: dict[str, list[str]] = {f"chat{number}": [] for number in range(chats)}
    rows = []
    for number in range(messages):
        chat, text = f"chat{number % chats}", f"message {number}"
        said[chat].append(text)
        rows.append(json.dumps({"id": str(number), "chat": chat, "text": text}))
    (tmp_path / IN).write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert run_with_kills(tmp_path, kills, messages) >= kills - 1
    check(tmp_path, said, kills)
