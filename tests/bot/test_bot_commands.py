"""The bot's commands as they are typed."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from bot.cli import main

ROOT = Path(__file__).parents[2]
GOOD = ROOT / "tests" / "data" / "personas" / "good.yaml"
ECHO = f"""personas: {{test: {{echo: {{persona: {GOOD}}}}}}}
adapters: {{console: [{{}}]}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "renshe.yaml"
    path.write_text(ECHO, encoding="utf-8")
    return path


def start(config: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bot.cli", "run", str(config), *options],
        cwd=ROOT,
        env={**os.environ, "RENSHE_LANG": "en", "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str], line: str) -> str:
    assert process.stdin and process.stdout
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def test_run_talks_in_a_terminal_until_the_end_of_its_input(config: Path) -> None:
    process = start(config)
    assert said(process, "hello") == "hello"
    assert said(process, "/undo") == "Taken back: hello"
    rest, errors = process.communicate(timeout=20)
    assert process.returncode == 0 and rest == ""
    assert "Ctrl-C stops" in errors and "Traceback" not in errors
    assert "hello" not in errors


def test_a_signal_stops_it_in_good_order_and_another_reloads(config: Path) -> None:
    config.write_text(ECHO + "operation: {port: 0, log: json}\n", encoding="utf-8")
    process = start(config)
    assert process.stdin and process.stderr
    assert said(process, "hi") == "hi"
    lines = iter(process.stderr.readline, "")
    address = next(line.split()[0] for line in lines if line.startswith("http://127.0.0.1"))
    with urllib.request.urlopen(address) as response:
        health = json.load(response)
    assert health["status"] == "ok" and health["store"]["turns"] == 2
    with urllib.request.urlopen(address.replace("healthz", "metrics")) as response:
        figures = response.read().decode()
    assert 'renshe_events_total{platform="console"} 1.0' in figures
    assert 'renshe_messages_total{outcome="sent"} 1.0' in figures
    config.write_text(ECHO + "triggers: {prefix: '!'}\n", encoding="utf-8")
    process.send_signal(signal.SIGHUP)
    assert any("reloaded" in line for line in lines)
    assert said(process, "!undo") == "Taken back: hi"
    config.write_text("personas: {", encoding="utf-8")
    process.send_signal(signal.SIGHUP)
    assert any("nothing was reloaded" in line for line in lines)
    assert said(process, "still here") == "still here"
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    process.stdin.close()


def test_a_second_bot_on_the_same_database_is_refused(config: Path) -> None:
    first = start(config)
    assert said(first, "hello") == "hello"
    second = start(config)
    _, errors = second.communicate(timeout=20)
    assert second.returncode == 2 and "stop that one first" in errors
    assert said(first, "still here") == "still here"
    first.communicate(timeout=20)


def test_health_names_each_connection(config: Path) -> None:
    config.write_text(ECHO.replace("console: [{}]", "onebot_v11: [{port: 0}]"), encoding="utf-8")
    process = start(config, "--port", "0")
    assert process.stderr
    lines = iter(process.stderr.readline, "")
    address = next(line.split()[0] for line in lines if line.startswith("http://127.0.0.1"))
    with urllib.request.urlopen(address) as response:
        health = json.load(response)
    (link,) = health["links"]
    assert (link["platform"], link["transport"]) == ("onebot_v11", "reverse_websocket")
    assert not link["up"] and link["since"] == 0
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)


def test_a_port_that_is_taken_is_told(config: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        config.write_text(ECHO + f"operation: {{port: {port}}}\n", encoding="utf-8")
        process = start(config)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 2 and "operation.port" in errors and "Traceback" not in errors


def test_config_check_names_everything(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "check", str(config)]) == 0
    assert "personas: 1, connections: 1, plugins: 7" in capsys.readouterr().out
    config.write_text(
        "personas:\n"
        "  a: {tuned: {run: none}}\n"
        "  b: {echo: {persona: none.yaml}}\n"
        "adapters:\n"
        "  telegram: [{token_env: SURELY_NOT_SET}]\n"
        "plugins: {settings: {gret: {}}}\n",
        encoding="utf-8",
    )
    assert main(["config", "check", str(config)]) == 2
    out = capsys.readouterr().out
    for told in ("no checkpoint here", "none.yaml", "SURELY_NOT_SET", "no plugin gret", "greet"):
        assert told in out
    assert f"{config}:6:" in out


def test_config_schema_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "BotConfig"


@pytest.fixture
def database(config: Path) -> Path:
    process = start(config)
    assert said(process, "hello") == "hello" and said(process, "/remember I like tea")
    process.communicate(timeout=20)
    return config.with_name("renshe.db")


def test_a_persons_data_is_exported_and_forgotten(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with sqlite3.connect(database) as db:
        session, round = db.execute("SELECT session, round FROM turns").fetchone()
        kept = [
            ("correct", f"{session} {round}"),  # their words, put right by the owner
            ("greet", session),  # else one who is forgotten would still be greeted
            ("correct", f"{session} 9{round}"),  # nobody's by now
            ("greet", f"{session}0"),  # another's
        ]
        rows = [(plugin, "", key, "{}") for plugin, key in kept]
        db.executemany("INSERT INTO plugin_storage VALUES (?, ?, ?, ?)", rows)
    assert main(["db", "export", str(database), "--user", "console:me"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["table"] for row in rows] == [
        *("inbox", "inbox", "turns", "turns", "chats", "outbox", "outbox"),
        *["plugin_storage"] * 3,
    ]
    assert [row["plugin"] for row in rows[-3:]] == ["correct", "greet", "remember"]
    assert rows[-1]["value"] == ["I like tea"]
    assert main(["db", "forget", str(database), "--user", "console:me"]) == 0
    assert "deleted: 10" in capsys.readouterr().out
    main(["db", "export", str(database), "--user", "console:me"])
    assert capsys.readouterr().out == ""
    with sqlite3.connect(database) as db:
        assert db.execute("SELECT count(*) FROM plugin_storage").fetchone() == (2,)


def test_a_database_is_checked_copied_and_pruned_while_another_writes(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with sqlite3.connect(database) as other:
        other.execute("SELECT * FROM turns").fetchone()
        assert main(["db", "check", str(database)]) == 0
        assert "outbox.sent: 2" in capsys.readouterr().out
        copy = tmp_path / "copy.db"
        assert main(["db", "backup", str(database), str(copy)]) == 0
        assert main(["db", "backup", str(database), str(copy)]) == 1
        assert "was left" in capsys.readouterr().err
    old = time.time() - 100 * 24 * 3600
    with sqlite3.connect(copy) as connection:
        connection.execute("UPDATE inbox SET created = ?", [old])
        connection.execute("UPDATE outbox SET created = ?, state = 'pending'", [old])
    assert main(["db", "prune", str(copy), "--days", "90"]) == 0
    assert "deleted: 2" in capsys.readouterr().out
    main(["db", "check", str(copy)])
    assert "turns: 2" in capsys.readouterr().out


def test_a_missing_or_broken_database_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["db", "check", str(tmp_path / "none.db")]) == 1
    assert "no such database" in capsys.readouterr().err
    (tmp_path / "bad.db").write_bytes(b"nonsense" * 500)
    assert main(["db", "check", str(tmp_path / "bad.db")]) == 1
    assert "not a database" in capsys.readouterr().err


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from bot.cli import main; main(['--help']); "
        "print({'torch', 'gradio', 'aiohttp', 'aiogram', 'sqlite_utils'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "set()"
