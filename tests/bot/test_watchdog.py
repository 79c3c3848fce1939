import asyncio
import time
from pathlib import Path

import pytest

from bot.testing import talking
from bot.watchdog import Watchdog

pytestmark = pytest.mark.anyio

SLEEPY = """import time
from bot.plugin import on_command

@on_command("nap")
async def nap() -> str:
    time.sleep(0.3)
    return "awake"
"""


async def test_a_plugin_that_blocks_the_loop_is_named_with_its_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "sleepy.py"
    path.write_text(SLEEPY)
    async with talking(path) as talk:
        watchdog = Watchdog(lambda: talk.runtime.plugins.files, patience=0.05)
        assert await talk.say("/nap") == ["awake"]
        watchdog.close()
    assert f"plugin sleepy blocks the whole bot: {path}:6;" in caplog.text
    assert caplog.text.count("blocks the whole bot") == 1


async def test_what_is_no_plugins_fault_is_not_laid_on_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watchdog = Watchdog(dict, patience=0.05)
    await asyncio.sleep(0.3)
    assert not caplog.text
    time.sleep(0.3)
    await asyncio.sleep(0.01)
    watchdog.close()
    assert "not in a plugin" in caplog.text
