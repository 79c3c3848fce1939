"""One bot on one database, in real processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bot.errors import BotConfigError, StoreError
from bot.presence import find_bot, occupying

ROOT = Path(__file__).parents[2]
HOLD = """
import sys, time
from pathlib import Path
from bot.presence import occupying
with occupying(Path(sys.argv[1]), Path("renshe.yaml")) as own:
    own.ready(4321)
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "renshe.db"


def test_a_bot_is_found_while_it_holds_its_database(store: Path) -> None:
    assert find_bot(store) is None
    with occupying(store, Path("renshe.yaml")) as own:
        found = find_bot(store)
        assert found and (found.pid, found.ready, found.port) == (os.getpid(), False, None)
        assert found.settings == Path("renshe.yaml").absolute()
        own.ready(9464)
        found = find_bot(store)
        assert found and found.ready and found.port == 9464
    assert find_bot(store) is None


def test_a_second_bot_is_refused_until_the_first_was_killed(store: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store)], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert holder.stdout and holder.stdout.readline() == b"held\n"
    with pytest.raises(BotConfigError, match=f"using this database already .{holder.pid}"):
        occupying(store, Path("renshe.yaml")).__enter__()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    assert find_bot(store) is None, "what it wrote down is left, and believed no more"
    with occupying(store, Path("renshe.yaml")):
        assert find_bot(store)


def test_a_record_that_is_no_record_is_no_bot(store: Path) -> None:
    with occupying(store, Path("renshe.yaml")):
        store.with_name("renshe.db.running").write_text("{")
        assert find_bot(store) is None


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="the database cannot be used"):
        occupying(tmp_path / "file" / "renshe.db", Path("renshe.yaml")).__enter__()
