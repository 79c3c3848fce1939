"""A run folder is deleted, or closed to the bot, while a tuned persona answers from it."""

import errno
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from bot.cast import load_players
from bot.cli import main
from bot.config import BotConfig
from bot.engine import Engine
from bot.testing import Talk, talking
from tests.bot.test_bot_commands import said, start
from trainer.chat import Message
from trainer.checkpoint import CARD_FILE, PREFIX_FILE, RUN_FILE
from trainer.errors import CheckpointError

GOOD = Path(__file__).parents[1] / "data" / "personas" / "good.yaml"
HELLO = (Message("user", "你好"),)


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained_run, tmp_path / "run")


def config(run: Path, **more: Any) -> BotConfig:
    tuned = {"run": run, "temperature": 0, "max_new_tokens": 8}
    whole = {"personas": {"muxue": {"tuned": tuned}}, "adapters": {"console": [{}]}}
    return BotConfig.model_validate({**whole, **more})


def reply(engine: Engine) -> list[str]:
    return list(engine.stream(HELLO))


# --- how it gets lost ----------------------------------------------------------------------------

Lose = Callable[[Path, pytest.MonkeyPatch], None]


def delete(run: Path, _patch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(run)


def delete_the_index(run: Path, _patch: pytest.MonkeyPatch) -> None:
    (run / RUN_FILE).unlink()


def damage_the_index(run: Path, _patch: pytest.MonkeyPatch) -> None:
    (run / RUN_FILE).write_bytes(b"\xff\xfe{")


def put_a_file_there(run: Path, _patch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(run)
    run.write_text("")


def lock_the_folder(run: Path, patch: pytest.MonkeyPatch) -> None:
    close(patch, lambda path: run in path.parents)


def lock_the_index(run: Path, patch: pytest.MonkeyPatch) -> None:
    close(patch, lambda path: path == run / RUN_FILE, seen=True)


def close(
    patch: pytest.MonkeyPatch, is_closed: Callable[[Path], bool], *, seen: bool = False
) -> None:
    """Refuse files as the system does, but for root too, as whom tests may run."""
    see, read = Path.stat, Path.open

    def stat(self: Path, **options: Any) -> os.stat_result:
        if is_closed(self) and not seen:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return see(self, **options)

    def opened(self: Path, *arguments: Any, **options: Any) -> Any:
        if is_closed(self):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return read(self, *arguments, **options)

    patch.setattr(Path, "stat", stat)
    patch.setattr(Path, "open", opened)


LOST = [
    delete,
    delete_the_index,
    damage_the_index,
    put_a_file_there,
    lock_the_folder,
    lock_the_index,
]


# --- while it answers ----------------------------------------------------------------------------


def test_what_answers_is_in_memory(run: Path) -> None:
    engine = load_players(config(run))["muxue"].engine
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert str(run) not in maps.read_text("utf-8", "replace")
    before = reply(engine)
    for path in run.rglob("*.*"):
        with suppress(IsADirectoryError):
            os.truncate(path, 0)  # worse than deleted: a mapped file would kill the process now
    shutil.rmtree(run)
    assert before and reply(engine) == before


# --- when it is reloaded -------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize("lose", LOST)
async def test_a_reload_without_it_changes_nothing_and_names_it(
    run: Path, monkeypatch: pytest.MonkeyPatch, lose: Lose
) -> None:
    async with talking() as talk:
        engine = await tuned(talk, run)
        before = await talk.say("你好")
        runtime, old = talk.runtime, talk.runtime.config
        with monkeypatch.context() as patch:
            lose(run, patch)
            with pytest.raises(CheckpointError, match="→") as raised:
                await runtime.reload(config(run, triggers={"prefix": "!"}), None)
            assert str(run) in str(raised.value) and "Errno" not in str(raised.value)
            assert await talk.say("你好", chat="other") == before
        assert runtime.config is old and runtime._cast.players["muxue"].engine is engine


async def tuned(talk: Talk, run: Path) -> Engine:
    """Have a bot that talks take a tuned persona."""
    talk.runtime._load = load_players
    await talk.runtime.reload(config(run), None)
    return talk.runtime._cast.players["muxue"].engine


@pytest.mark.anyio
async def test_once_it_is_there_again_it_is_reloaded(run: Path) -> None:
    async with talking() as talk:
        engine = await tuned(talk, run)
        away = run.rename(run.with_name("away"))
        with pytest.raises(CheckpointError):
            await talk.runtime.reload(config(run), None)
        away.rename(run)
        changed = config(run, triggers={"prefix": "!"})
        await talk.runtime.reload(changed, None)
        assert talk.runtime.config.triggers.prefix == "!"
        assert talk.runtime._cast.players["muxue"].engine is engine, "loaded once"


def test_what_was_loaded_beside_it_is_stopped(run: Path) -> None:
    remote = {"url": "http://127.0.0.1:1/v1", "model": "m", "persona": GOOD}
    personas = {"dory": {"remote": remote}, "muxue": {"tuned": {"run": run}}}
    shutil.rmtree(run)
    threads = set(threading.enumerate())
    with pytest.raises(CheckpointError):
        load_players(config(run, personas=personas))
    assert set(threading.enumerate()) <= threads


# --- when it is started --------------------------------------------------------------------------


@pytest.fixture
def settings(run: Path, tmp_path: Path) -> Path:
    path = tmp_path / "renshe.yaml"
    tuned = f"{{tuned: {{run: {run.name}, temperature: 0, max_new_tokens: 8}}}}"
    path.write_text(f"personas: {{muxue: {tuned}}}\nadapters: {{console: [{{}}]}}\n", "utf-8")
    return path


@pytest.mark.parametrize("command", [["run"], ["config", "check"]])
@pytest.mark.parametrize("lose", LOST)
def test_a_start_without_it_is_refused(
    run: Path,
    settings: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    lose: Lose,
    command: list[str],
) -> None:
    with monkeypatch.context() as patch:
        lose(run, patch)
        assert main([*command, str(settings)]) == 2, "as for any fault of the settings"
    told = "".join(capsys.readouterr())
    assert str(run) in told and "→" in told


@pytest.mark.parametrize("name", [CARD_FILE, PREFIX_FILE])
@pytest.mark.parametrize("is_gone", [True, False])
def test_a_start_without_part_of_it_is_refused(
    run: Path, monkeypatch: pytest.MonkeyPatch, name: str, *, is_gone: bool
) -> None:
    (file,) = run.glob(f"*/{name}")
    if is_gone:
        file.unlink()
    else:
        close(monkeypatch, lambda path: path == file)
    with pytest.raises(CheckpointError, match="→") as raised:
        load_players(config(run))
    assert str(file.parent) in str(raised.value)


def test_in_a_process_of_its_own(run: Path, settings: Path) -> None:
    process = start(settings)
    assert process.stdin and process.stderr
    reply = said(process, "你好")
    shutil.rmtree(run)
    assert reply and said(process, "你好") == reply
    process.send_signal(signal.SIGHUP)
    lines = iter(process.stderr.readline, "")
    told = list(until(lines, "→"))
    assert any("nothing was reloaded" in line for line in told)
    assert any(str(run) in line for line in told)
    assert said(process, "你好") == reply
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and "Traceback" not in "".join(told) + errors
    again = start(settings)
    _, errors = again.communicate(timeout=60)
    assert again.returncode == 2 and str(run) in errors and "→" in errors
    assert "Traceback" not in errors


def until(lines: Iterator[str], part: str) -> Iterator[str]:
    for line in lines:
        yield line
        if part in line:
            return
