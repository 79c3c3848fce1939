"""The bot started, stopped and found again, in real processes that answer as an echo."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")

from bot.studio.bots.desk import BotDesk
from bot.studio.bots.process import BotProcess, Status
from bot.studio.workshop import Workshop
from trainer.errors import RensheError

ROOT = Path(__file__).parents[4]
SETTINGS = """# mine
personas: {snow: {echo: {persona: personas/snow.yaml}}}
adapters:
  onebot_v11: [{port: 0}]
operation: {drain: 2}
"""


def until(done: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.1)


@pytest.fixture
def project(tmp_path: Path) -> Workshop:
    """A project with a persona and a ``renshe.yaml``; a bot that is left over is killed."""
    (tmp_path / "personas").mkdir()
    shutil.copy(ROOT / "tests/data/personas/good.yaml", tmp_path / "personas/snow.yaml")
    (tmp_path / "renshe.yaml").write_text(SETTINGS, encoding="utf-8")
    return Workshop(tmp_path)


@pytest.fixture
def bot(project: Workshop) -> Iterator[BotProcess]:
    process = BotProcess(project)
    yield process
    presence = process.status().presence
    if presence is not None:
        os.kill(presence.pid, signal.SIGKILL)


def runs(process: BotProcess) -> Callable[[], bool]:
    return lambda: process.status().state == "running"


def is_apart(bot: BotProcess) -> None:
    """It hears no Ctrl-C of the studio's, and does not know its password."""
    presence = bot.status().presence
    assert presence is not None and os.getsid(presence.pid) != os.getsid(0)
    environment = Path(f"/proc/{presence.pid}/environ")
    if environment.exists():
        assert b"the studio's own" not in environment.read_bytes()


def test_it_starts_is_seen_outlives_the_studio_and_stops(
    bot: BotProcess, project: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RENSHE_PASSWORD", "the studio's own")
    assert bot.status() == Status("off")
    bot.start()
    assert bot.status().state == "starting" and bot.status().ours
    until(runs(bot))
    is_apart(bot)
    with pytest.raises(RensheError, match="runs already"):
        bot.start()
    look = BotDesk(project).look()  # a studio that was started later
    assert look.status.ours and look.status.state == "running"
    assert look.health and [link.transport for link in look.health.links] == ["reverse_websocket"]
    assert look.figures and look.figures.received == 0 and look.view and look.view.chats == 0
    BotProcess(project).stop()
    until(lambda: not bot.status().is_up)
    assert BotProcess(project).status() == Status("off"), "it was told to, so it did not die"


def test_two_starts_at_once_are_one(bot: BotProcess, project: Workshop) -> None:
    refused: list[RensheError] = []

    def start() -> None:
        try:
            BotProcess(project).start()
        except RensheError as error:
            refused.append(error)

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 2 and {error.faults[0].code for error in refused} == {"bot-runs"}
    until(runs(bot))


def test_a_bot_that_dies_is_told_with_its_last_lines(bot: BotProcess, project: Workshop) -> None:
    bot.start()
    until(runs(bot))
    presence = bot.status().presence
    assert presence is not None
    os.kill(presence.pid, signal.SIGKILL)
    until(lambda: bot.status().state == "died")
    assert bot.status().code == -9
    look = BotDesk(project).look()
    assert look.status.state == "died" and any("Ctrl-C stops" in line for line in look.lines)
    bot.start()
    until(runs(bot))
    assert bot.status().ours, "it can be started again at once"


def test_a_start_that_fails_leaves_its_reason(bot: BotProcess, project: Workshop) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        bot.settings.write_text(SETTINGS.replace("port: 0", f"port: {port}"), encoding="utf-8")
        bot.start()
        until(lambda: bot.status().state == "died")
    told = "\n".join(BotDesk(project).look().lines)
    assert bot.status().code == 2 and str(port) in told and "→" in told
    assert "Traceback" not in told


def test_what_would_end_it_at_once_is_refused_before(bot: BotProcess) -> None:
    token = bot.settings.with_name("token")
    token.write_text("x")
    token.chmod(0o644)
    bot.settings.write_text(
        "personas: {a: {tuned: {run: runs/gone}}}\nadapters: {onebot_v11: [{token_file: token}]}\n",
        encoding="utf-8",
    )
    with pytest.raises(RensheError) as caught:
        bot.start()
    told = str(caught.value)
    assert "runs/gone" in told and "others can read this token_file" in told
    assert f"chmod 600 {token}" in told and bot.status() == Status("off")
    bot.settings.write_text(
        SETTINGS.replace("onebot_v11: [{port: 0}]", "console: [{}]"), encoding="utf-8"
    )
    with pytest.raises(RensheError, match="only a terminal"):
        bot.start()


def test_settings_with_errors_do_not_touch_the_bot_that_runs(
    bot: BotProcess, project: Workshop
) -> None:
    bot.start()
    until(runs(bot))
    bot.settings.write_text("personas: {\n", encoding="utf-8")
    look = BotDesk(project).look()
    assert look.status.state == "running" and look.status.ours
    assert look.faults and look.faults[0].place.startswith(f"{bot.settings}:")
    assert "refuses it" in BotDesk(project).reload()
    bot.stop()
    until(lambda: not bot.status().is_up)
    with pytest.raises(RensheError):
        bot.start()


def test_a_bot_from_a_terminal_is_shown_and_left_alone(bot: BotProcess, project: Workshop) -> None:
    other = subprocess.Popen(
        [sys.executable, "-m", "bot.cli", "run", str(bot.settings)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(runs(bot))
        status = bot.status()
        assert not status.ours and status.presence and status.presence.pid == other.pid
        for act in (bot.stop, bot.kill):
            with pytest.raises(
                RensheError, match=f"not started in the studio .process {other.pid}"
            ):
                act()
        with pytest.raises(RensheError, match="runs already"):
            bot.start()
        assert BotDesk(project).look().health is None, "it opened no port"
        assert "told to read it" in BotDesk(project).reload()
    finally:
        other.terminate()
        assert other.wait(20) == 0


def test_a_change_that_needs_a_restart_is_named_until_then(
    bot: BotProcess, project: Workshop
) -> None:
    desk = BotDesk(project)
    bot.start()
    until(runs(bot))
    assert desk.look().restart == ()
    bot.settings.write_text(SETTINGS.replace("drain: 2", "drain: 3"), encoding="utf-8")
    assert desk.look().restart == ("operation",)
    desk.restart()
    until(runs(bot))
    assert desk.look().restart == ()
